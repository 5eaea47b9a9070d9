import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Conversation } from "../../../web/chat/conversation.js";
import { Client } from "../../../web/rooms.js";
import { Clock } from "../support/clock.mjs";
import { FakeServer, settled } from "../support/server.mjs";
import { View } from "../support/view.mjs";

let clock;
let server;
let client;
let view;
let lobby;

beforeEach(async () => {
  clock = new Clock();
  server = new FakeServer();
  view = new View();
  client = new Client("ws://127.0.0.1/ws", {
    WebSocket: server.WebSocket,
    timers: clock,
    random: () => 0,
  });
  client.connect();
  await server.greet({ user: { id: "Ana", name: "Ana" } });
  lobby = new Conversation(client.room("lobby"), client, view, clock);
  client.join("lobby");
  await server.admit({ Ana: [] });
});

const publication = (offset, user, payload) => ({
  type: "event", event: "say", room: "lobby", payload, from: { user }, position: ["e1", offset],
});

async function greetAgain(fields = { recovered: true, missed: [], more: false }) {
  await server.greet({ user: { id: "Ana", name: "Ana" } });
  await server.reply({ presence: { Ana: [] }, count: 1, position: ["e1", 1], ...fields });
}

async function reconnect(fields) {
  await server.hangUp();
  clock.advance(0);
  await greetAgain(fields);
}

/** Let so much time pass that nobody tries any more to deliver a message. */
async function expire() {
  clock.advance(30_000);
  await settled();
}

const event = (name, user, payload) =>
  server.say({ type: "event", event: name, room: "lobby", payload, from: { client: "x", user } });
const said = (user, text, key) => event("say", user, { text, key });
const presence = (joined, left, count = 2) =>
  server.say({ type: "presence", room: "lobby", joined, left, count });

// Messages

test("a message is shown at once and marked when the server has it", async () => {
  lobby.say("hi");
  assert.deepEqual(view.texts, ["Ana: hi"]);
  assert.deepEqual(view.statuses, ["pending"]);
  await server.reply({ position: ["e1", 1] });
  assert.deepEqual(view.statuses, ["sent"]);
});

test("one's own message is not shown again when the server delivers it", async () => {
  lobby.say("hi");
  await event("say", "Ana", server.last.payload);
  assert.deepEqual(view.texts, ["Ana: hi"]);
  assert.deepEqual(view.statuses, ["sent"]);
});

test("a message that the server refuses has failed and says why", async () => {
  lobby.say("hi");
  await server.refuse("limit_exceeded", "Slow down.");
  assert.deepEqual(view.statuses, ["failed"]);
  assert.equal(view.entries[0].reason, "Not delivered: Slow down.");
});

test("a message that was under way when the connection broke is sent again by itself", async () => {
  lobby.say("hi");
  const { key } = server.last;
  await reconnect();
  assert.deepEqual(view.statuses, ["pending"]);
  assert.deepEqual(server.last.payload, { text: "hi", key });
  assert.equal(server.last.key, key);
  await server.reply({ position: ["e1", 1] });
  assert.deepEqual(view.statuses, ["sent"]);
});

test("a message without a connection fails after a while and can be sent again", async () => {
  await server.hangUp();
  lobby.say("hi");
  const [{ id }] = view.entries;
  await expire();
  assert.deepEqual(view.statuses, ["failed"]);
  assert.equal(view.entries[0].reason, "Not delivered: no connection.");
  client.connect();
  await greetAgain();
  lobby.retry(id);
  assert.deepEqual(view.statuses, ["pending"]);
  assert.equal(server.last.key, id);
  await server.reply({ position: ["e1", 1] });
  assert.deepEqual(view.statuses, ["sent"]);
});

test("a message whose fate nobody knows says so, and is sent again with its key only", async () => {
  lobby.say("hi");
  const { key } = server.last;
  await reconnect({ recovered: false, reason: "epoch_changed", position: ["e2", 0] });
  assert.deepEqual(view.statuses, ["failed", undefined]);
  assert.equal(view.entries[0].reason, "Perhaps not delivered.");
  lobby.retry(key);
  assert.equal(server.last.key, key);
});

test("a message that comes back to us was delivered, whatever its answer", async () => {
  lobby.say("hi");
  const { payload } = server.last;
  await server.hangUp();
  clock.advance(0);
  await greetAgain({ recovered: true, missed: [publication(1, "Ana", payload)], more: false });
  assert.deepEqual(view.texts, ["Ana: hi"]);
  assert.deepEqual(view.statuses, ["sent"]);
});

test("a message that arrives twice is shown once", async () => {
  await said("Ben", "hello", "k1");
  await said("Ben", "hello", "k1");
  assert.deepEqual(view.texts, ["Ben: hello"]);
});

test("nobody can hide a message by using its key first", async () => {
  await said("Mallory", "first", "k1");
  await said("Ben", "hello", "k1");
  assert.deepEqual(view.texts, ["Mallory: first", "Ben: hello"]);
});

