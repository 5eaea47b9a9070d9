// Where one is in the dashboard: `#/rooms`, `#/rooms/team%2F1`, `#/clients/c7`; and what to ask for.

const LISTS = { rooms: "room", clients: "client", nodes: null };

/** The place that `hash` names: `{view, name}`; the list of rooms if it names none. */
export function placeAt(hash) {
  const [, list, name = ""] = /^#\/([^/]*)(?:\/(.*))?$/.exec(hash) ?? [];
  if (!Object.hasOwn(LISTS, list ?? "")) return { view: "rooms", name: "" };
  const decoded = decode(name);
  return decoded && LISTS[list] ? { view: LISTS[list], name: decoded } : { view: list, name: "" };
}

/** The link to a list, or to one of it. */
export function addressOf(list, name = "") {
  return name ? `#/${list}/${encodeURIComponent(name)}` : `#/${list}`;
}

/** The list that a place is in. */
export function listOf({ view }) {
  return Object.keys(LISTS).find((list) => list === view || LISTS[list] === view);
}

/** What to ask the server for to show a place: `after` and `filter` as for a page of a list. */
export function requestFor(place, { after = "", filter = "" } = {}) {
  const path = `/${listOf(place)}${place.name ? `/${encodeURIComponent(place.name)}` : ""}`;
  const query = new URLSearchParams();
  if (after) query.set("after", after);
  if (filter) query.set("filter", filter);
  return query.size ? `${path}?${query}` : path;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return ""; // a broken escape
  }
}
