import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Api } from "../../../web/admin/api.js";

let asked;
let answer;
let api;

beforeEach(() => {
  asked = [];
  answer = { ok: true, status: 200, json: async () => ({ name: "ops", role: "full" }) };
  api = new Api(async (path, options) => {
    asked.push({ path, ...options });
    return answer;
  });
});

test("a token is shown once, in a header, to sign in", async () => {
  assert.deepEqual(await api.signIn("secret"), { name: "ops", role: "full" });
  await api.get("/info");
  assert.deepEqual(asked.map(({ path }) => path), ["/api/session", "/api/info"]);
  assert.deepEqual(asked.map(({ headers }) => headers.Authorization), ["Bearer secret", undefined]);
  assert.doesNotMatch(JSON.stringify(asked[1]), /secret/);
});

test("whatever acts says that it is JSON, as the server asks of pages", async () => {
  await api.publish("a/b", "say", { text: "hi" });
  await api.disconnect("c7", "");
  await api.revoke("u17");
  await api.signOut();
  assert.deepEqual(asked.map(({ method, path, body }) => [method, path, body]), [
    ["POST", "/api/rooms/a%2Fb/publish", '{"event":"say","payload":{"text":"hi"}}'],
    ["POST", "/api/clients/c7/disconnect", "{}"],
    ["POST", "/api/revoke", '{"user":"u17"}'],
    ["DELETE", "/api/session", undefined],
  ]);
  for (const { headers } of asked) assert.equal(headers["Content-Type"], "application/json");
});

test("a refusal comes in the server's words", async () => {
  const error = { code: "forbidden", message: "The token 'look' may only read." };
  answer = { ok: false, status: 403, json: async () => ({ error }) };
  await assert.rejects(api.revoke("u17"), { status: 403, message: error.message });
});

test("what is no answer of the API is told as it is", async () => {
  answer = { ok: false, status: 502, json: async () => JSON.parse("<html>") };
  await assert.rejects(api.get("/info"), { status: 502, message: "The server said 502." });
});

test("a server that is away is said to be", async () => {
  api = new Api(async () => { throw new TypeError("Failed to fetch"); });
  await assert.rejects(api.get("/info"), { status: 0, message: /cannot be reached/ });
});
