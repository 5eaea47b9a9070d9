// The dashboard: who is signed in, which place is shown, and when the server is asked again.

import { byId } from "../page/dom.js";
import { initActions } from "./actions.js";
import { listOf, placeAt, requestFor } from "./address.js";
import { Api } from "./api.js";
import { initDialog } from "./dialog.js";
import { Pager } from "./pager.js";
import { initTables, showPlace, showServer } from "./views.js";

const REFRESH_EVERY = 2_000;
const SIGNED_IN = "rooms.admin"; // whether the browser may have a cookie of ours; never a secret
const VIEWS = ["rooms", "room", "clients", "client", "nodes"];

const api = new Api();
const pager = new Pager();
let place = placeAt(location.hash);
let timer = null;
let turn = 0; // counts what was asked for, as answers to what is not shown any more come too late

/** Show the place that the address names, from its first page on. */
function follow() {
  place = placeAt(location.hash);
  pager.reset();
  for (const view of VIEWS) byId(view).hidden = true;
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.hash === `#/${listOf(place)}`;
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${place.name || `${listOf(place)}`} · Rooms admin`;
  refresh(true);
}

/** Ask the server, show what it says, and do so again after a while. */
async function refresh(focus = false) {
  clearTimeout(timer);
  const mine = ++turn;
  try {
    const [info, content] = await Promise.all([api.get("/info"), load()]);
    if (mine === turn) show(info, content, focus);
  } catch (error) {
    if (mine === turn) failed(error);
  }
  if (mine === turn && !byId("app").hidden && !gone()) timer = setTimeout(tick, REFRESH_EVERY);
}

/** Whether what is shown will never be again: ids of clients are not given twice. */
function gone() {
  return place.view === "client" && byId("client").classList.contains("gone");
}

function tick() {
  if (document.visibilityState === "visible") refresh();
}

async function load() {
  const filter = place.view === "rooms" ? byId("filter").value.trim() : "";
  try {
    return await api.get(requestFor(place, { after: pager.after, filter }));
  } catch (error) {
    if (error.status === 404 && place.name) return null; // there is no such thing any more
    throw error;
  }
}

function show(info, content, focus) {
  say("problem", missing(content?.unanswered ?? []));
  byId("app").classList.remove("stale");
  showServer(info);
  showPlace(place, content);
  byId(place.view).hidden = false;
  pager.loaded(content?.next ?? null);
  showPager();
  if (focus) byId(`${place.view}-title`).focus();
}

function showPager() {
  byId("pager").hidden = pager.number === 1 && !pager.hasNext;
  byId("previous").disabled = pager.number === 1;
  byId("next").disabled = !pager.hasNext;
  byId("page-number").textContent = `Page ${pager.number}`;
}

function failed(error) {
  if (error.status === 401) return leave("Your session has ended. Sign in again.");
  byId("app").classList.add("stale");
  say("problem", error.message);
}

function missing(nodes) {
  return nodes.length ? `No answer from ${nodes.join(", ")}: what they know is missing here.` : "";
}

/** Say something, once: a screen reader would read the same text at each refresh. */
function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function enter({ name, role }) {
  localStorage.setItem(SIGNED_IN, "1");
  byId("holder").textContent = `${name} (${role === "full" ? "full" : "read only"})`;
  document.body.dataset.role = role;
  byId("sign-in").hidden = true;
  byId("app").hidden = false;
  follow();
}

/** Forget everything that was shown, and ask for a token. */
function leave(message = "") {
  clearTimeout(timer);
  turn += 1;
  localStorage.removeItem(SIGNED_IN);
  byId("dialog").close();
  byId("app").hidden = true;
  byId("sign-in").hidden = false;
  say("sign-in-error", message);
  byId("token").focus();
}

async function signIn() {
  const token = byId("token").value.trim();
  byId("token").value = "";
  say("sign-in-error", "");
  try {
    enter(await api.signIn(token));
  } catch (error) {
    say("sign-in-error", wordsFor(error));
    byId("token").focus();
  }
}

function wordsFor({ status, message }) {
  return status === 401 ? "That is not an admin token of this server." : message;
}

async function start() {
  if (!localStorage.getItem(SIGNED_IN)) return leave();
  try {
    enter(await api.session());
  } catch (error) {
    leave(error.status === 401 ? "Your session has ended. Sign in again." : error.message);
  }
}

function onSubmit(id, handle) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    handle();
  });
}

function turnPage(move) {
  move();
  refresh(true);
}

function initPage() {
  initTables();
  initDialog();
  initActions({
    api,
    place: () => place,
    done: (text) => {
      say("notice", text);
      refresh();
    },
  });
  onSubmit("sign-in-form", signIn);
  onSubmit("filter-form", () => {
    pager.reset();
    refresh();
  });
  byId("sign-out").addEventListener("click", () => api.signOut().catch(() => {}).then(() => leave()));
  byId("previous").addEventListener("click", () => turnPage(() => pager.back()));
  byId("next").addEventListener("click", () => turnPage(() => pager.forward()));
  addEventListener("hashchange", () => {
    say("notice", "");
    if (!byId("app").hidden) follow();
  });
  document.addEventListener("visibilitychange", () => !byId("app").hidden && tick());
}

initPage();
start();
