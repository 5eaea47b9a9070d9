import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as rooms from "../../web/rooms.js";

test("the type declarations name what the module exports", async () => {
  const text = await readFile(new URL("../../web/rooms.d.ts", import.meta.url), "utf8");
  const declared = [...text.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(rooms).sort());
});

test("the type declarations name what a client and a room can do", async () => {
  const text = await readFile(new URL("../../web/rooms.d.ts", import.meta.url), "utf8");
  const client = new rooms.Client("ws://127.0.0.1/ws");
  for (const thing of [client, client.room("lobby")]) {
    for (const name of publicMethodsOf(thing)) {
      assert.match(text, new RegExp(`^  ${name}[(<]`, "m"));
    }
  }
});

function publicMethodsOf(thing) {
  const internal = ["constructor", "ask", "connected", "disconnected", "ended", "receive"];
  const properties = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(thing));
  const names = Object.keys(properties).filter((name) => properties[name].value);
  return names.filter((name) => !internal.includes(name));
}
