import assert from "node:assert/strict";
import { test } from "node:test";

import { Identity, pageStorage } from "../../../web/chat/identity.js";
import { Storage } from "../support/storage.mjs";

test("a browser that was never here has no name and no rooms", () => {
  const identity = new Identity(new Storage());
  assert.equal(identity.name, "");
  assert.deepEqual(identity.rooms, []);
});

test("name, rooms and secret outlive the page", () => {
  const storage = new Storage();
  const before = new Identity(storage);
  before.name = "Ana";
  before.rooms = ["lobby", "garden club"];
  const { secret } = before;
  const after = new Identity(storage);
  assert.equal(after.name, "Ana");
  assert.deepEqual(after.rooms, ["lobby", "garden club"]);
  assert.equal(after.secret, secret);
  assert.match(secret, /^[0-9a-f]{32}$/);
});

test("remembered rooms that make no sense are forgotten", () => {
  for (const rooms of ["", "{", "7", "[7]", '{"a":1}']) {
    const storage = new Storage([["rooms.rooms", rooms]]);
    assert.deepEqual(new Identity(storage).rooms, []);
  }
});

test("where storage is forbidden the secret lasts as long as the page", (t) => {
  const forbidden = { get: () => { throw new Error("SecurityError"); }, configurable: true };
  Object.defineProperty(globalThis, "localStorage", forbidden);
  t.after(() => delete globalThis.localStorage);
  const identity = new Identity(pageStorage());
  assert.equal(identity.secret, identity.secret);
  assert.equal(identity.name, "");
});

test("rooms are remembered for whoever was in them", () => {
  const identity = new Identity(new Storage());
  identity.owner = "u17";
  identity.rooms = ["team/1"];
  identity.owner = "u17";
  assert.deepEqual(identity.rooms, ["team/1"]);
  identity.owner = "u18";
  assert.deepEqual(identity.rooms, []);
});
