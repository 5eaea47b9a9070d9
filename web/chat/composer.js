// The box in which messages are written.

import { byId } from "../page/dom.js";

/** Make the composer work; `handlers`: `say(text)`, `writing()`. */
export function initComposer({ say, writing }) {
  const text = byId("text");
  text.addEventListener("input", () => {
    fit(text);
    if (text.value.trim()) writing();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId("composer").requestSubmit();
  });
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (text.value.trim()) say(text.value.trim());
    fill("");
    text.focus();
  });
}

/** Put `draft` into the box. */
export function fill(draft) {
  const text = byId("text");
  text.value = draft;
  fit(text);
}

// Where the style sheet cannot do it the box is made as high as its text.
function fit(text) {
  if (CSS.supports("field-sizing", "content")) return;
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}
