import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, listOf, placeAt, requestFor } from "../../../web/admin/address.js";
import { Pager } from "../../../web/admin/pager.js";

test("an address names a list, or one of it", () => {
  assert.deepEqual(placeAt("#/clients"), { view: "clients", name: "" });
  assert.deepEqual(placeAt("#/clients/c7"), { view: "client", name: "c7" });
  assert.deepEqual(placeAt("#/rooms/team%2F1%20%3Cb%3E"), { view: "room", name: "team/1 <b>" });
});

test("an address that makes no sense leads to a list", () => {
  for (const hash of ["", "#", "#/", "#/nonsense", "#/constructor/x", "#/rooms/", "#/rooms/%"]) {
    assert.deepEqual(placeAt(hash), { view: "rooms", name: "" }, hash);
  }
  assert.deepEqual(placeAt("#/nodes/n1"), { view: "nodes", name: "" });
});

test("every name finds its way through an address", () => {
  for (const name of ["a/b", "50%", "#?&", "naïve", "<script>"]) {
    assert.equal(placeAt(addressOf("rooms", name)).name, name);
  }
});

test("what is asked for is what is shown", () => {
  const room = { view: "room", name: "team/1?" };
  assert.equal(requestFor({ view: "rooms", name: "" }), "/rooms");
  assert.equal(requestFor(room), "/rooms/team%2F1%3F");
  assert.equal(requestFor(room, { after: "c 1" }), "/rooms/team%2F1%3F?after=c+1");
  assert.equal(requestFor({ view: "rooms", name: "" }, { filter: "a/#" }), "/rooms?filter=a%2F%23");
  assert.equal(listOf(room), "rooms");
});

test("pages are turned forward as far as there are any, and back", () => {
  const pager = new Pager();
  pager.forward();
  assert.deepEqual([pager.number, pager.after, pager.hasNext], [1, "", false]);
  pager.loaded("c10");
  pager.forward();
  assert.deepEqual([pager.number, pager.after, pager.hasNext], [2, "c10", false]);
  pager.back();
  assert.deepEqual([pager.number, pager.after], [1, ""]);
  pager.loaded("c10");
  pager.forward();
  pager.reset();
  assert.equal(pager.number, 1);
});
