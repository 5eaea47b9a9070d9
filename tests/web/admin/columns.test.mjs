import assert from "node:assert/strict";
import { test } from "node:test";

import { COLUMNS, clientFacts, roomFacts, serverFacts } from "../../../web/admin/columns.js";
import { bytes, duration, milliseconds, person, position } from "../../../web/admin/format.js";
import { payloadIn } from "../../../web/admin/actions.js";

const CLIENT = {
  id: "c7", user: { id: "u17", name: "Ana" }, remote: "127.0.0.1:5", path: "/ws", rooms: ["lobby"],
  connected_at: 1000, latency_ms: 1.25, waiting_bytes: 0, node: "n1",
};

const cells = (table, item) =>
  COLUMNS[table].map(([, of]) => of(item, 1012)).map((value) => value.text ?? String(value));

test("times are told by their two largest units", () => {
  const told = [0, 59.9, 60, 3_725, 90_000, 864_000].map(duration);
  assert.deepEqual(told, ["0 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h", "10 d"]);
});

test("sizes, latencies, positions and people are told in words", () => {
  assert.deepEqual([0, 1023, 1536, 1048576].map(bytes), ["0 B", "1023 B", "1.5 KiB", "1.0 MiB"]);
  assert.deepEqual([null, 1.25, 120].map(milliseconds), ["–", "1.3 ms", "120 ms"]);
  assert.deepEqual([null, ["e1", 41]].map(position), ["–", "41 (e1)"]);
  assert.deepEqual([null, { id: "Ana", name: "Ana" }, CLIENT.user].map(person), ["–", "Ana", "Ana (u17)"]);
});

test("a row shows what there is to know, and leads to more", () => {
  assert.deepEqual(cells("clients-table", CLIENT),
    ["c7", "Ana (u17)", "127.0.0.1:5", "1", "12 s", "1.3 ms", "0 B"]);
  const room = { name: "a/<b>", count: 2, position: ["e1", 3], nodes: ["n1"] };
  assert.deepEqual(cells("rooms-table", room), ["a/<b>", "2", "3 (e1)", "1"]);
  assert.equal(COLUMNS["rooms-table"][0][1](room).href, "#/rooms/a%2F%3Cb%3E");
});

test("facts tell the rest", () => {
  assert.deepEqual(roomFacts({ count: 0, position: null, nodes: [] }).map(([, text]) => text), [0, "–", ""]);
  assert.equal(new Map(clientFacts(CLIENT, 1012)).get("Connected"), "12 s");
  const info = { rooms: 1, clients: 2, connections: 3, lag: 0.0123, uptime: 61, version: "1" };
  assert.deepEqual(serverFacts(info).map(([, text]) => text), [1, 2, 3, "12 ms", "1 min 1 s", "1"]);
});

test("a payload is JSON, or left out", () => {
  assert.equal(payloadIn(" \n"), null);
  assert.deepEqual(payloadIn('{"a": 1}'), { a: 1 });
  assert.throws(() => payloadIn("hello"), /The payload is not JSON/);
});
