// A room's address in the page's URL: `#/lobby`.

/** The link to that room. */
export function addressOf(room) {
  return `#/${encodeURIComponent(room)}`;
}

/** The room that `hash` names, or "" if it names none. */
export function roomAt(hash) {
  if (!hash.startsWith("#/")) return "";
  try {
    return decodeURIComponent(hash.slice(2)).trim().normalize("NFKC");
  } catch {
    return ""; // a broken escape
  }
}
