import { RoomsError, disconnected, isPassing, timedOut, waitAfter } from "./errors.js";
import { randomText } from "./random.js";

const KEY_LIFETIME = 240_000; // the server knows a key for five minutes

/**
 * What is still to be published in one room: each event once, though the connection may break.
 *
 * An event has a key by which the server knows it when it is sent again. A key counts for one user
 * (or, without one, for one connection) and for one life of the room's stream. Where either is
 * another than at the first attempt nobody can tell whether that was published, and the event
 * fails with "unknown_outcome" rather than being published twice.
 *
 * When the server asks us to wait we do, and go on with one event at a time until none is left: so
 * nothing that we send later overtakes what was refused, nor is all of it refused once more.
 */
export class Publisher {
  #room;
  #client;
  #waiting = new Set();
  #refusal = null; // the error that asked us to wait, until nothing waits any more
  #resumeAt = 0;
  #pause = null; // the timer until then

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
      const entry = { frame, resolve, reject, due: timers.now() + patience };
      Object.assign(entry, { asked: false, scope: null });
      entry.timer = timers.setTimeout(() => this.#expire(entry, patience), patience);
      this.#waiting.add(entry);
      this.#proceed();
    });
  }

  /** The room is joined: send what waits. */
  joined() {
    this.#proceed();
  }

  /** The room will not be joined any more. */
  ended(error) {
    this.#client.options.timers.clearTimeout(this.#pause);
    this.#pause = this.#refusal = null;
    for (const entry of this.#waiting) this.#fail(entry, error);
  }

  /** Send what waits, in its order, as far as it may be sent now. */
  #proceed() {
    if (this.#pause !== null || !this.#room.joined) return;
    if (this.#waiting.size === 0) this.#refusal = null;
    for (const entry of this.#waiting) {
      if (this.#refusal && this.#underWay) return;
      if (!entry.asked) this.#attempt(entry);
    }
  }

  #attempt(entry) {
    const scope = this.#scope;
    const before = entry.scope;
    if (entry.scope !== null && entry.scope !== scope) {
      this.#fail(entry, unknownOutcome());
      return;
    }
    entry.asked = true;
    try {
      const sent = this.#client.ask(entry.frame, {
        resolve: (reply) => this.#answered(entry, reply),
        reject: (error) => this.#refused(entry, error, before),
        timeout: entry.due - this.#client.options.timers.now(),
      });
      if (sent) entry.scope = scope;
    } catch (error) {
      this.#fail(entry, error); // it cannot be written as JSON
    }
  }

  #answered(entry, reply) {
    if (this.#settle(entry)) entry.resolve(reply);
    this.#proceed();
  }

  /** `before` is the scope of what may have been published, by an attempt before this one. */
  #refused(entry, error, before) {
    if (error.code === "disconnected") {
      entry.asked = false;
      return;
    }
    if (isPassing(error)) {
      Object.assign(entry, { asked: false, scope: before });
      this.#rest(error);
    }
    if (!isPassing(error) || this.#resumeAt >= entry.due) this.#fail(entry, error);
    this.#proceed();
  }

  /** Send nothing for as long as the server asks for. */
  #rest(error) {
    const { options } = this.#client;
    const { timers } = options;
    const now = timers.now();
    this.#refusal = error;
    this.#resumeAt = Math.max(this.#resumeAt, now + waitAfter(error, options));
    timers.clearTimeout(this.#pause);
    this.#pause = timers.setTimeout(() => {
      this.#pause = null;
      this.#proceed();
    }, this.#resumeAt - now);
  }

  get #underWay() {
    return [...this.#waiting].some(({ asked }) => asked);
  }

  get #scope() {
    const { user, id } = this.#client;
    return JSON.stringify([user?.id ?? id, this.#room.position?.[0]]);
  }

  #expire(entry, patience) {
    const unsent = this.#refusal ?? disconnected();
    this.#fail(entry, entry.scope === null ? unsent : timedOut(patience));
    this.#proceed();
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
