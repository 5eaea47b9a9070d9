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
  await server.admit({ Ana: [] }, ["e1", 100]);
});

const said = (offset, user = "Ben", epoch = "e1") => ({
  type: "event",
  event: "say",
  room: "lobby",
  payload: { text: `${offset}` },
  from: { user },
  position: [epoch, offset],
});

/** What was said from one offset down to another. */
function downFrom(first, last, epoch) {
  const offsets = Array.from({ length: first - last + 1 }, (_, index) => first - index);
  return offsets.map((offset) => said(offset, "Ben", epoch));
}

async function answer(publications, more) {
  await server.reply({ publications, more, position: ["e1", 100] });
}

async function begin(publications, more = false) {
  const begun = lobby.begin();
  await answer(publications, more);
  await begun;
}

async function reconnect(fields) {
  await server.hangUp();
  clock.advance(0);
  await server.greet({ user: { id: "Ana", name: "Ana" } });
  await server.reply({ presence: { Ana: [] }, count: 1, position: ["e1", 102], ...fields });
}

const GAP = "Some messages may be missing here";

// Going back

test("who enters sees what was said last, without a time that nobody knows", async () => {
  await begin([said(100), said(99, "Ana")], true);
  assert.deepEqual(view.texts, ["Ana: 99", "Ben: 100"]);
  assert.deepEqual(view.entries.map(({ own, status }) => [own, status]), [
    [true, "sent"], [false, "sent"],
  ]);
  assert.deepEqual(view.timed, []);
  assert.deepEqual(view.states, ["loading", "more"]);
  assert.equal(lobby.unread, 0);
});

test("a room where nothing was said says so", async () => {
  await begin([]);
  assert.deepEqual(view.states, ["loading", "empty"]);
});

test("what was said before comes page by page until there is no more", async () => {
  await begin(downFrom(100, 51), true);
  const loading = lobby.loadOlder();
  lobby.loadOlder();
  const { id, ...frame } = server.last;
  assert.deepEqual(frame, { type: "history", room: "lobby", limit: 50, before: ["e1", 51] });
  await answer(downFrom(50, 1), false);
  await loading;
  assert.deepEqual(view.entries.map(({ text }) => text), downFrom(100, 1).map(
    ({ payload }) => payload.text,
  ).reverse());
  assert.deepEqual(view.states, ["loading", "more", "loading", "end"]);
  assert.ok(id);
});

test("what is said while the past is looked up is shown once and after it", async () => {
  const begun = lobby.begin();
  await server.say(said(101));
  await server.say({ type: "reply", id: server.last.id, publications: [said(101), said(100)],
    more: false, position: ["e1", 101] });
  await begun;
  assert.deepEqual(view.texts, ["Ben: 100", "Ben: 101"]);
  assert.deepEqual(view.timed, ["101"]);
});

test("a page that does not come can be asked for again", async () => {
  const begun = lobby.begin();
  await server.hangUp();
  await begun;
  assert.deepEqual(view.states, ["loading", "more"]);
  clock.advance(0);
  await server.greet({ user: { id: "Ana", name: "Ana" } });
  await server.reply({ presence: {}, count: 0, position: ["e1", 100], recovered: true, missed: [],
    more: false });
  const loading = lobby.loadOlder();
  await answer([said(100)], false);
  await loading;
  assert.deepEqual(view.texts, ["Ben: 100"]);
});

test("before what a server that has begun anew remembers there is nothing", async () => {
  await begin([said(100)], true);
  const loading = lobby.loadOlder();
  await server.refuse("unrecoverable");
  await loading;
  assert.equal(view.states.at(-1), "end");
});

test("events of other kinds are no messages", async () => {
  await begin([{ ...said(100), event: "waved" }, { ...said(99), payload: null }, said(98)]);
  assert.deepEqual(view.texts, ["Ben: 98"]);
});

test("a message that was published twice is shown once", async () => {
  const twice = (offset) => ({ ...said(offset), payload: { text: "hi", key: "k" } });
  await begin([twice(100), twice(99)]);
  assert.deepEqual(view.texts, ["Ben: hi"]);
});

test("what became too much can be asked for again", async () => {
  await begin([said(100)]);
  for (let offset = 101; offset <= 1101; offset++) await server.say(said(offset));
  assert.equal(view.entries.length, 1000);
  assert.equal(view.states.at(-1), "more");
  lobby.loadOlder();
  assert.deepEqual(server.last.before, ["e1", 102]);
});

// Coming back

test("what was missed is marked where one left, and counts as unread", async () => {
  await begin([said(100)]);
  await reconnect({ recovered: true, missed: [said(101), said(102)], more: false });
  assert.deepEqual(view.texts, ["Ben: 100", "You were away", "Ben: 101", "Ben: 102"]);
  assert.deepEqual(view.timed, []);
  assert.equal(lobby.unread, 2);
});

test("who missed nothing is told nothing", async () => {
  await begin([said(100)]);
  await reconnect({ recovered: true, missed: [], more: false });
  assert.deepEqual(view.texts, ["Ben: 100"]);
});

test("each absence has one mark, however many pages it takes", async () => {
  await reconnect({ recovered: true, missed: [said(101)], more: true });
  await server.say({ type: "missed", room: "lobby", missed: [said(102)], more: false });
  await reconnect({ recovered: true, missed: [said(103)], more: false });
  assert.deepEqual(view.texts, [
    "You were away", "Ben: 101", "Ben: 102", "You were away", "Ben: 103",
  ]);
});

test("a gap is shown, and behind it what the server still has", async () => {
  await begin([said(100)]);
  await reconnect({ recovered: false, reason: "too_old", position: ["e1", 300] });
  await server.say(said(301));
  assert.deepEqual(view.texts, ["Ben: 100", GAP, "Ben: 301"]);
  await answer(downFrom(301, 252), true);
  assert.deepEqual(server.last.before, ["e1", 252]);
  await answer(downFrom(251, 250), false);
  assert.equal(view.entries.length, 1 + 1 + 52);
  assert.deepEqual(view.texts.slice(0, 3), ["Ben: 100", GAP, "Ben: 250"]);
  assert.equal(view.texts.at(-1), "Ben: 301");
  assert.deepEqual(view.timed, ["301"]);
  assert.equal(lobby.unread, 52);
});

test("of messages that were dropped the server's history is shown", async () => {
  await begin([said(100)]);
  await server.say({ type: "dropped", room: "lobby", count: 2, position: ["e1", 102] });
  await server.say(said(103));
  await answer([said(102), said(101), said(100)], false);
  assert.deepEqual(view.texts, ["Ben: 100", GAP, "Ben: 101", "Ben: 102", "Ben: 103"]);
});

test("a gap is searched back to what was seen, past one's own words", async () => {
  await begin([said(100)]);
  lobby.say("mine");
  const { payload } = server.last;
  await reconnect({ recovered: false, reason: "too_many", position: ["e1", 103] });
  const asked = server.received.find(({ type }) => type === "history");
  const mine = { ...said(102, "Ana"), payload };
  await server.say({ type: "reply", id: asked.id, more: true, position: ["e1", 103],
    publications: [said(103), mine, said(101), said(100)] });
  assert.deepEqual(view.texts, ["Ben: 100", "Ana: mine", GAP, "Ben: 101", "Ben: 103"]);
});

test("a gap that cannot be looked into stays shown", async () => {
  await reconnect({ recovered: false, reason: "epoch_changed", position: ["e2", 0] });
  await server.refuse("unavailable");
  await settled();
  assert.deepEqual(view.texts, [GAP]);
});
