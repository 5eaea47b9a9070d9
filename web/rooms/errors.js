// What a request can fail with.

/**
 * A request that failed: `code` is the server's, or "disconnected", "timeout", "closed",
 * "unknown_outcome" or "limit_exceeded".
 */
export class RoomsError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "RoomsError";
    this.code = code;
  }
}

/** The error that an error frame of the server means. */
export function failure({ code, message }) {
  return new RoomsError(code, message);
}

/** The error of what was under way when the connection broke, or began without one. */
export function disconnected() {
  return new RoomsError("disconnected", "There is no connection to the server.");
}

/** The error of what nobody has answered for so many milliseconds. */
export function timedOut(timeout) {
  return new RoomsError("timeout", `No answer within ${timeout / 1000} s.`);
}