test("what one says in another window is shown as one's own", async () => {
  await said("Ana", "from my phone", "other");
  assert.equal(view.entries[0].own, true);
  assert.equal(lobby.unread, 0);
});

test("messages without text are left out, those without key are shown", async () => {
  for (const payload of [null, 7, {}, { text: 7 }]) await event("say", "Ben", payload);
  await said("Ben", "same");
  await said("Ben", "same");
  assert.deepEqual(view.texts, ["Ben: same", "Ben: same"]);
});

test("only the newest messages are kept", async () => {
  for (let number = 1; number <= 1002; number++) await said("Ben", `${number}`);
  assert.equal(view.entries.length, 1000);
  assert.equal(view.entries[0].text, "3");
});

// Unread

test("messages are unread until somebody looks", async () => {
  await said("Ben", "one");
  await said("Ben", "two");
  assert.equal(lobby.unread, 2);
  lobby.look(true);
  assert.equal(lobby.unread, 0);
  await said("Ben", "three");
  assert.equal(lobby.unread, 0);
  assert.equal(view.unreadChanges, 3);
});

// Typing

test("writing is told now and then, and again after a message", () => {
  const told = () => server.received.filter(({ event: name }) => name === "typing").length;
  lobby.writing();
  lobby.writing();
  assert.equal(told(), 1);
  clock.advance(2_500);
  lobby.writing();
  assert.equal(told(), 2);
  lobby.say("done");
  lobby.writing();
  assert.equal(told(), 3);
});

test("somebody types until they have said it or have stopped", async () => {
  for (const user of ["Ben", "Cem", "Ana", 7]) lobby.typed(user);
  assert.deepEqual(lobby.typists, ["Ben", "Cem"]);
  await said("Ben", "done");
  assert.deepEqual(lobby.typists, ["Cem"]);
  clock.advance(4_000);
  lobby.typed("Cem");
  clock.advance(4_999);
  assert.deepEqual(lobby.typists, ["Cem"]);
  clock.advance(1);
  assert.deepEqual(lobby.typists, []);
});

// Presence

test("people are listed with oneself first and the others by name", async () => {
  await presence({ Zoe: [], Ben: [] }, {}, 3);
  assert.deepEqual(lobby.people, ["Ana", "Ben", "Zoe"]);
  assert.equal(lobby.count, 3);
});

test("who comes and who goes is noticed", async () => {
  await presence({ Ben: [] }, {});
  assert.deepEqual(view.texts, ["Ben joined"]);
  await presence({}, { Ben: [] }, 1);
  clock.advance(0);
  assert.deepEqual(lobby.people, ["Ana"]);
  assert.deepEqual(view.texts, ["Ben joined", "Ben left"]);
});

test("who is not back as soon as we are has not left yet", async () => {
  await presence({ Ben: [], Cem: [] }, {}, 3);
  const before = view.texts;
  await reconnect();
  clock.advance(4_999);
  await presence({ Ben: [] }, {}, 2);
  assert.deepEqual(view.texts, before);
  clock.advance(1);
  assert.deepEqual(view.texts, [...before, "Cem left"]);
});

test("in a crowd nobody is noticed", async () => {
  await presence({ Ben: [] }, {}, 31);
  await presence({}, { Ben: [] }, 31);
  clock.advance(10_000);
  assert.deepEqual(view.texts, []);
});

// Ending

test("a conversation that has ended hears nothing and waits for nothing", async () => {
  lobby.typed("Ben");
  await presence({}, { Cem: [] }, 1);
  const timers = clock.pending;
  lobby.end();
  assert.equal(clock.pending, timers - 2);
  await said("Ben", "too late");
  await settled();
  assert.deepEqual(view.texts, []);
});

// Who may not be here

test("who is taken out is told why, and is back after asking", async () => {
  await server.say({ type: "left", room: "lobby", reason: "forbidden" });
  assert.match(lobby.closed, /may not be in this room any more/);
  assert.deepEqual(lobby.people, []);
  client.join("lobby");
  await server.admit({ Ana: [] });
  await settled();
  lobby.begin();
  assert.equal(lobby.closed, "");
});

test("a reason without words of its own is told as it is", async () => {
  await server.say({ type: "left", room: "lobby", reason: "odd" });
  assert.equal(lobby.closed, "The server took you out: odd.");
});

test("who is not let in again after a loss is told so", async () => {
  await server.hangUp();
  clock.advance(0);
  await server.greet({ user: { id: "Ana", name: "Ana" } });
  await server.refuse("forbidden");
  assert.equal(lobby.closed, "You may not enter this room.");
});

test("people are called what the server calls them, and known by their id", async () => {
  await presence({ u17: [{ client: "c7" }, { client: "c8", details: { name: "Ben" } }] }, {});
  await said("u17", "Hello");
  const [notice, message] = view.entries.slice(-2);
  assert.equal(notice.notice, "Ben joined");
  assert.deepEqual([message.user, message.name], ["u17", "Ben"]);
  assert.equal(lobby.nameOf("u18"), "u18");
});
