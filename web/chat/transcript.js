// What one conversation shows, and how far back: a bounded number of entries, each of them once.

import { randomText } from "../rooms.js";

const MOST_ENTRIES = 1000; // as many as the server keeps
const PAGE = 50;
const MOST_PAGES = 20;

/**
 * The entries of one room, the oldest first.
 *
 * An entry is a message (`{id, user, text, own, status, time, position}`; one that was said while
 * we were not there has no time) or a notice (`{id, notice, kind, time}`). `view` is told what to
 * show: `add(entry)`, `insert(entries, after)` (the entry that they come after, or null for the
 * top), `update(entry)`, `remove(entry)`, and by `older(state)` whether there is more before the
 * first: "more", "loading", "end", "empty", or that we may not see it: "forbidden".
 */
export class Transcript {
  #room;
  #view;
  #read;
  #entries = new Map();
  #cursor = undefined; // what lies before it has not been asked for yet
  #older = "";
  #notices = 0;

  /** `read(publication)` returns the message that a publication is, or null. */
  constructor(room, view, read) {
    this.#room = room;
    this.#view = view;
    this.#read = read;
  }

  get(id) {
    return this.#entries.get(id);
  }

  /** Show one more entry at the end. */
  add(entry) {
    this.#entries.set(entry.id, entry);
    this.#view.add(entry);
    this.#trim();
  }

  /** Show a line between the messages; `kind`: "notice", "divider" or "gap". */
  notice(text, kind = "notice") {
    const entry = { id: `notice ${++this.#notices}`, notice: text, kind, time: Date.now() };
    this.add(entry);
    return entry;
  }

  /** Note what has become of a message. */
  update(entry, changes) {
    Object.assign(entry, changes);
    if (this.#entries.has(entry.id)) this.#view.update(entry);
  }

  /** Show a page more of what was said before the first message. */
  async loadOlder() {
    if (this.#older === "loading") return;
    this.#tellOlder("loading");
    this.#tellOlder(await this.#prependPage().catch(stateAfter));
  }

  /** Say that something may be missing; returns what the server had of it, which is shown too. */
  async mend(text) {
    const seen = new Map(this.#entries);
    const divider = this.notice(text, "gap");
    const found = await this.#newest(({ id }) => seen.get(id)?.position);
    if (!this.#entries.has(divider.id)) return []; // it has gone out at the top meanwhile
    const added = this.#insert(found, divider);
    this.#trim();
    return added;
  }

  /** The messages that the server has, from the newest back to one that was `seen`. */
  async #newest(seen) {
    const found = [];
    for (let page = 0, before; page < MOST_PAGES; page++) {
      const { publications, more } = await this.#room.history({ limit: PAGE, before });
      const messages = this.#messagesIn(publications);
      const end = messages.findIndex(seen);
      found.push(...(end < 0 ? messages : messages.slice(0, end)));
      if (end >= 0 || !more) break;
      before = publications.at(-1).position;
    }
    return found;
  }

  async #prependPage() {
    const { publications, more } = await this.#room.history({ limit: PAGE, before: this.#cursor });
    this.#cursor = publications.at(-1)?.position ?? this.#cursor;
    this.#insert(this.#messagesIn(publications), null);
    if (more && this.#entries.size < MOST_ENTRIES) return "more";
    return this.#cursor ? "end" : "empty";
  }

  /** Show those of `messages`, the newest first, that are not shown, behind the entry `after`. */
  #insert(messages, after) {
    const found = new Map(messages.map((entry) => [entry.id, entry]));
    const added = [...found.values()].filter(({ id }) => !this.#entries.has(id)).reverse();
    const entries = [...this.#entries.values()];
    entries.splice(entries.indexOf(after) + 1, 0, ...added);
    this.#entries = new Map(entries.map((entry) => [entry.id, entry]));
    this.#view.insert(added, after);
    return added;
  }

  #messagesIn(publications) {
    return publications.map(this.#read).filter((message) => message !== null);
  }

  /** Drop the oldest entries where there are too many; they can be asked for again. */
  #trim() {
    if (this.#entries.size <= MOST_ENTRIES) return;
    const surplus = [...this.#entries.values()].slice(0, -MOST_ENTRIES);
    for (const entry of surplus) {
      this.#entries.delete(entry.id);
      this.#cursor = entry.position ? behind(entry.position) : this.#cursor;
      this.#view.remove(entry);
    }
    if (this.#older !== "loading") this.#tellOlder("more");
  }

  #tellOlder(state) {
    if (state === this.#older) return;
    this.#older = state;
    this.#view.older(state);
  }
}

/** What a publication or one's own message is known by. */
export function messageId({ key, user, own, position }) {
  if (typeof key === "string") return own ? key : JSON.stringify([user, key]); // each has their own
  return position ? position.join(":") : randomText();
}

function behind([epoch, offset]) {
  return [epoch, offset + 1];
}

// Of a stream that the server does not have any more there is nothing to ask for.
function stateAfter({ code }) {
  if (code === "forbidden") return code;
  return code === "unrecoverable" ? "end" : "more";
}
