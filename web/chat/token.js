// How one signs in here, and the token that was given for it.

import { RoomsError } from "../rooms.js";

const KEY = "rooms.token";
const ADDRESS = "/api/sign-in";

/** A text as it was pasted, without what does not belong to a token; "" if it is none. */
export function tokenIn(text) {
  const token = text.replace(/^\s*bearer\s/i, "").replace(/\s+/g, "");
  return /^[!-~]+$/.test(token) ? token : "";
}

/** A reason as a sentence: "sign-in revoked" is "Sign-in revoked." */
export function sentence(reason) {
  const ended = /[.!?…]$|^$/.test(reason) ? reason : `${reason}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}

/** Where a page of the application's own is told to come back to. */
export function signInLink(page, { pathname, hash }) {
  const query = `next=${encodeURIComponent(pathname + hash)}`;
  return `${page}${page.includes("?") ? "&" : "?"}${query}`;
}

/**
 * What this browser signs in with where names are not enough.
 *
 * The token lasts as long as the tab; in `browser`, the storage that outlives it, it is only kept
 * if somebody has asked for that. It is sent in headers and frames, never in an address.
 */
export class Token {
  #tab;
  #browser;
  #fetch;
  #renewed = null;

  constructor(tab, browser, fetch = globalThis.fetch) {
    this.#tab = tab;
    this.#browser = browser;
    this.#fetch = (...request) => fetch(...request);
  }

  get value() {
    return this.#tab.getItem(KEY) || this.#browser.getItem(KEY) || "";
  }

  /** Sign in with `token` from now on; `remembered` also after the tab was closed. */
  keep(token, remembered) {
    this.forget();
    (remembered ? this.#browser : this.#tab).setItem(KEY, token);
    this.#renewed?.(token);
    this.#renewed = null;
  }

  forget() {
    this.#tab.removeItem(KEY);
    this.#browser.removeItem(KEY);
  }

  /**
   * Ask the server how one signs in, and who `token`, or the browser's cookie, signs in.
   *
   * The answer: `{by, page, optional, user, problem}`, as `GET /api/sign-in` says it.
   */
  async ask(token = this.value) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await this.#fetch(ADDRESS, { headers, cache: "no-store" });
    const content = await answer.json();
    if (answer.ok) return content;
    throw new RoomsError(content.error.code, content.error.message);
  }

  /** For the client: the token of the next connection, "" where a cookie or nothing will do. */
  async current() {
    const answer = await this.ask();
    if (isAdmitted(answer)) return this.value;
    throw new RoomsError("unauthorized", answer.problem ?? "");
  }

  /** For the client: the token that will have been given before the present sign-in ends. */
  next() {
    return new Promise((resolve) => (this.#renewed = resolve));
  }
}

/** Whether somebody of whom the server says that gets in. */
export function isAdmitted({ user, optional, problem }) {
  return user !== null || (optional && problem === null);
}
