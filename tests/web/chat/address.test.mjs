import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, roomAt } from "../../../web/chat/address.js";

test("every room has an address that leads back to it", () => {
  for (const room of ["lobby", "garden club", "a/b?c#d%", "日本語", "<b>"]) {
    assert.equal(roomAt(addressOf(room)), room);
  }
});

test("an address that names no room leads to none", () => {
  for (const hash of ["", "#", "#text", "#/", "#/%", "#/%FF", "#/%20"]) {
    assert.equal(roomAt(hash), "");
  }
});

test("names that look the same are the same", () => {
  assert.equal(roomAt("#/cafe\u0301"), "caf\u00e9");
});
