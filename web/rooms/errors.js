// What a request can fail with.

/** A request that failed: `code` is the server's, or "disconnected", "timeout" or "closed". */
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
