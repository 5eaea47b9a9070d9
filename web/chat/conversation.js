// What happens in one room, without a page: messages and their delivery, who types, what is unread.

import { randomText } from "./identity.js";

const KEPT_ENTRIES = 500;
const TYPING_SHOWN = 5_000;
const TYPING_SENT_EVERY = 2_500;
const RETURN_GRACE = 5_000; // who reloads the page has not left
const NOTICED_CROWD = 30; // in larger rooms nobody wants to read who comes and goes

/**
 * One room as this user sees it.
 *
 * `view` is told what to show: `add(entry)`, `update(entry)`, `remove(entry)`, and that
 * something else has changed: `typing()`, `people()`, `unread()`. An entry is a message
 * (`{id, user, text, time, own, status}`) or a notice (`{id, notice, time}`).
 */
export class Conversation {
  /** Messages that have come while nobody was looking. */
  unread = 0;
  /** Whether somebody is looking. */
  seen = false;
  /** What is written but not sent yet. */
  draft = "";

  #room;
  #client;
  #view;
  #timers;
  #entries = new Map();
  #typing = new Map(); // by user, the timer that ends it
  #gone = new Map(); // by user, the timer after which they have left
  #typingSentAt = -Infinity;
  #noticeCount = 0;
  #entered = false;
  #unlisten;

  constructor(room, client, view, timers) {
    this.#room = room;
    this.#client = client;
    this.#view = view;
    this.#timers = timers;
    this.#unlisten = [
      room.on("say", (event) => this.#heard(event)),
      room.on("typing", ({ from }) => this.#typed(from?.user)),
      room.onPresence((change) => this.#changed(change)),
    ];
  }

  get name() {
    return this.#room.name;
  }

  get count() {
    return this.#room.count;
  }

  /** Everybody here, oneself first, then by name. */
  get people() {
    const me = this.#me;
    const others = [...this.#room.presence.keys()].filter((user) => user !== me);
    others.sort((one, other) => one.localeCompare(other));
    return this.#room.presence.has(me) ? [me, ...others] : others;
  }

  /** Who else is writing something at the moment. */
  get typists() {
    return [...this.#typing.keys()];
  }

  /** Say `text`: shown at once, and marked when the server has it. */
  say(text) {
    const entry = { id: randomText(), user: this.#me, text, own: true, time: Date.now() };
    this.#typingSentAt = -Infinity;
    this.#add({ ...entry, status: "pending" });
    return this.#deliver(this.#entries.get(entry.id));
  }

  /** Try once more to deliver a message that failed. */
  retry(id) {
    return this.#deliver(this.#entries.get(id));
  }

  /** Let the others know that something is being written, now and then. */
  writing() {
    const now = this.#timers.now();
    if (now - this.#typingSentAt < TYPING_SENT_EVERY) return;
    if (this.#room.notify("typing", {})) this.#typingSentAt = now;
  }

  /** Note whether somebody looks at this conversation. */
  look(seen) {
    this.seen = seen;
    if (!seen || !this.unread) return;
    this.unread = 0;
    this.#view.unread();
  }

  /** Listen no more, and forget what is still to happen. */
  end() {
    for (const unlisten of this.#unlisten) unlisten();
    for (const timer of this.#typing.values()) this.#timers.clearTimeout(timer);
    for (const timer of this.#gone.values()) this.#timers.clearTimeout(timer);
  }

  get #me() {
    return this.#client.user.id;
  }

  async #deliver(entry) {
    this.#mark(entry, "pending");
    try {
      // The key lets a message that was sent twice be shown once.
      await this.#room.send("say", { text: entry.text, key: entry.id });
      this.#mark(entry, "sent");
    } catch (error) {
      if (entry.status === "pending") this.#mark(entry, "failed", reasonOf(error));
    }
  }

  #mark(entry, status, reason = "") {
    Object.assign(entry, { status, reason });
    if (this.#entries.has(entry.id)) this.#view.update(entry);
  }

  #heard({ payload, from = {} }) {
    if (typeof payload?.text !== "string") return;
    const user = from.user ?? from.client ?? "Server";
    const own = user === this.#me;
    const id = messageId(payload.key, user, own);
    const known = this.#entries.get(id);
    if (known) {
      if (own) this.#mark(known, "sent");
      return;
    }
    this.#stopTyping(user);
    const entry = { id, user, text: payload.text, own, time: Date.now(), status: "sent" };
    this.#add(entry);
    if (!own) this.#countUnread();
  }

  #add(entry) {
    this.#entries.set(entry.id, entry);
    this.#view.add(entry);
    if (this.#entries.size <= KEPT_ENTRIES) return;
    const [oldest] = this.#entries.values();
    this.#entries.delete(oldest.id);
    this.#view.remove(oldest);
  }

  #countUnread() {
    if (this.seen) return;
    this.unread += 1;
    this.#view.unread();
  }

  #typed(user) {
    if (!user || user === this.#me) return;
    this.#timers.clearTimeout(this.#typing.get(user));
    const timer = this.#timers.setTimeout(() => this.#stopTyping(user), TYPING_SHOWN);
    this.#typing.set(user, timer);
    this.#view.typing();
  }

  #stopTyping(user) {
    if (!this.#typing.has(user)) return;
    this.#timers.clearTimeout(this.#typing.get(user));
    this.#typing.delete(user);
    this.#view.typing();
  }

  #changed({ joined, left, count }) {
    if (this.#entered && count <= NOTICED_CROWD) {
      for (const user of joined.keys()) this.#came(user);
      for (const user of left.keys()) this.#went(user);
    }
    for (const user of left.keys()) this.#stopTyping(user);
    this.#entered = true;
    this.#view.people();
  }

  #came(user) {
    if (this.#gone.has(user)) {
      this.#timers.clearTimeout(this.#gone.get(user));
      this.#gone.delete(user);
    } else if (user !== this.#me) {
      this.#notice(`${user} joined`);
    }
  }

  #went(user) {
    const timer = this.#timers.setTimeout(() => {
      this.#gone.delete(user);
      this.#notice(`${user} left`);
    }, RETURN_GRACE);
    this.#gone.set(user, timer);
  }

  #notice(text) {
    this.#add({ id: `notice ${++this.#noticeCount}`, notice: text, time: Date.now() });
  }
}

function messageId(key, user, own) {
  if (typeof key !== "string") return randomText();
  return own ? key : JSON.stringify([user, key]); // nobody can use up the keys of another
}

function reasonOf({ code, message }) {
  return code === "disconnected" ? "Not delivered: no connection." : `Not delivered: ${message}`;
}
