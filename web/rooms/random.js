const BYTES = 16;

/** A random text that nobody guesses; unlike `randomUUID` it works on pages without TLS too. */
export function randomText() {
  const bytes = crypto.getRandomValues(new Uint8Array(BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
