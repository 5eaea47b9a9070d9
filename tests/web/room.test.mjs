import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client } from "../../web/rooms.js";
import { Clock } from "./support/clock.mjs";
import { FakeServer, settled } from "./support/server.mjs";

const ANA = [{ client: "c1" }];
const BEN = [{ client: "c2" }];

let clock;
let server;
let client;

beforeEach(async () => {
  clock = new Clock();
  server = new FakeServer();
  client = new Client("ws://127.0.0.1/ws", {
    WebSocket: server.WebSocket,
    timers: clock,
    random: () => 0,
  });
  client.connect();
});

async function joinLobby(presence = { Ana: ANA }) {
  await server.greet();
  const joining = client.join("lobby");
  await server.admit(presence);
  return joining;
}

async function reconnect() {
  await server.hangUp();
  clock.advance(0);
  await server.greet();
}

// Joining and leaving

test("joining brings who is there and where the room stands", async () => {
  await server.greet();
  const joining = client.join("lobby");
  assert.deepEqual(server.last, { type: "join", room: "lobby", id: server.last.id });
  await server.admit({ Ana: ANA, Ben: BEN }, ["e1", 41]);
  const lobby = await joining;
  assert.equal(lobby.joined, true);
  assert.equal(lobby.count, 2);
  assert.deepEqual([...lobby.presence], [["Ana", ANA], ["Ben", BEN]]);
  assert.deepEqual(lobby.position, ["e1", 41]);
});

test("a join waits for the connection", async () => {
  const joining = client.join("lobby");
  assert.deepEqual(server.received, []);
  await server.greet();
  await server.admit();
  assert.equal((await joining).joined, true);
});

test("joining twice asks the server once", async () => {
  await server.greet();
  const joining = Promise.all([client.join("lobby"), client.join("lobby")]);
  await server.admit();
  const [one, other] = await joining;
  assert.equal(one, other);
  assert.equal(server.received.length, 1);
});

test("a join that a listener makes when the client opens is asked for once", async () => {
  client.onState(({ state }) => state === "open" && client.join("lobby"));
  await server.greet();
  assert.equal(server.received.length, 1);
});

test("a refused join fails with the server's code and may be tried again", async () => {
  await server.greet();
  const refused = assert.rejects(client.join("no+pe"), { code: "invalid_name" });
  await server.refuse("invalid_name");
  await refused;
  const joining = client.join("no+pe");
  await server.admit();
  assert.equal((await joining).joined, true);
});

test("a join without an answer fails, and is taken back", async () => {
  await server.greet();
  const failed = assert.rejects(client.join("lobby"), { code: "timeout" });
  clock.advance(10_000);
  await failed;
  assert.deepEqual(server.last, { type: "leave", room: "lobby" });
});

test("leaving asks the server and forgets who was there", async () => {
  const lobby = await joinLobby();
  const leaving = lobby.leave();
  assert.deepEqual(server.last, { type: "leave", room: "lobby", id: server.last.id });
  await server.reply();
  await leaving;
  assert.equal(lobby.joined, false);
  assert.equal(lobby.presence.size, 0);
  assert.equal(lobby.count, 0);
});

test("a room that was left while joining and joined again is joined", async () => {
  await server.greet();
  const lobby = client.room("lobby");
  const first = assert.rejects(lobby.join(), { code: "closed" });
  const leaving = lobby.leave();
  const second = lobby.join();
  const [join, leave, again] = server.received;
  await server.say({ type: "reply", id: join.id, presence: { Old: [] }, count: 1 });
  assert.equal(lobby.joined, false);
  await server.say({ type: "reply", id: leave.id });
  await server.say({ type: "reply", id: again.id, presence: { Ana: ANA }, count: 1 });
  await Promise.all([first, leaving, second]);
  assert.deepEqual([...lobby.presence.keys()], ["Ana"]);
});

