import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Client } from "../../web/rooms.js";
import { Clock } from "./support/clock.mjs";
import { FakeServer } from "./support/server.mjs";

let clock;
let server;
let client;
let lobby;
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
  lobby = client.room("lobby");
  lobby.on("say", ({ payload, missed = false }) => heard.push([payload, missed]));
  lobby.onRecovered(({ missed }) => heard.push(`recovered ${missed}`));
  lobby.onGap(({ reason, count }) => heard.push(["gap", reason, count].join(" ").trim()));
});

const said = (offset, epoch = "e1") => ({
  type: "event", event: "say", room: "lobby", payload: offset, position: [epoch, offset],
});

async function joinAt(position) {
  const joining = lobby.join();
  await server.admit({}, position);
  await joining;
}

async function comeBack() {
  await server.hangUp();
  clock.advance(0);
  await server.greet();
}

const dropped = (count, offset) => ({
  type: "dropped", room: "lobby", count, position: ["e1", offset],
});

const answer = (fields) =>
  server.reply({ room: "lobby", presence: {}, count: 0, position: ["e1", 44], ...fields });

test("a reconnect asks for what came after the last event seen", async () => {
  await joinAt(["e1", 41]);
  await server.say(said(42));
  await comeBack();
  const { id, ...frame } = server.last;
  assert.deepEqual(frame, { type: "join", room: "lobby", since: ["e1", 42] });
  assert.ok(id);
});

test("what was missed comes as ordinary events, in order, and then is said to be all", async () => {
  await joinAt(["e1", 42]);
  await comeBack();
  await answer({ recovered: true, missed: [said(43), said(44)], more: false });
  await server.say(said(45));
  assert.deepEqual(heard, [[43, true], [44, true], "recovered 2", [45, false]]);
  assert.deepEqual(lobby.position, ["e1", 45]);
});

test("what was missed may take several frames", async () => {
  await joinAt(["e1", 42]);
  await comeBack();
  await answer({ recovered: true, missed: [said(43)], more: true });
  await server.say({ type: "missed", room: "lobby", missed: [said(44)], more: false });
  assert.deepEqual(heard, [[43, true], [44, true], "recovered 2"]);
});

test("who is cut off while catching up goes on from there", async () => {
  await joinAt(["e1", 42]);
  await comeBack();
  await answer({ recovered: true, missed: [said(43)], more: true });
  await comeBack();
  assert.deepEqual(server.last.since, ["e1", 43]);
});

test("what was seen is not delivered again", async () => {
  await joinAt(["e1", 41]);
  await server.say(said(42));
  await comeBack();
  await answer({ recovered: true, missed: [said(42), said(43)], more: false });
  await server.say(said(43));
  assert.deepEqual(heard, [[42, false], [43, true], "recovered 2"]);
});

test("a room that cannot be recovered says why, and goes on from where it stands", async () => {
  for (const reason of ["epoch_changed", "too_old", "too_many"]) {
    heard = [];
    await joinAt(["e1", 1]);
    await comeBack();
    await answer({ recovered: false, reason, position: ["e2", 7] });
    await server.say(said(8, "e2"));
    assert.deepEqual(heard, [`gap ${reason}`, [8, false]]);
    assert.deepEqual(lobby.position, ["e2", 8]);
    lobby.leave().catch(() => {});
  }
});

test("a gap between two events is told before the second", async () => {
  await joinAt(["e1", 41]);
  await server.say(said(43));
  await server.say(said(1, "e2"));
  assert.deepEqual(heard, ["gap skipped", [43, false], "gap epoch_changed", [1, false]]);
});

test("dropped events are told once, and what comes after them is heard", async () => {
  await joinAt(["e1", 25]);
  await server.say(dropped(17, 42));
  assert.deepEqual(lobby.position, ["e1", 42]);
  await server.say(dropped(17, 42));
  await server.say(said(43));
  assert.deepEqual(heard, ["gap dropped 17", [43, false]]);
});

test("events that were dropped while catching up are told behind what was missed", async () => {
  await joinAt(["e1", 42]);
  await comeBack();
  await answer({ recovered: true, missed: [said(43)], more: true });
  await server.say(dropped(2, 46));
  await server.say(dropped(1, 47));
  await server.say({ type: "missed", room: "lobby", missed: [said(44)], more: false });
  await server.say(said(48));
  assert.deepEqual(heard, [[43, true], [44, true], "recovered 2", "gap dropped 3", [48, false]]);
});

test("an event before the answer to the join is left to the answer", async () => {
  await joinAt(["e1", 41]);
  await comeBack();
  await server.say(said(43)); // as a filter would bring it
  await answer({ recovered: true, missed: [said(42), said(43)], more: false });
  assert.deepEqual(heard, [[42, true], [43, true], "recovered 2"]);
});

test("a join from a position delivers what came since before it is done", async () => {
  const joining = lobby.join({ since: ["e1", 43] }).then(() => heard.push("joined"));
  assert.deepEqual(server.last.since, ["e1", 43]);
  await answer({ recovered: true, missed: [said(44)], more: false });
  await joining;
  assert.deepEqual(heard, [[44, true], "recovered 1", "joined"]);
});

test("who was sent away and comes back catches up, who left begins anew", async () => {
  await joinAt(["e1", 41]);
  await server.hangUp(3503);
  client.connect();
  await server.greet();
  lobby.join();
  assert.deepEqual(server.last.since, ["e1", 41]);
  await answer({ recovered: true, missed: [], more: false });
  const leaving = lobby.leave();
  await server.reply();
  await leaving;
  lobby.join();
  assert.equal(server.last.since, undefined);
});

test("a listener that leaves the room hears no more of what was missed", async () => {
  await joinAt(["e1", 42]);
  lobby.on("say", () => lobby.leave().catch(() => {}));
  await comeBack();
  await answer({ recovered: true, missed: [said(43), said(44)], more: false });
  assert.deepEqual(heard, [[43, true]]);
});

test("a room that the server alone has put us into delivers its events", async () => {
  await server.say(said(7));
  assert.deepEqual(heard, [[7, false]]);
  assert.equal(lobby.position, null);
});

test("history is asked for by page, from a position on, in an order", async () => {
  await joinAt(["e1", 44]);
  const asking = lobby.history({ limit: 2, before: ["e1", 44], order: "newest" });
  const { id, ...frame } = server.last;
  assert.deepEqual(frame, {
    type: "history", room: "lobby", limit: 2, before: ["e1", 44], order: "newest",
  });
  const page = { publications: [said(43), said(42)], more: true, position: ["e1", 44] };
  await server.say({ type: "reply", id, ...page });
  assert.deepEqual(await asking, page);
});
