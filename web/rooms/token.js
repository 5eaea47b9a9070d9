// The token that a client signs in with: got before each connection, and anew before it runs out.

import { RoomsError } from "./errors.js";

const PROTOCOL = "rooms.v1.json";
const TOKEN_PROTOCOL = "rooms.token.";
const LEAST_DELAY = 5_000;
const MOST_DELAY = 2 ** 31 - 1; // what setTimeout takes
const SHARE = 0.8; // of its time, after which a token is renewed
const MARGIN = 30_000; // or so long before its end, if that is later

/** The token of one client, from a text or from a function that gets a fresh one. */
export class Token {
  #source;
  #timers;
  #timer = null;
  #value = null;
  #offered = false;
  #byMessage = false;

  constructor(source, timers) {
    this.#source = source;
    this.#timers = timers;
  }

  /** Whether there is none, now and for ever. */
  get absent() {
    return this.#source === null;
  }

  /** Get the token for the next connection, or for the one that there is. */
  async fetch() {
    const source = this.#source;
    this.#value = (typeof source === "function" ? await source() : source) || null;
    return this.#value;
  }

  /**
   * The subprotocols to offer; undefined for none.
   *
   * A page is not told why a connection was refused. So after a failure the token goes into the
   * first message, and the refusal can be read in the answer.
   */
  protocols() {
    this.#offered = this.#value !== null && !this.#byMessage;
    return this.#offered ? [PROTOCOL, TOKEN_PROTOCOL + base64url(this.#value)] : undefined;
  }

  /** The command that signs in where the handshake has not; null if there is nothing to say. */
  command() {
    return this.#value === null ? null : { type: "auth", token: this.#value };
  }

  /** Note how an attempt to connect went. */
  tried(greeted) {
    this.#byMessage = !greeted && (this.#offered || this.#byMessage);
  }

  /** Call `renew` before the sign-in ends, if there is a way to get another token. */
  renewBefore(seconds, renew) {
    this.stop();
    if (seconds === undefined || typeof this.#source !== "function") return;
    const milliseconds = seconds * 1000;
    const delay = Math.max(milliseconds * SHARE, milliseconds - MARGIN, LEAST_DELAY);
    this.#timer = this.#timers.setTimeout(renew, Math.min(delay, MOST_DELAY));
  }

  /** Renew no more. */
  stop() {
    this.#timers.clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Whether no token will come because whoever gives them says no, not because nobody answers. */
export function isFinal(error) {
  return error instanceof RoomsError;
}

function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
