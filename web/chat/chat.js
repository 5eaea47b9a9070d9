// The chat page: which screen is shown, and what buttons, forms and addresses do.

import { addressOf } from "./address.js";
import { fill, initComposer } from "./composer.js";
import { avatar, byId, element } from "./dom.js";
import { Identity, pageStorage } from "./identity.js";
import { Session } from "./session.js";

const identity = new Identity(pageStorage());
const wide = matchMedia("(min-width: 48rem)"); // as in the style sheet
const widest = matchMedia("(min-width: 64rem)");
let session = null;

function signIn(name) {
  session = new Session(name, identity, {
    opened: (user) => enterApp(user),
    refused: (error) => signOut(error.message),
    unreachable: () => showSignInError("The server cannot be reached. Trying again…"),
    shown: (conversation) => showConversation(conversation),
  });
}

function enterApp(user) {
  identity.name = user.name;
  const name = element("span", { className: "person", textContent: user.name, dir: "auto" });
  byId("me").replaceChildren(avatar(user.name), name);
  showScreen("app");
}

function signOut(message = "") {
  session?.end();
  session = null;
  byId("name").value ||= identity.name;
  showScreen("sign-in");
  showSignInError(message);
  byId("name").select();
}

function showScreen(id) {
  byId("sign-in").hidden = id !== "sign-in";
  byId("app").hidden = id !== "app";
}

function showSignInError(message) {
  byId("sign-in-error").textContent = message;
}

function showConversation(conversation) {
  byId("app").dataset.view = conversation ? "conversation" : "list";
  byId("room-title").textContent = conversation?.name ?? "Rooms";
  byId("no-room").hidden = conversation !== undefined;
  for (const id of ["composer", "leave", "show-people"]) byId(id).hidden = !conversation;
  fill(conversation?.draft ?? "");
  showPeoplePanel(false);
  // A phone's keyboard would cover what was just opened.
  if (conversation) byId(wide.matches ? "text" : "room-title").focus();
}

function showPeoplePanel(shown) {
  byId("app").classList.toggle("with-people", shown);
  byId("show-people").setAttribute("aria-expanded", String(shown));
  for (const id of ["rooms", "conversation"]) byId(id).inert = shown; // as it lies behind the panel
}

function onSubmit(id, field, handle) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    const value = byId(field).value.trim().normalize("NFKC");
    if (value) handle(value);
  });
}

function onClick(id, handle) {
  byId(id).addEventListener("click", handle);
}

function initForms() {
  onSubmit("sign-in-form", "name", (name) => {
    showSignInError("");
    session?.end();
    signIn(name);
  });
  onSubmit("join-form", "room-name", (room) => {
    byId("join-error").textContent = "";
    byId("room-name").value = "";
    location.hash = addressOf(room);
  });
  initComposer({
    say: (text) => session.conversation?.say(text),
    writing: () => session.conversation?.writing(),
  });
}

function initButtons() {
  onClick("change-name", () => signOut());
  onClick("leave", () => session.leave());
  onClick("try-now", () => session.connect(true));
  onClick("newest", () => {
    session.log?.scrollToEnd();
    byId("text").focus();
  });
  onClick("skip", (event) => {
    event.preventDefault(); // the address names the room
    byId("text").focus();
  });
  onClick("show-people", () => {
    showPeoplePanel(true);
    byId("people-title").focus();
  });
  onClick("hide-people", hidePeople);
  addEventListener("keydown", ({ key }) => key === "Escape" && peopleShown() && hidePeople());
  onClick("app", ({ target }) => target === byId("app") && peopleShown() && hidePeople());
  widest.addEventListener("change", () => showPeoplePanel(false));
}

function peopleShown() {
  return byId("app").classList.contains("with-people");
}

function hidePeople() {
  showPeoplePanel(false);
  byId("show-people").focus();
}

function initPage() {
  addEventListener("hashchange", () => session?.follow(location.hash));
  addEventListener("online", () => session?.connect());
  document.addEventListener("visibilitychange", () => session?.look());
}

initForms();
initButtons();
initPage();
if (identity.name) signIn(identity.name);
showScreen(identity.name ? "app" : "sign-in");
if (!identity.name) byId("name").focus();
