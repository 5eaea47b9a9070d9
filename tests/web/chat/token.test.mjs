import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Drafts } from "../../../web/chat/drafts.js";
import { Token, isAdmitted, sentence, signInLink, tokenIn } from "../../../web/chat/token.js";
import { Storage } from "../support/storage.mjs";

const ANA = { id: "u17", name: "Ana" };

let tab;
let browser;
let asked;
let answer;
let status;
let token;

beforeEach(() => {
  [tab, browser, asked, status] = [new Storage(), new Storage(), [], 200];
  answer = { by: "token", page: null, optional: false, user: ANA, problem: null };
  token = new Token(tab, browser, async (address, options) => {
    asked.push([address, options.headers]);
    return { ok: status < 400, json: async () => answer };
  });
});

test("a token is kept by the tab, and outlives it only if that is wished", () => {
  token.keep("t1", false);
  assert.deepEqual([tab.size, browser.size, token.value], [1, 0, "t1"]);
  token.keep("t2", true);
  assert.deepEqual([tab.size, browser.size, token.value], [0, 1, "t2"]);
  token.forget();
  assert.deepEqual([tab.size, browser.size, token.value], [0, 0, ""]);
});

test("a token is sent in a header, and nowhere else", async () => {
  token.keep("t1", false);
  assert.equal(await token.current(), "t1");
  token.forget();
  await token.ask();
  assert.deepEqual(asked, [
    ["/api/sign-in", { Authorization: "Bearer t1" }],
    ["/api/sign-in", {}],
  ]);
});

test("a token that the server refuses opens no connection, and its words are passed on", async () => {
  Object.assign(answer, { user: null, problem: "This sign-in has expired." });
  token.keep("t1", false);
  const refusal = { name: "RoomsError", code: "unauthorized", message: "This sign-in has expired." };
  await assert.rejects(token.current(), refusal);
});

test("where one gets in without a token none is asked for", async () => {
  Object.assign(answer, { user: null, optional: true });
  assert.equal(await token.current(), "");
  assert.equal(isAdmitted({ user: null, optional: true, problem: "No." }), false);
});

test("a server that asks to wait is not taken for a refusal", async () => {
  [status, answer] = [429, { error: { code: "rate_limited", message: "Try again." } }];
  await assert.rejects(token.current(), { code: "rate_limited", message: "Try again." });
});

test("the next token is the one that is given next", async () => {
  const next = token.next();
  token.keep("t2", false);
  assert.equal(await next, "t2");
});

test("what is pasted around a token does not matter, and what is none is known", () => {
  assert.equal(tokenIn("  Bearer abc.def\n.ghi "), "abc.def.ghi");
  assert.equal(tokenIn("naïve"), "");
  assert.equal(tokenIn(" \n"), "");
});

test("reasons are shown as sentences", () => {
  assert.deepEqual(["sign-in revoked", "It ended.", ""].map(sentence), ["Sign-in revoked.", "It ended.", ""]);
});

test("a page of the application's own is told where to come back to", () => {
  const location = { pathname: "/", hash: "#/garden%20club" };
  assert.equal(signInLink("/in", location), "/in?next=%2F%23%2Fgarden%2520club");
  assert.equal(signInLink("/in?x=1", location), "/in?x=1&next=%2F%23%2Fgarden%2520club");
});

test("drafts are given back once, to whoever wrote them", () => {
  const drafts = new Drafts(tab);
  const written = [["lobby", "Hello"], ["garden", " "]];
  drafts.save("u17", written);
  assert.deepEqual([...drafts.take("u17")], [["lobby", "Hello"]]);
  assert.equal(drafts.take("u17").size, 0);
  drafts.save("u17", written);
  assert.equal(drafts.take("u18").size, 0);
  tab.setItem("rooms.drafts", "nonsense");
  assert.equal(drafts.take("").size, 0);
});
