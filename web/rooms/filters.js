import { deferred } from "./deferred.js";
import { RoomsError } from "./errors.js";
import { Listeners } from "./listeners.js";

/** The filters that this client follows, on each connection anew. */
export class Filters {
  #client;
  #report;
  #followed = new Map(); // by filter {promise, resolve, reject, listeners, asked, accepted}
  #listeners = new Listeners();

  /** `report(error)` hears of filters that the server accepted once and refuses now. */
  constructor(client, report) {
    this.#client = client;
    this.#report = report;
  }

  /** Call `listener` with the events of all rooms that `filter` names; returns how to stop. */
  async subscribe(filter, listener) {
    if (!this.#followed.has(filter)) this.#follow(filter);
    const followed = this.#followed.get(filter);
    const unlisten = this.#listeners.add(filter, (publication) => listener(publication));
    followed.listeners += 1;
    const stop = () => {
      if (unlisten() && --followed.listeners === 0) this.#unfollow(filter, followed);
    };
    await followed.promise.catch((error) => {
      stop();
      throw error;
    });
    return stop;
  }

  /** The client has a connection. */
  connected() {
    for (const [filter, followed] of this.#followed) this.#ask(filter, followed);
  }

  /** The client has no connection. */
  disconnected() {
    for (const followed of this.#followed.values()) followed.asked = false;
  }

  /** The client was closed for good. */
  ended(error) {
    for (const { reject } of this.#followed.values()) reject(error);
    this.#followed.clear();
    this.#listeners = new Listeners();
  }

  /** Tell the listeners of an event. */
  emit(publication) {
    for (const filter of this.#followed.keys()) {
      if (matches(filter, publication.room)) this.#listeners.emit(filter, publication);
    }
  }

  /** The server has ended a subscription; it is not asked for again. */
  taken({ filter, reason }) {
    const followed = this.#followed.get(filter);
    if (!followed) return;
    const error = new RoomsError(reason, `The server ended the subscription to ${filter}.`);
    this.#refused(filter, followed, error);
  }

  #follow(filter) {
    const followed = { ...deferred(), listeners: 0, asked: false, accepted: false };
    this.#followed.set(filter, followed);
    if (this.#client.state === "open") this.#ask(filter, followed);
  }

  #ask(filter, followed) {
    if (followed.asked) return;
    followed.asked = true;
    this.#client.ask({ type: "subscribe", filter }, {
      resolve: () => Object.assign(followed, { accepted: true }).resolve(),
      reject: (error) => error.code === "disconnected" || this.#refused(filter, followed, error),
    });
  }

  #refused(filter, followed, error) {
    if (this.#followed.get(filter) === followed) this.#followed.delete(filter);
    followed.reject(error);
    if (followed.accepted) this.#report(error);
  }

  #unfollow(filter, followed) {
    if (this.#followed.get(filter) !== followed) return;
    this.#followed.delete(filter);
    this.#client.post({ type: "unsubscribe", filter });
  }
}

/** Whether `filter` names `room`, by the rules of MQTT 5, section 4.7. */
export function matches(filter, room) {
  const levels = filter.split("/");
  const names = room.split("/");
  if (room.startsWith("$") && (levels[0] === "+" || levels[0] === "#")) return false;
  for (const [place, level] of levels.entries()) {
    if (level === "#") return true;
    if (place === names.length || (level !== "+" && level !== names[place])) return false;
  }
  return names.length === levels.length;
}
