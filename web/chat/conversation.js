// What happens in one room, without a page: messages and their delivery, who types, what is unread.

import { randomText } from "../rooms.js";
import { Transcript, messageId } from "./transcript.js";
import { Typists } from "./typists.js";

const TYPING_SENT_EVERY = 2_500;
const RETURN_GRACE = 5_000; // after a restart of the server not everybody is back at once
const NOTICED_CROWD = 30; // in larger rooms nobody wants to read who comes and goes
const AWAY = "You were away";
const LEFT = {
  forbidden: "You may not be in this room any more.",
  token_expired: "The time for which you were let into this room is over.",
};
const GAP = "Some messages may be missing here";

/**
 * One room as this user sees it.
 *
 * `view` is told what to show, as `Transcript` says, and that something else has changed:
 * `typing()`, `people()`, `unread()`, `closed()`.
 */
export class Conversation {
  /** Messages that have come while nobody was looking. */
  unread = 0;
  /** Whether somebody is looking. */
  seen = false;
  /** What is written but not sent yet. */
  draft = "";

  /** Why nothing can be read or said here at the moment, in words; "" if it can. */
  closed = "";

  #room;
  #client;
  #view;
  #timers;
  #transcript;
  #typists;
  #names = new Map(); // by user, what they are called if that is not their id
  #gone = new Map(); // by user, the timer after which they have left
  #typingSentAt = -Infinity;
  #entered = false;
  #begun = false;
  #marked = false; // whether it is shown where we left
  #unlisten;

