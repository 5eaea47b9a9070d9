import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client } from "../../web/rooms.js";
import { matches } from "../../web/rooms/filters.js";
import { Clock } from "./support/clock.mjs";
import { FakeServer } from "./support/server.mjs";

let clock;
let server;
let client;
let heard;

beforeEach(async () => {
  clock = new Clock();
  server = new FakeServer();
  heard = [];
  client = new Client("ws://127.0.0.1/ws", {
    WebSocket: server.WebSocket,
    timers: clock,
    random: () => 0,
  });
  client.connect();
  await server.greet();
});

const hear = ({ room, payload }) => heard.push([room, payload]);

const said = (room, payload, offset = payload) => ({
  type: "event", event: "say", room, payload, position: ["e1", offset],
});

async function subscribe(filter, listener = hear) {
  const subscribing = client.subscribe(filter, listener);
  await server.reply();
  return subscribing;
}

test("filters match as MQTT says", () => {
  const table = [
    ["news", "news", true],
    ["news", "news/sport", false],
    ["news/+", "news/sport", true],
    ["news/+", "news", false],
    ["news/+", "news/sport/tennis", false],
    ["news/#", "news", true],
    ["news/#", "news/sport/tennis", true],
    ["+/sport", "news/sport", true],
    ["+", "", true],
    ["#", "anything/at/all", true],
    ["#", "$server/load", false],
    ["+/load", "$server/load", false],
    ["$server/#", "$server/load", true],
    ["news/sport", "news", false],
  ];
  for (const [filter, room, expected] of table) {
    assert.equal(matches(filter, room), expected, `${filter} ${room}`);
  }
});

test("a filter brings the events of the rooms that it names until it is given up", async () => {
  const stop = await subscribe("news/#");
  assert.deepEqual(server.last, { type: "subscribe", filter: "news/#", id: server.last.id });
  await server.say(said("news/sport", 1));
  await server.say(said("elsewhere", 2));
  stop();
  stop();
  assert.deepEqual(server.last, { type: "unsubscribe", filter: "news/#" });
  assert.equal(server.received.length, 2);
  await server.say(said("news/sport", 3));
  assert.deepEqual(heard, [["news/sport", 1]]);
});

test("a filter brings the events of a room that we are in, too, which hears them once", async () => {
  const joining = client.join("news/sport");
  await server.admit();
  const inRoom = [];
  (await joining).on("say", ({ payload }) => inRoom.push(payload));
  await subscribe("news/#");
  await server.say(said("news/sport", 1));
  assert.deepEqual(heard, [["news/sport", 1]]);
  assert.deepEqual(inRoom, [1]);
});

test("two listeners of one filter are one subscription", async () => {
  const subscribing = Promise.all([client.subscribe("#", hear), client.subscribe("#", hear)]);
  assert.equal(server.received.length, 1);
  await server.reply();
  const [stop, stopOther] = await subscribing;
  stop();
  assert.equal(server.received.length, 1);
  await server.say(said("lobby", 1));
  assert.deepEqual(heard, [["lobby", 1]]);
  stopOther();
  assert.equal(server.last.type, "unsubscribe");
});

test("a filter is followed again after a reconnect, unless it was given up", async () => {
  await subscribe("news/#");
  const stop = await subscribe("other/#");
  await server.hangUp();
  stop();
  clock.advance(0);
  await server.greet();
  assert.deepEqual(server.received.map(({ filter }) => filter), ["news/#"]);
});

test("a subscription waits for the connection", async () => {
  await server.hangUp();
  const subscribing = client.subscribe("news/#", hear);
  clock.advance(0);
  client.onState(({ state }) => state === "open" && client.subscribe("sport", hear));
  await server.greet();
  assert.deepEqual(server.received.map(({ filter }) => filter), ["sport", "news/#"]);
  for (const { id } of server.received) await server.say({ type: "reply", id });
  await subscribing;
});

test("a filter that the server refuses fails, and may be tried again", async () => {
  const failed = assert.rejects(client.subscribe("a#", hear), { code: "invalid_filter" });
  await server.refuse("invalid_filter");
  await failed;
  await subscribe("a#");
});

test("a filter that is refused after a reconnect is an error of the client's", async () => {
  const errors = [];
  client.onError(({ code }) => errors.push(code));
  await subscribe("news/#");
  await server.hangUp();
  clock.advance(0);
  await server.greet();
  await server.refuse("limit_exceeded");
  assert.deepEqual(errors, ["limit_exceeded"]);
});

test("closing the client ends its subscriptions", async () => {
  await subscribe("news/#");
  client.close();
  client.connect();
  await server.greet();
  assert.deepEqual(server.received, []);
  await subscribe("news/#", () => {});
  await server.say(said("news/sport", 1));
  assert.deepEqual(heard, []);
});

test("a subscription that the server ends is reported, and not asked for again", async () => {
  const errors = [];
  client.onError((error) => errors.push(error.code));
  await subscribe("news/#");
  await server.say({ type: "left", filter: "news/#", reason: "forbidden" });
  assert.deepEqual(errors, ["forbidden"]);
  await server.say(said("news/1", 1));
  assert.deepEqual(heard, []);
  await server.hangUp();
  clock.advance(0);
  await server.greet();
  assert.deepEqual(server.received, []);
});
