// Shows what the server tells. Rows stay while what they show stays, so that focus does, too.

import { byId, element, showList } from "../page/dom.js";
import { addressOf } from "./address.js";
import { COLUMNS, clientFacts, roomFacts, serverFacts } from "./columns.js";

const NOBODY = "Nobody is in this room at the moment.";
const GONE = "This client is not connected any more.";
const EMPTY = { rooms: "No room has anybody in it.", clients: "Nobody is connected.", nodes: "" };

/** Show a place; `content` is the server's answer, or null if it knows no such thing. */
export function showPlace({ view, name }, content) {
  SHOW[view](content, name);
}

/** Show how the server is. */
export function showServer(info) {
  showFacts("server-facts", serverFacts(info));
}

const SHOW = {
  rooms: (content) => showTable("rooms", content.rooms, ({ name }) => name),
  clients: (content) => showTable("clients", content.clients, ({ id }) => id),
  nodes: (content) => showTable("nodes", content.nodes, ({ id }) => id),
  room: (content, name) => {
    byId("room-title").textContent = name;
    showFacts("room-facts", content ? roomFacts(content) : []);
    showTable("members", content?.members ?? [], ({ id }) => id);
    byId("members-empty").textContent = content ? "" : NOBODY;
  },
  client: (content, name) => {
    byId("client-title").textContent = name;
    byId("client-empty").textContent = content ? "" : GONE;
    byId("client").dataset.user = content?.user?.id ?? "";
    byId("client").classList.toggle("gone", !content);
    if (content) showFacts("client-facts", clientFacts(content, Date.now() / 1000));
    showRooms(content?.rooms ?? []);
  },
};

function showTable(list, items, key) {
  const columns = COLUMNS[`${list}-table`];
  const now = Date.now() / 1000;
  showList(byId(`${list}-table`).tBodies[0], items, {
    key,
    create: () => element("tr", {}, ...columns.map(cell)),
    update: (row, item) => columns.forEach(([, of], at) => setCell(row.cells[at], of(item, now))),
  });
  byId(`${list}-table`).hidden = items.length === 0;
  byId(`${list}-empty`).textContent = items.length ? "" : EMPTY[list] ?? "";
}

/** Give every table its head. */
export function initTables() {
  for (const [id, columns] of Object.entries(COLUMNS)) {
    const heads = columns.map(([label]) => element("th", { scope: "col", textContent: label }));
    byId(id).append(element("thead", {}, element("tr", {}, ...heads)), element("tbody"));
  }
}

function cell([label], at) {
  return element("td", { "data-label": label, className: at ? "" : "main-cell", dir: "auto" });
}

function setCell(node, value) {
  const { text, href } = typeof value === "object" ? value : { text: String(value) };
  if (href && !node.firstElementChild) node.append(element("a"));
  const shown = href ? node.firstElementChild : node;
  if (href) shown.setAttribute("href", href);
  if (shown.textContent !== text) shown.textContent = text;
}

function showFacts(id, facts) {
  showList(byId(id), facts.map(([term, text]) => ({ term, text: String(text) })), {
    key: ({ term }) => term,
    create: ({ term }) =>
      element("div", {}, element("dt", { textContent: term }), element("dd", { dir: "auto" })),
    update: (node, { text }) => setCell(node.lastElementChild, text),
  });
}

function showRooms(names) {
  showList(byId("client-rooms"), names, {
    key: (name) => name,
    create: (name) => {
      const link = element("a", { textContent: name, dir: "auto" });
      link.setAttribute("href", addressOf("rooms", name));
      return element("li", {}, link);
    },
  });
  byId("client-rooms-empty").textContent = names.length ? "" : "It is in no room.";
}
