import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client, RoomsError, connect } from "../../web/rooms.js";
import { Clock } from "./support/clock.mjs";
import { FakeServer, settled } from "./support/server.mjs";

const URL = "ws://127.0.0.1/ws";

let clock;
let server;
let states;

beforeEach(() => {
  clock = new Clock();
  server = new FakeServer();
  states = [];
});

function start(options = {}) {
  const client = new Client(URL, {
    WebSocket: server.WebSocket,
    timers: clock,
    random: () => 0.5,
    ...options,
  });
  client.onState((change) => states.push(change));
  client.connect();
  return client;
}

async function startOpen(options) {
  const client = start(options);
  await server.greet();
  return client;
}

const named = (list) => list.map(({ state }) => state);

// Connecting

test("a client is open once the server has greeted it", async () => {
  const client = start();
  assert.equal(client.state, "connecting");
  await server.greet({ client: "c7", user: { id: "ana", name: "Ana" } });
  assert.equal(client.state, "open");
  assert.equal(client.id, "c7");
  assert.deepEqual(client.user, { id: "ana", name: "Ana" });
  assert.deepEqual(client.limits, { message: 65536, rooms: 128 });
  assert.deepEqual(named(states), ["connecting", "open"]);
});

test("a client that is connecting does not connect twice", () => {
  const client = start();
  client.connect();
  assert.equal(server.sockets.length, 1);
});

test("connect turns an http address into a WebSocket address", () => {
  const client = connect("http://127.0.0.1:8000/ws", { WebSocket: server.WebSocket });
  client.close();
  assert.equal(server.socket.url, "ws://127.0.0.1:8000/ws");
});

test("a server that does not greet is given up after the time allowed", async () => {
  const client = start();
  clock.advance(9_999);
  assert.equal(client.state, "connecting");
  clock.advance(1);
  assert.equal(client.state, "waiting");
  assert.equal(server.socket.closedWith.code, 1000);
});

// Signing in

test("signing in comes before the client is open", async () => {
  const signIn = (client) => client.authenticate({ name: "Ana", secret: "s" });
  const client = start({ signIn });
  await server.greet();
  assert.equal(client.state, "connecting");
  assert.deepEqual(server.last, { type: "auth", name: "Ana", secret: "s", id: server.last.id });
  await server.reply({ user: { id: "Ana", name: "Ana" } });
  assert.equal(client.state, "open");
  assert.deepEqual(client.user, { id: "Ana", name: "Ana" });
});

test("a refused sign-in closes the client with the server's reason", async () => {
  const client = start({ signIn: (it) => it.authenticate({ name: "Ana" }) });
  await server.greet();
  await server.refuse("name_taken", "Choose another name.");
  assert.equal(client.state, "closed");
  assert.equal(states.at(-1).error.code, "name_taken");
  assert.equal(clock.pending, 0);
});

test("a connection lost while signing in is made again", async () => {
  const client = start({ signIn: (it) => it.authenticate({ name: "Ana" }) });
  await server.greet();
  await server.hangUp();
  assert.equal(client.state, "waiting");
});

test("a sign-in that the server cannot do for the moment is tried again", async () => {
  const client = start({ signIn: (it) => it.authenticate({ name: "Ana" }) });
  await server.greet();
  await server.refuse("unavailable");
  assert.equal(client.state, "waiting");
});

test("a sign-in that the server does not answer is tried again on a new connection", async () => {
  const client = start({ signIn: (it) => it.authenticate({ name: "Ana" }) });
  await server.greet();
  clock.advance(10_000);
  await settled();
  assert.equal(client.state, "waiting");
});

// Requests

test("a request is answered by the reply with its id", async () => {
  const client = await startOpen();
  const answers = Promise.all([client.request("echo", 1), client.request("echo", 2)]);
  const [first, second] = server.received;
  await server.say({ type: "reply", id: second.id, payload: "two" });
  await server.say({ type: "reply", id: first.id, payload: "one" });
  assert.deepEqual(await answers, ["one", "two"]);
});

test("a refused request carries the server's code and message", async () => {
  const client = await startOpen();
  const refused = assert.rejects(client.request("nonsense"), {
    name: "RoomsError",
    code: "unknown_event",
    message: "There is no such event.",
  });
  await server.refuse("unknown_event", "There is no such event.");
  await refused;
});

test("a request that came too fast says how many milliseconds to wait", async () => {
  const client = await startOpen();
  const refused = assert.rejects(client.request("echo"), { code: "rate_limited", retryAfter: 250 });
  await server.refuse("rate_limited", "Wait.", { retry_after: 0.25 });
  await refused;
});

test("a request without an answer fails in time, and a late answer is ignored", async () => {
  const client = await startOpen();
  const failed = assert.rejects(client.request("slow", null, { timeout: 500 }), {
    code: "timeout",
  });
  clock.advance(500);
  await failed;
  await server.reply({ payload: "late" });
  assert.equal(client.state, "open");
});

test("a request fails at once without a connection", async () => {
  const client = start();
  await assert.rejects(client.request("echo"), { code: "disconnected" });
  assert.equal(client.post({ type: "ping" }), false);
});

test("requests under way fail when the connection is lost", async () => {
  const client = await startOpen();
  const failed = assert.rejects(client.request("echo"), { code: "disconnected" });
  await server.hangUp();
  await failed;
});

