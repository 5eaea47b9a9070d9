import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client } from "../../web/rooms.js";
import { waitAfter } from "../../web/rooms/errors.js";
import { Clock } from "./support/clock.mjs";
import { FakeServer, settled } from "./support/server.mjs";

const ANA = { id: "Ana", name: "Ana" };
const RECOVERED = { recovered: true, missed: [], more: false, presence: {}, count: 0 };

let clock;
let server;
let client;
let lobby;

beforeEach(async () => {
  clock = new Clock();
  server = new FakeServer();
  client = new Client("ws://127.0.0.1/ws", {
    WebSocket: server.WebSocket,
    timers: clock,
    random: () => 0,
    maxWaiting: 3,
  });
  client.connect();
  await server.greet({ user: ANA });
  lobby = client.room("lobby");
  lobby.join();
  await server.admit();
});

async function comeBack({ user = ANA, position = ["e1", 0], ...fields } = {}) {
  await server.hangUp();
  clock.advance(0);
  await server.greet({ user });
  await server.reply({ ...RECOVERED, position, ...fields });
}

const events = () => server.received.filter(({ type }) => type === "event");

test("sending is acknowledged with the event's position, and has a key of its own", async () => {
  const sending = lobby.send("say", { text: "hi" });
  lobby.send("say", { text: "hi" });
  const [{ id, key, ...frame }, other] = events();
  assert.deepEqual(frame, { type: "event", event: "say", room: "lobby", payload: { text: "hi" } });
  assert.match(key, /^[0-9a-f]{32}$/);
  assert.notEqual(key, other.key);
  await server.say({ type: "reply", id, position: ["e1", 42] });
  assert.deepEqual((await sending).position, ["e1", 42]);
});

test("an event whose answer was lost is sent again with its key, in its order", async () => {
  const sending = Promise.all([lobby.send("say", 1), lobby.send("say", 2, { key: "mine" })]);
  const before = events().map(({ payload, key }) => [payload, key]);
  await comeBack();
  assert.deepEqual(events().map(({ payload, key }) => [payload, key]), before);
  assert.equal(before[1][1], "mine");
  const [one, two] = events();
  await server.say({ type: "reply", id: one.id, position: ["e1", 1] });
  await server.say({ type: "reply", id: two.id, position: ["e1", 2] });
  assert.deepEqual((await sending).map(({ position }) => position[1]), [1, 2]);
});

test("an event that was answered is not sent again", async () => {
  const sending = lobby.send("say", 1);
  await server.reply();
  await sending;
  await comeBack();
  assert.deepEqual(events(), []);
});

test("an event waits for the room to be joined again", async () => {
  await server.hangUp();
  const sending = lobby.send("say", 1);
  clock.advance(0);
  await server.greet({ user: ANA });
  assert.deepEqual(events(), []);
  await server.reply({ ...RECOVERED, position: ["e2", 0], recovered: false, reason: "too_old" });
  await server.reply({ position: ["e2", 1] });
  assert.deepEqual((await sending).position, ["e2", 1]);
});

test("who has not signed in is told that the outcome is unknown, rather than heard twice", async () => {
  await comeBack({ user: null });
  const failed = assert.rejects(lobby.send("say", 1), { code: "unknown_outcome" });
  await comeBack({ user: null });
  await failed;
  assert.deepEqual(events(), []);
});

test("where the server has lost count, the outcome is unknown", async () => {
  const failed = assert.rejects(lobby.send("say", 1), { code: "unknown_outcome" });
  await comeBack({ position: ["e2", 0], recovered: false, reason: "epoch_changed" });
  await failed;
});

test("an event that never was sent is sent, whoever we are now", async () => {
  await server.hangUp();
  const sending = lobby.send("say", 1);
  clock.advance(0);
  await server.greet();
  await server.reply({ ...RECOVERED, position: ["e2", 0], recovered: false });
  await server.reply({ position: ["e2", 1] });
  await sending;
});

test("an event that cannot be sent in time fails, and is not sent later", async () => {
  await server.hangUp();
  const failed = assert.rejects(lobby.send("say", 1, { timeout: 500 }), { code: "disconnected" });
  clock.advance(500);
  await failed;
  await server.greet({ user: ANA });
  await server.reply({ ...RECOVERED, position: ["e1", 0] });
  assert.deepEqual(events(), []);
});

test("an event that nobody answers in time fails", async () => {
  const failed = assert.rejects(lobby.send("say", 1), { code: "timeout" });
  clock.advance(29_999);
  await server.say({ type: "pong" });
  clock.advance(1);
  await failed;
});

test("no event is sent again when the server may have forgotten its key", async () => {
  await server.hangUp();
  const failed = assert.rejects(lobby.send("say", 1, { timeout: 1e9 }), { code: "disconnected" });
  clock.advance(240_000);
  await failed;
});

