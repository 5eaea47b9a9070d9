// Whether to come back after a connection has ended, and when.

const FINAL_CLOSE_CODES = new Set([1002, 1003, 1007, 1009]);
const TOO_MANY_REQUESTS = 3013;
const CALM_DOWN = 5_000;

/** Whether a client that was closed with `code` should come back. */
export function mayReconnect(code) {
  if (FINAL_CLOSE_CODES.has(code)) return false;
  return code < 3500 || (code >= 4000 && code < 4500);
}

/** The wait that a close reason asks for, in milliseconds; null if it asks for none. */
export function askedDelay(reason) {
  const found = /retry after (\d{1,4}(?:\.\d{1,3})?) s\b/.exec(reason);
  return found && Number(found[1]) * 1000;
}

/** The shortest wait after a close with `code`, in milliseconds, whatever else is said of it. */
export function leastDelay(code) {
  return code === TOO_MANY_REQUESTS ? CALM_DOWN : 0;
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
