// What a request can fail with, and when to try again.

const PASSING_CODES = new Set(["rate_limited", "unavailable"]);
const DEFAULT_WAIT = 1_000;
const JITTER = 0.25;

/**
 * A request that failed: `code` is the server's, or "disconnected", "timeout", "closed",
 * "unknown_outcome" or "limit_exceeded". `retryAfter` is how many milliseconds the server asks to
 * wait before the next try, undefined if it does not say.
 */
export class RoomsError extends Error {
  constructor(code, message, retryAfter) {
    super(message);
    this.name = "RoomsError";
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The error that an error frame of the server means. */
export function failure({ code, message, retry_after: seconds }) {
  return new RoomsError(code, message, seconds === undefined ? undefined : seconds * 1000);
}

/** Whether nothing was done, and the same may be done if it is asked for again after a while. */
export function isPassing({ code }) {
  return PASSING_CODES.has(code);
}

/**
 * How long to wait before trying again, in milliseconds.
 *
 * As long as the server asks for and a little longer, so that those whom it refused together do
 * not come again together.
 */
export function waitAfter({ retryAfter = DEFAULT_WAIT }, { random }) {
  return retryAfter * (1 + JITTER * random());
}

/** The error of what was under way when the connection broke, or began without one. */
export function disconnected() {
  return new RoomsError("disconnected", "There is no connection to the server.");
}

/** The error of what nobody has answered for so many milliseconds. */
export function timedOut(timeout) {
  return new RoomsError("timeout", `No answer within ${timeout / 1000} s.`);
}
