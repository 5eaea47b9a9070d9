// One signed-in user: the connection, the rooms that are open, and which of them is shown.

import { Client } from "../rooms.js";
import { addressOf, roomAt } from "./address.js";
import { Conversation, refusalText } from "./conversation.js";
import { byId } from "../page/dom.js";
import { Log } from "./log.js";
import { showPeople, showRooms, showUnread } from "./sidebar.js";
import { showClosed, showState, showTyping } from "./status.js";

const FIRST_ROOM = "lobby";
const LIST_EVERY = 10_000;
const timers = {
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => performance.now(),
};

/** A user's chat from signing in to signing out. */
export class Session {
  #identity;
  #drafts;
  #callbacks;
  #client;
  #conversations = new Map();
  #logs = new Map();
  #listed = [];
  #current = "";
  #ticker;
  #uninvited = ""; // the room that is entered where nobody has named one
  #unsent = new Map(); // by room, what was written before and not sent
  #typing = null; // the promise of how to hear no more of who types in the room that is shown

  /**
   * `credentials` are the options `signIn` or `token` of a `Client`, or a function of them both.
   *
   * `callbacks`: `opened(user)`, `refused(error)`, `unreachable()`, `ending()`, `warned(error)`,
   * `shown(conversation)`.
   */
  constructor(credentials, { identity, drafts }, callbacks) {
    this.#identity = identity;
    this.#drafts = drafts;
    this.#callbacks = callbacks;
    this.#client = new Client("/ws", credentials);
    this.#client.onState((change) => this.#stateChanged(change));
    this.#client.onError((error) => this.#callbacks.warned(error));
    this.#client.connect();
    this.#ticker = setInterval(() => this.#list(), LIST_EVERY);
  }

  /** The conversation that is shown, if any. */
  get conversation() {
    return this.#conversations.get(this.#current);
  }

  /** The id of who is signed in, "" if that is nobody. */
  get user() {
    return this.#client.user?.id ?? "";
  }

  /** Whether there is a connection, on which the user is signed in. */
  get open() {
    return this.#client.state === "open";
  }

  /** The log that is shown, if any. */
  get log() {
    return this.#logs.get(this.#current);
  }

  /** Try to connect again now, if we are waiting to; `closed`: even if we were sent away. */
  connect(closed = false) {
    const { state } = this.#client;
    if (state === "waiting" || (closed && state === "closed")) this.#client.connect();
  }

