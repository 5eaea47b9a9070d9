import { RoomsError, disconnected, timedOut } from "./errors.js";
import { randomText } from "./random.js";

const KEY_LIFETIME = 240_000; // the server knows a key for five minutes

/**
 * What is still to be published in one room: each event once, though the connection may break.
 *
 * An event has a key by which the server knows it when it is sent again. A key counts for one user
 * (or, without one, for one connection) and for one life of the room's stream. Where either is
 * another than at the first attempt nobody can tell whether that was published, and the event
 * fails with "unknown_outcome" rather than being published twice.
 */
export class Publisher {
  #room;
  #client;
  #waiting = new Set();

  constructor(room, client) {
    this.#room = room;
    this.#client = client;
  }

  /** Publish when the room is joined, and again if the answer is lost; the promise is the reply. */
  publish(event, payload, { key = randomText(), timeout } = {}) {
    const { sendTimeout, maxWaiting, timers } = this.#client.options;
    const patience = Math.min(timeout ?? sendTimeout, KEY_LIFETIME);
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= maxWaiting) throw tooMany(maxWaiting);
      const frame = { type: "event", event, room: this.#room.name, payload, key };
      const entry = { frame, resolve, reject, scope: null, due: timers.now() + patience };
      entry.timer = timers.setTimeout(() => this.#expire(entry, patience), patience);
      this.#waiting.add(entry);
      if (this.#room.joined) this.#attempt(entry);
    });
  }

  /** The room is joined: send what waits, in its order. */
  joined() {
    for (const entry of this.#waiting) this.#attempt(entry);
  }

  /** The room will not be joined any more. */
  ended(error) {
    for (const entry of this.#waiting) this.#fail(entry, error);
  }

  #attempt(entry) {
    const scope = this.#scope;
    if (entry.scope !== null && entry.scope !== scope) {
      this.#fail(entry, unknownOutcome());
      return;
    }
    try {
      const sent = this.#client.ask(entry.frame, {
        resolve: (reply) => this.#settle(entry) && entry.resolve(reply),
        reject: (error) => error.code === "disconnected" || this.#fail(entry, error),
        timeout: entry.due - this.#client.options.timers.now(),
      });
      if (sent) entry.scope = scope;
    } catch (error) {
      this.#fail(entry, error); // it cannot be written as JSON
    }
  }

  get #scope() {
    const { user, id } = this.#client;
    return JSON.stringify([user?.id ?? id, this.#room.position?.[0]]);
  }

  #expire(entry, patience) {
    this.#fail(entry, entry.scope === null ? disconnected() : timedOut(patience));
  }

  #fail(entry, error) {
    if (this.#settle(entry)) entry.reject(error);
  }

  #settle(entry) {
    this.#client.options.timers.clearTimeout(entry.timer);
    return this.#waiting.delete(entry);
  }
}

function tooMany(limit) {
  const message = `${limit} events wait for the connection already; try again later.`;
  return new RoomsError("limit_exceeded", message);
}

function unknownOutcome() {
  const message = "The connection broke before the answer came: it may have been published or not.";
  return new RoomsError("unknown_outcome", message);
}
