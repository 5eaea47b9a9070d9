// Whether to come back after a connection has ended, and when.

const FINAL_CLOSE_CODES = new Set([1002, 1003, 1007, 1009]);

/** Whether a client that was closed with `code` should come back. */
export function mayReconnect(code) {
  if (FINAL_CLOSE_CODES.has(code)) return false;
  return code < 3500 || (code >= 4000 && code < 4500);
}

/**
 * The wait before reconnect number `attempt` (0 is the first), in milliseconds.
 *
 * Full jitter: anything between nothing and a limit that doubles, so that clients that a restart
 * has cut off together do not come back together.
 */
export function reconnectDelay(attempt, { minDelay, maxDelay, random }) {
  return random() * Math.min(maxDelay, minDelay * 2 ** attempt);
}