  constructor(room, client, view, timers) {
    this.#room = room;
    this.#client = client;
    this.#view = view;
    this.#timers = timers;
    this.#transcript = new Transcript(room, view, (event) => this.#messageOf(event));
    this.#typists = new Typists(timers, () => view.typing());
    this.#unlisten = [
      room.on("say", (event) => this.#heard(event)),
      room.onPresence((change) => this.#changed(change)),
      room.onRecovered(() => (this.#marked = false)),
      room.onGap(() => this.#mend()),
      room.onRefused((error) => this.close(refusalText(error))),
      room.onLeft(({ reason }) => this.close(LEFT[reason] ?? `The server took you out: ${reason}.`)),
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

  /** Who else is writing something at the moment, by name. */
  get typists() {
    return this.#typists.names.map((user) => this.nameOf(user));
  }

  /** What somebody is called here: the name that the server tells, or the id. */
  nameOf(user) {
    return this.#names.get(user) ?? user;
  }

  /** We are in the room: show what was said last, if that was not done before. */
  async begin() {
    this.#setClosed("");
    if (this.#begun) return;
    this.#begun = true;
    await this.loadOlder();
  }

  /** Show what was said before the first message that is shown. */
  loadOlder() {
    return this.#transcript.loadOlder();
  }

  /** Say `text`: shown at once, and marked when the server has it. */
  say(text) {
    const user = this.#me;
    const entry = { id: randomText(), user, name: this.nameOf(user), text, own: true, time: Date.now() };
    this.#typingSentAt = -Infinity;
    this.#transcript.add(Object.assign(entry, { status: "pending" }));
    return this.#deliver(entry);
  }

  /** Try once more to deliver a message that failed. */
  retry(id) {
    return this.#deliver(this.#transcript.get(id));
  }

  /** Let the others know that something is being written, now and then. */
  writing() {
    const now = this.#timers.now();
    if (now - this.#typingSentAt < TYPING_SENT_EVERY) return;
    if (this.#room.notify("typing", {})) this.#typingSentAt = now;
  }

  /** Note that `user` is writing. */
  typed(user) {
    if (typeof user === "string" && user !== this.#me) this.#typists.add(user);
  }

  /** Note whether somebody looks at this conversation. */
  look(seen) {
    this.seen = seen;
    if (!seen || !this.unread) return;
    this.unread = 0;
    this.#view.unread();
  }

  /** We are not in the room, and do not get back into it by ourselves: say why. */
  close(text) {
    this.#typists.clear();
    this.#setClosed(text);
  }

  /** Listen no more, and forget what is still to happen. */
  end() {
    for (const unlisten of this.#unlisten) unlisten();
    for (const timer of this.#gone.values()) this.#timers.clearTimeout(timer);
    this.#typists.clear();
  }

  get #me() {
    return this.#client.user?.id ?? this.#client.id;
  }

  #setClosed(text) {
    this.closed = text;
    this.#view.closed();
  }

  async #deliver(entry) {
    const { id, text } = entry;
    this.#transcript.update(entry, { status: "pending" });
    try {
      // By the key in the payload we know our own message again, after a restart of the server too.
      const { position } = await this.#room.send("say", { text, key: id }, { key: id });
      this.#transcript.update(entry, { status: "sent", position });
    } catch (error) {
      if (entry.status === "sent") return; // it has come back to us, so it was delivered
      this.#transcript.update(entry, { status: "failed", reason: reasonOf(error) });
    }
  }

  #messageOf({ event, payload, from = {}, position }) {
    if (event !== "say" || typeof payload?.text !== "string") return null;
    const user = from.user ?? from.client ?? "Server";
    const own = user === this.#me;
    const id = messageId({ key: payload.key, user, own, position });
    return { id, user, name: this.nameOf(user), text: payload.text, own, status: "sent", position };
  }

  #heard(event) {
    const message = this.#messageOf(event);
    if (message === null) return;
    const { id, status, position } = message;
    const known = this.#transcript.get(id);
    if (known) this.#transcript.update(known, { status, position });
    else this.#show(message, event.missed);
  }

  #show(message, missed) {
    if (missed) this.#markAway();
    this.#typists.remove(message.user);
    this.#transcript.add(missed ? message : { ...message, time: Date.now() });
    this.#countUnread([message]);
  }

  #markAway() {
    if (!this.#marked) this.#transcript.notice(AWAY, "divider");
    this.#marked = true;
  }

  /** Show that something may be missing, and what the server has of it. */
  async #mend() {
    this.#marked = false;
    this.#countUnread(await this.#transcript.mend(GAP).catch(() => []));
  }

  #countUnread(messages) {
    const others = messages.filter(({ own }) => !own);
    if (this.seen || others.length === 0) return;
    this.unread += others.length;
    this.#view.unread();
  }

  #changed({ joined, left, changed, count, fresh }) {
    this.#learnNames(fresh ? this.#room.presence : joined);
    this.#learnNames(changed);
    if (this.#entered && count <= NOTICED_CROWD) {
      for (const user of joined.keys()) this.#came(user);
      for (const user of left.keys()) this.#went(user, fresh ? RETURN_GRACE : 0);
    }
    for (const user of left.keys()) this.#typists.remove(user);
    this.#entered = true;
    this.#view.people();
  }

  #learnNames(users) {
    for (const [user, connections] of users) {
      const name = connections.map(({ details }) => details?.name).find(Boolean);
      if (typeof name === "string") this.#names.set(user, name);
    }
  }

  #came(user) {
    if (this.#gone.has(user)) {
      this.#timers.clearTimeout(this.#gone.get(user));
      this.#gone.delete(user);
    } else if (user !== this.#me) {
      this.#transcript.notice(`${this.nameOf(user)} joined`);
    }
  }

  #went(user, grace) {
    const timer = this.#timers.setTimeout(() => {
      this.#gone.delete(user);
      this.#transcript.notice(`${this.nameOf(user)} left`);
    }, grace);
    this.#gone.set(user, timer);
  }
}

/** Why we are not let into a room. */
export function refusalText({ code, message }) {
  return code === "forbidden" ? "You may not enter this room." : message;
}

function reasonOf({ code, message }) {
  if (code === "disconnected") return "Not delivered: no connection.";
  if (code === "timeout" || code === "unknown_outcome") return "Perhaps not delivered.";
  return `Not delivered: ${message}`;
}
