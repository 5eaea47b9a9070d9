import assert from "node:assert/strict";
import { test } from "node:test";

import { mayReconnect, reconnectDelay } from "../../web/rooms.js";
import { askedDelay } from "../../web/rooms/reconnect.js";

test("close codes invite a reconnect or forbid it", () => {
  const inviting = [1000, 1001, 1005, 1006, 1011, 1012, 2999, 3000, 3001, 3499, 4000, 4499];
  const forbidding = [1002, 1003, 1007, 1009, 3500, 3501, 3503, 3999, 4500, 4999];
  assert.deepEqual(inviting.filter(mayReconnect), inviting);
  assert.deepEqual(forbidding.filter(mayReconnect), []);
});

test("the wait is anything between nothing and a limit that doubles up to the largest", () => {
  const options = { minDelay: 500, maxDelay: 20_000 };
  const limit = (attempt) => reconnectDelay(attempt, { ...options, random: () => 1 });
  assert.deepEqual([0, 1, 2, 5, 6, 1000].map(limit), [500, 1000, 2000, 16_000, 20_000, 20_000]);
  assert.equal(reconnectDelay(3, { ...options, random: () => 0 }), 0);
});

test("a close reason may ask for a wait, in seconds", () => {
  assert.equal(askedDelay("server restarts, retry after 0.05 s"), 50);
  assert.equal(askedDelay("too many requests, retry after 2 s"), 2000);
  for (const reason of ["", undefined, "retry after s", "retry after 99999 s", "retry after 1 sun"]) {
    assert.equal(askedDelay(reason), null);
  }
});