test("leaving a room without a connection needs no answer", async () => {
  const lobby = await joinLobby();
  await server.hangUp();
  await lobby.leave();
  clock.advance(0);
  await server.greet();
  assert.deepEqual(server.received, []);
});

// Coming back

test("rooms are joined again after a reconnect, those that were left are not", async () => {
  const lobby = await joinLobby();
  const music = client.join("music");
  await server.admit();
  const leaving = (await music).leave();
  await server.reply();
  await leaving;
  await server.hangUp();
  assert.equal(lobby.joined, false);
  clock.advance(0);
  await server.greet();
  assert.deepEqual(server.received.map(({ type, room }) => [type, room]), [["join", "lobby"]]);
  await server.admit({ Ana: ANA });
  assert.equal(lobby.joined, true);
});

test("a rejoin that the server refuses is reported", async () => {
  const lobby = await joinLobby();
  const refusals = [];
  lobby.onRefused((error) => refusals.push(error.code));
  await reconnect();
  await server.refuse("limit_exceeded");
  assert.deepEqual(refusals, ["limit_exceeded"]);
  await reconnect();
  assert.deepEqual(server.received, []);
});

test("a rejoin that the server refuses for the moment is tried again", async () => {
  const lobby = await joinLobby();
  lobby.onRefused(() => assert.fail("not for good"));
  await reconnect();
  await server.refuse("rate_limited", "Wait.", { retry_after: 2 });
  clock.advance(1_999);
  assert.equal(server.received.length, 1);
  clock.advance(1);
  await server.admit();
  assert.equal(lobby.joined, true);
});

test("a rejoin that waits is not made when the room is left", async () => {
  const lobby = await joinLobby();
  await reconnect();
  await server.refuse("unavailable");
  await lobby.leave();
  clock.advance(1_000);
  assert.equal(server.received.length, 1);
});

test("a first join that the server refuses for the moment fails", async () => {
  await server.greet();
  const refused = assert.rejects(client.join("lobby"), { code: "rate_limited", retryAfter: 2_000 });
  await server.refuse("rate_limited", "Wait.", { retry_after: 2 });
  await refused;
});

test("a join that a broken connection cut short is sent again", async () => {
  await server.greet();
  const joining = client.join("lobby");
  await reconnect();
  await server.admit();
  assert.equal((await joining).joined, true);
});

test("a close for good fails joins that wait", async () => {
  const failed = assert.rejects(client.join("lobby"), { code: "closed" });
  client.close();
  await failed;
});

// Events

test("events of a room reach its listeners and move its position", async () => {
  const lobby = await joinLobby();
  const heard = [];
  lobby.on("say", ({ payload, from }) => heard.push([from.user, payload.text]));
  const said = { type: "event", event: "say", payload: { text: "hi" }, from: { user: "Ben" } };
  await server.say({ ...said, room: "lobby", position: ["e1", 42] });
  await server.say({ ...said, room: "elsewhere", position: ["e1", 7] });
  assert.deepEqual(heard, [["Ben", "hi"]]);
  assert.deepEqual(lobby.position, ["e1", 42]);
});

test("notify sends without an id, and only to a room that was joined", async () => {
  const lobby = await joinLobby();
  assert.equal(lobby.notify("typing", {}), true);
  assert.deepEqual(server.last, { type: "event", event: "typing", room: "lobby", payload: {} });
  await server.hangUp();
  assert.equal(lobby.notify("typing", {}), false);
});

// Presence

test("presence follows who comes and who goes", async () => {
  const lobby = await joinLobby();
  const changes = [];
  lobby.onPresence((change) => changes.push(change));
  await server.say({
    type: "presence", room: "lobby", joined: { Ben: BEN }, left: {}, count: 2,
  });
  assert.deepEqual([...lobby.presence.keys()], ["Ana", "Ben"]);
  assert.equal(lobby.count, 2);
  await server.say({
    type: "presence", room: "lobby", joined: {}, left: { Ben: BEN }, count: 1,
  });
  assert.deepEqual([...lobby.presence.keys()], ["Ana"]);
  assert.deepEqual(changes.map(({ joined, left, count, fresh }) => [
    [...joined.keys()], [...left.keys()], count, fresh,
  ]), [[["Ben"], [], 2, false], [[], ["Ben"], 1, false]]);
});

