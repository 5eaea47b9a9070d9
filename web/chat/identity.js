// What this browser remembers: the name, the secret that keeps the name ours, the rooms.

import { randomText } from "../rooms.js";

/** What is remembered, in `storage`. */
export class Identity {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  /** The id of the user whose rooms are remembered; those of anybody else are forgotten. */
  set owner(user) {
    if (this.#read("owner") !== user) this.rooms = [];
    this.#write("owner", user);
  }

  get name() {
    return this.#read("name") ?? "";
  }

  set name(name) {
    this.#write("name", name);
  }

  /** A random text that only this browser knows; made when first asked for. */
  get secret() {
    const secret = this.#read("secret") ?? randomText();
    this.#write("secret", secret);
    return secret;
  }

  /** The names of the rooms that were open last. */
  get rooms() {
    try {
      const rooms = JSON.parse(this.#read("rooms") ?? "[]");
      return Array.isArray(rooms) ? rooms.filter((name) => typeof name === "string") : [];
    } catch {
      return [];
    }
  }

  set rooms(names) {
    this.#write("rooms", JSON.stringify(names));
  }

  #read(key) {
    return this.#storage.getItem(`rooms.${key}`);
  }

  #write(key, value) {
    this.#storage.setItem(`rooms.${key}`, value);
  }
}

/** A storage of the browser, or where it forbids that one that lasts as long as the page. */
export function pageStorage(kind = "localStorage") {
  try {
    return globalThis[kind];
  } catch {
    return new PageStorage();
  }
}

class PageStorage {
  #values = new Map();

  getItem(key) {
    return this.#values.get(key) ?? null;
  }

  setItem(key, value) {
    this.#values.set(key, value);
  }

  removeItem(key) {
    this.#values.delete(key);
  }
}
