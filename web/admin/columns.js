// What the tables show of each thing: a text for every column, or `{text, href}` for a link.

import { addressOf } from "./address.js";
import { bytes, duration, milliseconds, person, position } from "./format.js";

const client = ({ id }) => ({ text: id, href: addressOf("clients", id) });
const room = ({ name }) => ({ text: name, href: addressOf("rooms", name) });
const since = ({ connected_at: at }, now) => duration(now - at);

/** By the id of a table: its columns, each with the function that says what is in a cell. */
export const COLUMNS = {
  "rooms-table": [
    ["Room", room],
    ["People", ({ count }) => count],
    ["Position", (each) => position(each.position)],
    ["Nodes", ({ nodes }) => nodes.length],
  ],
  "clients-table": [
    ["Client", client],
    ["User", ({ user }) => person(user)],
    ["Address", ({ remote }) => remote],
    ["Rooms", ({ rooms }) => rooms.length],
    ["Connected", since],
    ["Latency", (each) => milliseconds(each.latency_ms)],
    ["Waiting", (each) => bytes(each.waiting_bytes)],
  ],
  "members-table": [
    ["Client", client],
    ["User", ({ user }) => person(user)],
    ["Address", ({ remote }) => remote],
    ["Connected", since],
    ["Latency", (each) => milliseconds(each.latency_ms)],
    ["Waiting", (each) => bytes(each.waiting_bytes)],
  ],
  "nodes-table": [
    ["Node", ({ id }) => id],
    ["Host", ({ host, pid }) => `${host} (${pid})`],
    ["Version", ({ version }) => version],
    ["Clients", ({ clients }) => clients],
    ["Up", ({ uptime }) => duration(uptime)],
    ["Late by", ({ lag }) => milliseconds(lag * 1000)],
    ["Answers", ({ answered }) => (answered ? "yes" : "no")],
  ],
};

/** What is told of a room, as pairs of a term and its text. */
export function roomFacts({ count, position: place, nodes }) {
  return [["People", count], ["Position", position(place)], ["Nodes", nodes.join(", ")]];
}

/** What is told of a client. */
export function clientFacts(each, now) {
  return [
    ["User", person(each.user)],
    ["Address", each.remote],
    ["Path", each.path],
    ["Connected", since(each, now)],
    ["Latency", milliseconds(each.latency_ms)],
    ["Waiting", bytes(each.waiting_bytes)],
    ["Node", each.node],
  ];
}

/** What is told of the server. */
export function serverFacts(info) {
  return [
    ["Rooms", info.rooms],
    ["Clients", info.clients],
    ["Connections", info.connections],
    ["Late by", milliseconds(info.lag * 1000)],
    ["Up", duration(info.uptime)],
    ["Version", info.version],
  ];
}
