// The list of rooms, and the people of the one that is open.

import { avatar, byId, counted, element, icon, showList, spoken } from "../page/dom.js";
import { addressOf } from "./address.js";

/** Show the rooms that we are in and the others that there are. */
export function showRooms(conversations, listed, current) {
  const joined = [...conversations.values()];
  const others = listed.filter(({ room }) => !conversations.has(room));
  showRoomList(byId("joined-rooms"), joined.map(roomOf), current);
  showRoomList(byId("open-rooms"), others.map(({ room, count }) => ({ room, count })), current);
  byId("open-group").hidden = others.length === 0;
}

/** Show how many messages are unread, in the title and on the way back to the list. */
export function showUnread(conversations, current) {
  let unread = 0;
  for (const conversation of conversations.values()) unread += conversation.unread;
  document.title = `${unread ? `(${unread}) ` : ""}${current ? `${current} · ` : ""}Rooms`;
  showBadge(byId("back-badge"), unread);
}

/** Show who is in the conversation's room. */
export function showPeople(conversation, me) {
  const people = conversation?.people ?? [];
  const count = conversation?.count ?? 0;
  const create = (user) => person(user, conversation.nameOf(user), me);
  showList(byId("people-list"), people, { key: (user) => user, create });
  const more = count - people.length;
  byId("people-more").textContent = more > 0 ? `and ${more} more` : "";
  byId("room-count").textContent =
    conversation && !conversation.closed ? counted(count, "person", "people") : "";
  byId("people-title").textContent = conversation ? `People · ${count}` : "People";
}

function roomOf({ name, count, unread, closed }) {
  return { room: name, count, unread, closed };
}

function showRoomList(list, rooms, current) {
  showList(list, rooms, {
    key: ({ room }) => room,
    create: ({ room }) => roomItem(room),
    update: (item, room) => updateRoom(item.firstChild, room, room.room === current),
  });
}

function roomItem(room) {
  const link = element(
    "a",
    { href: addressOf(room) },
    element("span", { className: "hash", textContent: "#", "aria-hidden": "true" }),
    element("span", { className: "room-name", textContent: room, dir: "auto" }),
    element("span", { className: "badge", hidden: true }),
    element("span", { className: "room-count" }),
  );
  return element("li", {}, link);
}

function updateRoom(link, { count, unread = 0, closed = "" }, current) {
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  showBadge(link.querySelector(".badge"), unread);
  const people = counted(count, "person", "people");
  const shown = closed ? icon("lock") : element("span", { textContent: count, ariaHidden: "true" });
  link.querySelector(".room-count").replaceChildren(spoken(`, ${closed || people}`), shown);
}

function showBadge(badge, unread) {
  badge.hidden = unread === 0;
  badge.replaceChildren(unread > 99 ? "99+" : String(unread), spoken(" unread"));
}

function person(user, name, me) {
  const item = element("li", { title: user }, avatar(name));
  item.append(element("span", { className: "person", textContent: name, dir: "auto" }));
  if (user === me) item.append(element("span", { className: "muted", textContent: "you" }));
  return item;
}
