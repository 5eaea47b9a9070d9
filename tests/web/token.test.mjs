import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client, RoomsError } from "../../web/rooms.js";
import { Clock } from "./support/clock.mjs";
import { FakeServer, settled } from "./support/server.mjs";

const ANA = { id: "ana", name: "Ana" };

let clock;
let server;
let states;
let errors;

beforeEach(() => {
  clock = new Clock();
  server = new FakeServer();
  states = [];
  errors = [];
});

async function start(token) {
  const client = new Client("ws://127.0.0.1/ws", {
    WebSocket: server.WebSocket,
    timers: clock,
    random: () => 0.5,
    token,
  });
  client.onState((change) => states.push(change));
  client.onError((error) => errors.push(error));
  client.connect();
  await settled();
  return client;
}

function counted() {
  const source = () => `t${++source.calls}`;
  source.calls = 0;
  return source;
}

const offered = () => server.socket.protocols;
const encoded = (token) => `rooms.token.${Buffer.from(token).toString("base64url")}`;

test("a token goes with the handshake, in base64url", async () => {
  const client = await start("ä?>~\u{1f600}");
  assert.deepEqual(offered(), ["rooms.v1.json", encoded("ä?>~\u{1f600}")]);
  await server.greet({ user: ANA });
  assert.equal(client.state, "open");
  assert.deepEqual(client.user, ANA);
  assert.deepEqual(server.received, []);
});

test("without a token no subprotocol is offered", async () => {
  await start(null);
  assert.equal(offered(), undefined);
});

test("a function is asked before each connection, and may take its time", async () => {
  let give;
  const client = await start(() => new Promise((resolve) => (give = resolve)));
  assert.equal(client.state, "connecting");
  assert.equal(server.sockets.length, 0);
  give("one");
  await settled();
  assert.deepEqual(offered(), ["rooms.v1.json", encoded("one")]);
  await server.greet({ user: ANA });
  await server.hangUp();
  clock.advance(500);
  give("two");
  await settled();
  assert.deepEqual(offered(), ["rooms.v1.json", encoded("two")]);
});

test("a function that has none connects without", async () => {
  await start(async () => null);
  assert.equal(offered(), undefined);
});

test("a client that was closed meanwhile does not connect", async () => {
  let give;
  const client = await start(() => new Promise((resolve) => (give = resolve)));
  client.close();
  give("late");
  await settled();
  assert.equal(server.sockets.length, 0);
  assert.equal(client.state, "closed");
});

test("a token that takes too long to come is waited for no longer than a greeting", async () => {
  const client = await start(() => new Promise(() => {}));
  clock.advance(10_000);
  assert.equal(client.state, "waiting");
});

test("when no token can be got the client tries again later", async () => {
  let calls = 0;
  const client = await start(async () => {
    if (++calls === 1) throw new TypeError("Failed to fetch");
    return "t";
  });
  assert.equal(client.state, "waiting");
  assert.match(states.at(-1).reason, /Failed to fetch/);
  clock.advance(1_000);
  await settled();
  assert.deepEqual(offered(), ["rooms.v1.json", encoded("t")]);
});

test("a function that refuses closes the client with its error", async () => {
  const client = await start(() => {
    throw new RoomsError("signed_out", "Sign in again.");
  });
  assert.equal(client.state, "closed");
  assert.equal(states.at(-1).error.code, "signed_out");
});

test("a refused handshake is tried again by message, where its reason can be read", async () => {
  const client = await start("wrong");
  await server.hangUp(1006);
  assert.equal(client.state, "waiting");
  clock.advance(500);
  await settled();
  assert.equal(offered(), undefined);
  await server.greet({ auth: "required" });
  assert.deepEqual(server.last, { type: "auth", token: "wrong", id: server.last.id });
  assert.equal(client.state, "connecting");
  await server.refuse("unauthorized", "The token has expired.");
  assert.equal(client.state, "closed");
  assert.equal(states.at(-1).error.code, "unauthorized");
  assert.equal(states.at(-1).error.message, "The token has expired.");
  assert.equal(clock.pending, 0);
});

test("after a network failure the token is good by message too, and goes back afterwards", async () => {
  const client = await start("good");
  await server.hangUp(1006);
  clock.advance(500);
  await settled();
  await server.greet({ auth: "optional" });
  await server.reply({ user: ANA });
  assert.equal(client.state, "open");
  assert.deepEqual(client.user, ANA);
  await server.hangUp(1006);
  clock.advance(2_000);
  await settled();
  assert.deepEqual(offered(), ["rooms.v1.json", encoded("good")]);
});

test("a server that asks nobody is not told the token", async () => {
  const client = await start("t");
  await server.hangUp(1006);
  clock.advance(500);
  await settled();
  await server.greet();
  assert.equal(client.state, "open");
  assert.deepEqual(server.received, []);
});

test("a close with 3500 is final and says why", async () => {
  const client = await start("t");
  await server.greet({ user: ANA });
  await server.hangUp(3500, "sign-in revoked");
  assert.equal(client.state, "closed");
  const { error } = states.at(-1);
  assert.ok(error instanceof RoomsError);
  assert.equal(error.code, "unauthorized");
  assert.equal(error.message, "sign-in revoked");
});

test("an expired token brings the client back with a new one", async () => {
  const source = counted();
  const client = await start(source);
  await server.greet({ user: ANA });
  await server.hangUp(3005, "token expired");
  assert.equal(client.state, "waiting");
  clock.advance(500);
  await settled();
  assert.deepEqual(offered(), ["rooms.v1.json", encoded("t2")]);
});

test("a new token is sent before the old one runs out, again and again", async () => {
  const source = counted();
  const client = await start(source);
  await server.greet({ user: ANA, expires_in: 100, ping: 1000 });
  clock.advance(79_999);
  await settled();
  assert.equal(source.calls, 1);
  clock.advance(1);
  await settled();
  assert.deepEqual(server.last, { type: "auth", token: "t2", id: server.last.id });
  await server.reply({ user: ANA, expires_in: 10 });
  clock.advance(8_000);
  await settled();
  assert.deepEqual(server.last, { type: "auth", token: "t3", id: server.last.id });
  assert.equal(client.state, "open");
});

test("a long time is used up but for half a minute, and a very long one is no problem", async () => {
  const source = counted();
  await start(source);
  const delays = [];
  const { setTimeout } = clock;
  clock.setTimeout = (callback, delay) => (delays.push(delay), setTimeout.call(clock, callback, delay));
  await server.greet({ user: ANA, expires_in: 3600 });
  await server.say({ type: "welcome", client: "c", user: ANA, ping: 25, limits: {}, expires_in: 1e9 });
  assert.ok(delays.includes(3_570_000));
  assert.ok(delays.includes(2 ** 31 - 1));
});

test("a renewal that fails is told and changes nothing", async () => {
  const client = await start(counted());
  await server.greet({ user: ANA, expires_in: 10 });
  clock.advance(8_000);
  await settled();
  await server.refuse("unauthorized", "No.");
  assert.deepEqual(errors.map(({ code }) => code), ["unauthorized"]);
  assert.equal(client.state, "open");
});

test("a token that is a text cannot be renewed", async () => {
  await start("t");
  await server.greet({ user: ANA, expires_in: 10 });
  clock.advance(9_000);
  await settled();
  assert.deepEqual(server.received, []);
});

test("a client that is closed renews nothing", async () => {
  const client = await start(counted());
  await server.greet({ user: ANA, expires_in: 100 });
  client.close();
  assert.equal(clock.pending, 0);
});