test("an event that the server refuses fails with its reason and is not sent again", async () => {
  const failed = assert.rejects(lobby.send("say", 1), { code: "invalid_payload" });
  await server.refuse("invalid_payload");
  await failed;
  await comeBack();
  assert.deepEqual(events(), []);
});

// Being told to wait

async function refuseFor(seconds, { id } = server.last) {
  const frame = { type: "error", id, code: "rate_limited", message: "Wait." };
  await server.say({ ...frame, retry_after: seconds });
}

const payloads = () => events().map(({ payload }) => payload);

test("an event that came too fast is sent again with its key after the wait", async () => {
  const sending = lobby.send("say", 1);
  await refuseFor(2.5);
  clock.advance(2_499);
  assert.deepEqual(payloads(), [1]);
  clock.advance(1);
  const [{ key: first }, { key: second }] = events();
  assert.equal(first, second);
  await server.reply({ position: ["e1", 1] });
  assert.deepEqual((await sending).position, ["e1", 1]);
});

test("the wait is a little longer than asked, so that not everybody comes back at once", () => {
  assert.equal(waitAfter({ retryAfter: 2_000 }, { random: () => 0.5 }), 2_250);
});

test("while the server is unavailable an event is tried again each second", async () => {
  const sending = lobby.send("say", 1);
  await server.refuse("unavailable");
  clock.advance(1_000);
  await server.refuse("unavailable");
  clock.advance(1_000);
  assert.deepEqual(payloads(), [1, 1, 1]);
  await server.reply();
  await sending;
});

test("nothing overtakes an event that was refused, and then they go one by one", async () => {
  lobby.send("say", 1);
  lobby.send("say", 2);
  const [one, two] = events();
  await refuseFor(1, one);
  lobby.send("say", 3);
  await refuseFor(2, two);
  clock.advance(1_999);
  assert.deepEqual(payloads(), [1, 2]);
  clock.advance(1);
  assert.deepEqual(payloads(), [1, 2, 1]);
  await server.reply();
  await refuseFor(1);
  clock.advance(1_000);
  await server.reply();
  await server.reply();
  assert.deepEqual(payloads(), [1, 2, 1, 2, 2, 3]);
  lobby.send("say", 4);
  lobby.send("say", 5);
  assert.deepEqual(payloads().slice(-2), [4, 5]);
});

test("what is still under way is waited for before what was refused is sent again", async () => {
  lobby.send("say", 1);
  lobby.send("say", 2);
  const [one, two] = events();
  await refuseFor(1, one);
  clock.advance(1_000);
  assert.deepEqual(payloads(), [1, 2]);
  await server.say({ type: "reply", id: two.id });
  assert.deepEqual(payloads(), [1, 2, 1]);
});

test("an event fails at once when the wait is longer than its time", async () => {
  const failed = assert.rejects(lobby.send("say", 1, { timeout: 2_000 }), {
    code: "rate_limited",
    retryAfter: 2_000,
  });
  await refuseFor(2);
  await failed;
});

test("an event whose time is over while another was told to wait fails for that reason", async () => {
  lobby.send("say", 1);
  await refuseFor(10);
  const failed = assert.rejects(lobby.send("say", 2, { timeout: 500 }), { code: "rate_limited" });
  clock.advance(500);
  await failed;
  assert.deepEqual(payloads(), [1]);
});

test("an event that was only ever refused is sent, whoever we are after a reconnect", async () => {
  const sending = lobby.send("say", 1);
  await refuseFor(1);
  await comeBack({ user: null });
  assert.deepEqual(payloads(), []);
  clock.advance(1_000);
  await server.reply();
  await sending;
});

test("leaving the room forgets the wait", async () => {
  const failed = assert.rejects(lobby.send("say", 1), { code: "closed" });
  await refuseFor(5);
  client.close();
  await failed;
  assert.equal(clock.pending, 0);
});

// Limits

test("a room keeps no more events waiting than it may", async () => {
  await server.hangUp();
  const waiting = [1, 2, 3].map((number) => lobby.send("say", number));
  await assert.rejects(lobby.send("say", 4), { code: "limit_exceeded" });
  const closed = waiting.map((sending) => assert.rejects(sending, { code: "closed" }));
  client.close();
  await Promise.all(closed);
  assert.equal(clock.pending, 0);
});

test("leaving the room gives up what waits", async () => {
  const failed = assert.rejects(lobby.send("say", 1), { code: "closed" });
  lobby.leave().catch(() => {});
  await failed;
});

test("what cannot be written as JSON fails and leaves nothing behind", async () => {
  const timers = clock.pending;
  await assert.rejects(lobby.send("say", 1n), TypeError);
  assert.equal(clock.pending, timers);
});

test("in a room that we have not asked to join an event is sent once", async () => {
  const music = client.room("music");
  const failed = assert.rejects(music.send("say", 1), { code: "disconnected" });
  assert.equal(server.last.room, "music");
  await comeBack();
  await failed;
  await settled();
  assert.deepEqual(events(), []);
});
