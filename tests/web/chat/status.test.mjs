import assert from "node:assert/strict";
import { test } from "node:test";

import { typingText } from "../../../web/chat/status.js";

test("who is writing is said by name as long as they are few", () => {
  assert.equal(typingText([]), "");
  assert.equal(typingText(["Ana"]), "Ana is typing…");
  assert.equal(typingText(["Ana", "Ben"]), "Ana and Ben are typing…");
  assert.equal(typingText(["Ana", "Ben", "Cem"]), "Several people are typing…");
});
