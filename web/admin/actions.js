// What somebody with a full token can do.

import { byId, counted } from "../page/dom.js";
import { ask } from "./dialog.js";

/** Make buttons and the form work; `context`: `api`, `place()`, `done(text)`. */
export function initActions({ api, place, done }) {
  byId("publish-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    byId("publish-error").textContent = "";
    try {
      await publish(api, place().name);
      done("Published.");
    } catch (error) {
      byId("publish-error").textContent = error.message;
    }
  });
  byId("disconnect").addEventListener("click", () => askToDisconnect(api, place().name, done));
  byId("revoke").addEventListener("click", () =>
    askToRevoke(api, byId("client").dataset.user, done));
  byId("revoke-any").addEventListener("click", () => askToRevoke(api, "", done));
}

function publish(api, room) {
  return api.publish(room, byId("event").value.trim(), payloadIn(byId("payload").value));
}

/** What a text spells in JSON; null if there is none. */
export function payloadIn(text) {
  if (!text.trim()) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`The payload is not JSON: ${error.message}`);
  }
}

function askToDisconnect(api, client, done) {
  ask({
    title: `Disconnect ${client}?`,
    text: "The connection ends, and the client is told not to come back by itself.",
    label: "Reason that the client is told (may be empty)",
    button: "Disconnect",
    act: async (reason) => {
      await api.disconnect(client, reason);
      done(`${client} was disconnected.`);
    },
  });
}

function askToRevoke(api, user, done) {
  ask({
    title: "Revoke a user's sign-ins?",
    text: "All connections of that user end, and tokens that were issued up to now are refused.",
    label: "The user's id",
    value: user,
    required: true,
    button: "Revoke",
    act: async (id) => {
      const { connections } = await api.revoke(id);
      const ended = counted(connections, "connection has", "connections have");
      done(`Sign-ins of ${id} are revoked; ${ended} ended.`);
    },
  });
}