test("who came is told once, also when the reply to the join told it before", async () => {
  const lobby = await joinLobby();
  const told = [];
  lobby.onPresence(({ joined, count }) => told.push([[...joined.keys()], count]));
  await server.say({
    type: "presence", room: "lobby", joined: { Ana: ANA, Ben: BEN }, left: {}, count: 2,
  });
  assert.deepEqual(told, [[["Ben"], 2]]);
});

test("after a rejoin presence tells who came and went meanwhile", async () => {
  const lobby = await joinLobby({ Ana: ANA, Ben: BEN });
  const changes = [];
  lobby.onPresence((change) => changes.push(change));
  await reconnect();
  await server.admit({ Ana: ANA, Cem: [] });
  const [{ joined, left, fresh }] = changes;
  assert.deepEqual([[...joined.keys()], [...left.keys()], fresh], [["Cem"], ["Ben"], true]);
});

test("a user whose name is a key of every object is a user like any other", async () => {
  const lobby = await joinLobby();
  const frame = '{"type":"presence","room":"lobby","joined":{"__proto__":[]},"left":{},"count":2}';
  server.socket.onmessage({ data: frame });
  await settled();
  assert.deepEqual([...lobby.presence.keys()], ["Ana", "__proto__"]);
});

test("users whose connections or details changed are told as changed", async () => {
  const lobby = await joinLobby({ Ana: ANA });
  const told = [];
  lobby.onPresence(({ joined, left, changed }) => told.push([joined.size, left.size, changed]));
  const away = [{ client: "c1", details: { away: true } }];
  await server.say({
    type: "presence", room: "lobby", joined: {}, left: {}, changed: { Ana: away }, count: 1,
  });
  assert.deepEqual(told, [[0, 0, new Map([["Ana", away]])]]);
  assert.deepEqual(lobby.presence.get("Ana"), away);
});

test("a change that is older than the list is ignored", async () => {
  const lobby = await joinLobby({ Ana: ANA, Ben: BEN });
  const change = { type: "presence", room: "lobby", joined: {}, left: { Ben: BEN }, count: 1 };
  await reconnect();
  await server.admit({ Ana: ANA, Ben: BEN }, ["e1", 5]);
  await server.say({ ...change, position: ["e1", 4] });
  assert.equal(lobby.presence.size, 2);
  await server.say({ ...change, position: ["e1", 5] });
  assert.equal(lobby.presence.size, 1);
});

test("a change too large to be told is made good by a list", async () => {
  const lobby = await joinLobby({ Ana: ANA });
  const told = [];
  lobby.onPresence(({ joined, count, fresh }) => told.push([[...joined.keys()], count, fresh]));
  await server.say({
    type: "presence", room: "lobby", joined: { Ben: BEN }, left: {}, count: 3, more: true,
  });
  const { id, ...frame } = server.last;
  assert.deepEqual(frame, { type: "presence", room: "lobby", limit: 100 });
  await server.say({
    type: "reply", id, presence: { Ana: ANA, Ben: BEN, Cem: [] }, count: 3, more: false,
  });
  assert.deepEqual([...lobby.presence.keys()], ["Ana", "Ben", "Cem"]);
  assert.deepEqual(told, [[["Ben"], 3, false], [[], 3, true]]);
});

test("changes that were dropped are made good by a list", async () => {
  const lobby = await joinLobby({ Ana: ANA });
  lobby.onGap(() => assert.fail("no event was dropped"));
  await server.say({
    type: "dropped", room: "lobby", count: 0, position: ["e1", 0], presence: true,
  });
  await server.reply({ presence: { Ana: ANA, Ben: BEN }, count: 2, position: ["e1", 0] });
  assert.deepEqual([...lobby.presence.keys()], ["Ana", "Ben"]);
});