  /** Show the room that the page's address names, and join it if need be. */
  follow(hash) {
    const room = roomAt(hash);
    if (room && this.#client.id) this.#enter(room);
    if (this.#conversations.has(room) || !room) this.#show(room);
  }

  /** Leave the room that is shown. */
  leave() {
    const { name } = this.conversation;
    this.#client.room(name).leave().catch(() => {}); // whatever the server says, we are out
    this.#drop(name);
    this.#list();
  }

  /** Try to get back into the room that is shown. */
  rejoin() {
    this.#join(this.#current);
  }

  /** Keep what is written and not sent, as the page is about to go. */
  saveDrafts() {
    if (this.#conversations.size === 0) return;
    if (this.conversation) this.conversation.draft = byId("text").value;
    const drafts = [...this.#conversations].map(([name, { draft }]) => [name, draft]);
    this.#drafts.save(this.user, drafts);
  }

  /** Note that the page has come into sight or gone out of it. */
  look() {
    const visible = document.visibilityState === "visible";
    for (const [name, conversation] of this.#conversations) {
      conversation.look(visible && name === this.#current);
    }
    if (visible) this.connect();
  }

  /** Sign out. */
  end() {
    clearInterval(this.#ticker);
    for (const name of [...this.#conversations.keys()]) this.#forget(name);
    this.#client.close();
    this.#refresh();
  }

  #stateChanged(change) {
    showState(change);
    if (change.state === "open") this.#opened();
    if (change.state === "waiting") this.#callbacks.unreachable();
    if (wasRefused(change.error)) this.#callbacks.refused(change.error);
  }

  #opened() {
    const first = this.#conversations.size === 0;
    this.#callbacks.opened(this.#client.user ?? { id: this.#client.id, name: this.#client.id });
    for (const [name, { closed }] of this.#conversations) if (!closed) this.#join(name);
    if (first) this.#enterFirst();
    else this.#followTyping();
    this.#list();
  }

  #enterFirst() {
    const asked = roomAt(location.hash);
    this.#identity.owner = this.user;
    this.#unsent = this.#drafts.take(this.user);
    for (const name of this.#identity.rooms) this.#enter(name);
    if (asked || !this.#conversations.size) this.#enter(asked || FIRST_ROOM);
    this.#uninvited = asked || this.#conversations.size > 1 ? "" : FIRST_ROOM;
    const shown = asked || this.#conversations.keys().next().value;
    history.replaceState(null, "", addressOf(shown));
    this.#show(shown);
  }

  #enter(name) {
    if (this.#conversations.has(name)) return;
    const log = new Log(name, {
      newest: byId("newest"),
      retry: (id) => this.#conversations.get(name)?.retry(id),
      older: () => this.#conversations.get(name)?.loadOlder(),
    });
    const view = this.#viewOf(name, log);
    const conversation = new Conversation(this.#client.room(name), this.#client, view, timers);
    conversation.draft = this.#unsent.get(name) ?? "";
    byId("logs").append(log.element);
    this.#logs.set(name, log);
    this.#conversations.set(name, conversation);
    this.#join(name);
    this.#refresh();
  }

  #viewOf(name, log) {
    const current = () => name === this.#current;
    return {
      add: (entry) => log.add(entry),
      insert: (entries, after) => log.insert(entries, after),
      update: (entry) => log.update(entry),
      remove: (entry) => log.remove(entry),
      older: (state) => log.older(state),
      typing: () => current() && showTyping(this.conversation.typists),
      people: () => this.#refresh(),
      unread: () => this.#refresh(),
      closed: () => {
        if (current()) showClosed(this.conversation);
        this.#remember();
        this.#refresh();
      },
    };
  }

  #join(name) {
    const refused = (error) => {
      if (error.code === "closed" || this.#client.state === "closed") return; // left, or signed out
      if (error.code === "forbidden") return this.#shutOut(name, error);
      byId("join-error").textContent = `${name}: ${error.message}`;
      this.#drop(name);
    };
    const joined = () => this.#conversations.get(name)?.begin();
    this.#client.room(name).join().then(joined, refused);
  }

  #remember() {
    const open = [...this.#conversations].filter(([, { closed }]) => !closed);
    this.#identity.rooms = open.map(([name]) => name);
  }

  /** Say that a room is not for us; in place of the first, which nobody asked for, show another. */
  async #shutOut(name, error) {
    this.#conversations.get(name)?.close(refusalText(error));
    if (this.#conversations.size > 1 || name !== this.#uninvited) return;
    await this.#list();
    const [found] = this.#listed;
    if (!found || this.#current !== name) return;
    this.#enter(found.room);
    this.#drop(name);
  }

  #drop(name) {
    this.#forget(name);
    this.#remember();
    if (name !== this.#current) this.#refresh();
    else location.replace(addressOf(this.#conversations.keys().next().value ?? ""));
  }

  #forget(name) {
    this.#conversations.get(name)?.end();
    this.#logs.get(name)?.element.remove();
    this.#conversations.delete(name);
    this.#logs.delete(name);
  }

  #show(name) {
    if (this.conversation) this.conversation.draft = byId("text").value;
    this.log?.show(false);
    this.#current = name;
    this.#followTyping();
    byId("newest").hidden = true;
    this.log?.show(true);
    showTyping(this.conversation?.typists ?? []);
    this.look();
    this.#refresh();
    this.#callbacks.shown(this.conversation);
  }

  // Who types is told beside the room, so that it is not kept with what was said.
  #followTyping() {
    this.#typing?.then((stop) => stop(), () => {});
    const name = this.#current;
    const heard = ({ payload }) => this.#conversations.get(name)?.typed(payload?.user);
    this.#typing = name ? this.#client.subscribe(`typing/${name}`, heard) : null;
    this.#typing?.catch(() => {}); // one can talk without it
  }

  #refresh() {
    showRooms(this.#conversations, this.#listed, this.#current);
    showUnread(this.#conversations, this.#current);
    showPeople(this.conversation, this.#client.user?.id);
  }

  async #list() {
    if (this.#client.state !== "open" || document.visibilityState !== "visible") return;
    this.#listed = await this.#client.request("rooms").catch(() => this.#listed);
    this.#refresh();
  }
}

function wasRefused(error) {
  return error !== undefined && error.code !== "closed";
}