test("what cannot be written as JSON fails and leaves nothing behind", async () => {
  const client = await startOpen();
  const timers = clock.pending;
  await assert.rejects(client.request("echo", 1n), TypeError);
  assert.equal(clock.pending, timers);
});

test("an error that answers no request reaches the error listeners", async () => {
  const client = await startOpen();
  const errors = [];
  client.onError((error) => errors.push(error.code));
  await server.say({ type: "error", code: "malformed", message: "?" });
  assert.deepEqual(errors, ["malformed"]);
});

// Events

test("an event to the client reaches its listeners until they are taken off", async () => {
  const client = await startOpen();
  const heard = [];
  const off = client.on("notice", ({ payload }) => heard.push(payload));
  await server.say({ type: "event", event: "notice", payload: 1 });
  await server.say({ type: "event", event: "other", payload: 2 });
  off();
  await server.say({ type: "event", event: "notice", payload: 3 });
  assert.deepEqual(heard, [1]);
});

test("a listener that throws is reported and the next one still hears", async (t) => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  t.after(() => delete globalThis.reportError);
  const client = await startOpen();
  const heard = [];
  client.on("notice", () => {
    throw new Error("broken");
  });
  client.on("notice", ({ payload }) => heard.push(payload));
  await server.say({ type: "event", event: "notice", payload: 1 });
  assert.deepEqual(heard, [1]);
  assert.deepEqual(reported, ["broken"]);
});

// Losing the connection

test("a lost connection is made again after the wait", async () => {
  const client = await startOpen();
  await server.hangUp(3001, "server is shutting down");
  assert.deepEqual(states.at(-1), {
    state: "waiting",
    code: 3001,
    reason: "server is shutting down",
    delay: 250,
  });
  clock.advance(249);
  assert.equal(server.sockets.length, 1);
  clock.advance(1);
  await server.greet();
  assert.equal(client.state, "open");
  assert.equal(client.id, "c2");
});

test("a server that restarts says how long to stay away", async () => {
  const client = await startOpen();
  await server.hangUp(3001, "server restarts, retry after 6.25 s");
  assert.equal(states.at(-1).delay, 6250);
  clock.advance(6249);
  assert.equal(server.sockets.length, 1);
  clock.advance(1);
  await server.hangUp();
  assert.equal(states.at(-1).delay, 250);
  assert.equal(client.state, "waiting");
});

test("who was sent away for too many requests stays away for five seconds or longer", async () => {
  await startOpen();
  await server.hangUp(3013, "too many messages");
  assert.equal(states.at(-1).delay, 5_000);
  clock.advance(5_000);
  await server.hangUp(3013, "too many messages, retry after 60 s");
  assert.equal(states.at(-1).delay, 60_000);
});

test("a close code that forbids it keeps the client away", async () => {
  const client = await startOpen();
  await server.hangUp(3503, "disconnected by the server");
  assert.equal(client.state, "closed");
  assert.equal(states.at(-1).code, 3503);
  assert.ok(states.at(-1).error instanceof RoomsError);
  assert.equal(clock.pending, 0);
});

test("waits grow with each failure and start anew after a stable connection", async () => {
  start();
  const waits = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    await server.hangUp();
    waits.push(states.at(-1).delay);
    clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  await server.greet();
  clock.advance(10_000);
  await server.hangUp();
  assert.equal(states.at(-1).delay, 250);
});

test("a server that greets and hangs up at once is asked less and less often", async () => {
  start();
  const waits = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    await server.greet();
    await server.hangUp();
    waits.push(states.at(-1).delay);
    clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [250, 500, 1000]);
});

test("connect shortens the wait", async () => {
  const client = await startOpen();
  await server.hangUp();
  client.connect();
  assert.equal(client.state, "connecting");
  assert.equal(server.sockets.length, 2);
  clock.advance(5_000);
  assert.equal(server.sockets.length, 2);
});

test("close ends everything and connect begins anew", async () => {
  const client = await startOpen();
  const failed = assert.rejects(client.request("echo"), { code: "closed" });
  client.close();
  await failed;
  assert.equal(client.state, "closed");
  assert.deepEqual(server.socket.closedWith, { code: 1000, reason: "" });
  assert.equal(clock.pending, 0);
  client.connect();
  await server.greet();
  assert.equal(client.state, "open");
});

test("a connection that was given up is not listened to any more", async () => {
  const client = start();
  const [old] = server.sockets;
  clock.advance(10_000);
  clock.advance(250);
  await server.greet();
  old.onmessage({ data: '{"type":"welcome","client":"old","ping":1}' });
  old.onclose({ code: 3503, reason: "" });
  await settled();
  assert.equal(client.state, "open");
  assert.equal(client.id, "c2");
});

test("a silent server is asked for a sign of life and then given up", async () => {
  const client = await startOpen();
  clock.advance(25_000);
  assert.deepEqual(server.last, { type: "ping" });
  clock.advance(9_999);
  assert.equal(client.state, "open");
  clock.advance(1);
  assert.equal(client.state, "waiting");
  assert.equal(states.at(-1).code, 3012);
});

test("any frame is a sign of life", async () => {
  const client = await startOpen();
  clock.advance(30_000);
  await server.say({ type: "pong" });
  clock.advance(24_999);
  assert.equal(client.state, "open");
  assert.deepEqual(server.received, [{ type: "ping" }]);
});