test("of lists that are cut short nobody is said to have come or gone", async () => {
  const lobby = await joinLobby({ Ana: ANA });
  const told = [];
  lobby.onPresence(({ joined, left }) => told.push([joined.size, left.size]));
  await reconnect();
  await server.reply({ presence: { Ben: BEN }, count: 1000, position: ["e1", 0] });
  await reconnect();
  await server.reply({ presence: { Cem: [], Dan: [] }, count: 2, position: ["e1", 0] });
  assert.deepEqual(told, [[1, 0], [0, 1]]);
});

test("a room that tells nobody who is there still says how many", async () => {
  await server.greet();
  const joining = client.join("lobby");
  await server.reply({ room: "lobby", position: ["e1", 0], count: 5000 });
  const lobby = await joining;
  assert.deepEqual([lobby.presence.size, lobby.count], [0, 5000]);
});

test("who is in a large room can be asked page by page", async () => {
  const lobby = await joinLobby();
  const asking = lobby.listPresence({ after: "Ana", limit: 2 });
  const { id, ...frame } = server.last;
  assert.deepEqual(frame, { type: "presence", room: "lobby", after: "Ana", limit: 2 });
  await server.say({ type: "reply", id, presence: { Ben: BEN }, count: 3, more: true });
  assert.deepEqual(await asking, { presence: new Map([["Ben", BEN]]), count: 3, more: true });
});

// Being taken out

test("who is taken out hears why, and does not go back in by itself", async () => {
  const lobby = await joinLobby();
  const heard = [];
  lobby.onLeft((left) => heard.push(left));
  await server.say({ type: "left", room: "lobby", reason: "forbidden" });
  assert.deepEqual(heard, [{ reason: "forbidden" }]);
  assert.equal(lobby.joined, false);
  assert.equal(lobby.presence.size, 0);
  const before = server.sockets.length;
  await reconnect();
  assert.equal(server.sockets.length, before + 1);
  assert.deepEqual(server.received, []);
});

test("what waits to be sent to a room fails when one is taken out", async () => {
  const lobby = await joinLobby();
  const failed = assert.rejects(lobby.send("say", 1), { code: "forbidden" });
  await server.say({ type: "left", room: "lobby", reason: "forbidden" });
  await failed;
});

test("who was taken out may ask to be let in again", async () => {
  const lobby = await joinLobby();
  await server.say({ type: "left", room: "lobby", reason: "forbidden" });
  const joining = lobby.join();
  await server.say({ type: "left", room: "lobby", reason: "forbidden" }); // of before
  await server.admit({ Ana: ANA });
  await joining;
  assert.equal(lobby.joined, true);
});

// Room tokens

test("a room token goes along with every join", async () => {
  await server.greet();
  client.join("team/1", { token: "t1" });
  assert.equal(server.last.token, "t1");
  await server.admit();
  await reconnect();
  assert.equal(server.last.token, "t1");
});

test("a function is asked for a new room token before each join", async () => {
  let count = 0;
  await server.greet();
  client.join("team/1", { token: async (room) => `${room} ${++count}` });
  await settled();
  assert.equal(server.last.token, "team/1 1");
  await server.admit();
  await reconnect();
  assert.equal(server.last.token, "team/1 2");
  assert.equal(server.received.length, 1);
});

test("a room token that comes too late is not used", async () => {
  const answers = [];
  await server.greet();
  client.join("team/1", { token: () => new Promise((resolve) => answers.push(resolve)) });
  await reconnect();
  answers[0]("late");
  await settled();
  assert.deepEqual(server.received, []);
  answers[1]("new");
  await settled();
  assert.equal(server.last.token, "new");
});

test("a room token that cannot be had is a refusal", async () => {
  await server.greet();
  const failing = () => {
    throw new Error("no token");
  };
  await assert.rejects(client.join("team/1", { token: failing }), { message: "no token" });
});
