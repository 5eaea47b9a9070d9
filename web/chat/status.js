// What the page says about the connection, and about who is writing.

import { byId } from "../page/dom.js";

let wasOpen = false;

/** Show the state of the connection, as `Client.onState` tells it. */
export function showState({ state, reason, code }) {
  wasOpen ||= state === "open";
  const text = stateText(state);
  byId("state").dataset.state = state;
  byId("state-text").textContent = text;
  // The same text is not written again: a screen reader would say it at each attempt.
  if (byId("announcer").textContent !== text) byId("announcer").textContent = text;
  byId("banner").hidden = state === "open" || !wasOpen;
  byId("banner-text").textContent = bannerText(state, reason || `code ${code}`);
  byId("try-now").textContent = state === "closed" ? "Connect again" : "Try now";
}

/** Show why the conversation that is open is closed, if it is, in place of the composer. */
export function showClosed(conversation) {
  const { closed = "" } = conversation ?? {};
  byId("composer").hidden = !conversation || closed !== "";
  byId("closed").hidden = !closed;
  byId("closed-text").textContent = closed;
}

/** Show who is writing. */
export function showTyping(names) {
  byId("typing").textContent = typingText(names);
}

/** "Ana is typing…" */
export function typingText(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return "Several people are typing…";
}

function stateText(state) {
  if (state === "open") return "Connected";
  if (state === "closed") return "Disconnected";
  return wasOpen ? "Reconnecting…" : "Connecting…";
}

function bannerText(state, reason) {
  if (state === "closed") return `The server has ended the connection: ${reason}.`;
  return "The connection is lost. Trying to get it back…";
}
