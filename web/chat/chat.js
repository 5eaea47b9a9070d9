// The chat page: which screen is shown, and what buttons, forms and addresses do.

import { addressOf } from "./address.js";
import { fill, initComposer } from "./composer.js";
import { Drafts } from "./drafts.js";
import { avatar, byId, element } from "../page/dom.js";
import { Identity, pageStorage } from "./identity.js";
import { Session } from "./session.js";
import { focusSignIn, initSignIn, showSignIn, showSignInError } from "./signin.js";
import { showClosed } from "./status.js";
import { Token, isAdmitted, sentence, signInLink } from "./token.js";

const ASK_AGAIN_AFTER = 2_000;
const UNREACHABLE = "The server cannot be reached. Trying again…";
const ENDED = "Sign in again, and go on where you were.";

const identity = new Identity(pageStorage());
const drafts = new Drafts(pageStorage("sessionStorage"));
const token = new Token(pageStorage("sessionStorage"), pageStorage());
const wide = matchMedia("(min-width: 48rem)"); // as in the style sheet
const widest = matchMedia("(min-width: 64rem)");
let session = null;
let way = null; // how one signs in here, as the server says it

/** Find out how one signs in here, and do it if this browser knows what with. */
async function start() {
  try {
    way = await token.ask();
  } catch ({ code, message }) {
    askToSignIn(code ? message : UNREACHABLE);
    setTimeout(start, ASK_AGAIN_AFTER);
    return;
  }
  showSignIn(way);
  if (way.by === "name" ? !identity.name : !isAdmitted(way)) return askToSignIn(way.problem ?? "");
  showScreen("app");
  signIn(identity.name);
}

function signIn(name) {
  session?.end();
  session = new Session(credentialsOf(name), { identity, drafts }, {
    opened: (user) => enterApp(user),
    refused: (error) => refused(error),
    unreachable: () => showSignInError(UNREACHABLE),
    warned: (error) => warned(error),
    shown: (conversation) => showConversation(conversation),
  });
}

function credentialsOf(name) {
  const authenticate = (client) => client.authenticate({ name, secret: identity.secret });
  if (way.by === "name") return { signIn: authenticate };
  return way.by === "nothing" ? {} : { token: provideToken };
}

/** The token for the next connection, or for the one that there is, whose sign-in ends soon. */
function provideToken() {
  if (!session?.open) return token.current();
  byId("ending").hidden = way.by !== "token";
  return token.next();
}

async function takeToken(given, remembered) {
  try {
    way = await token.ask(given);
  } catch ({ code, message }) {
    return showSignInError(code ? message : "The server cannot be reached. Try again.");
  }
  if (!way.user) return showSignInError(way.problem ?? "This token signs nobody in.");
  byId("token").value = "";
  byId("ending").hidden = true;
  token.keep(given, remembered);
  if (session?.user !== way.user.id) return signIn("");
  showScreen("app"); // with all that is written there
  session.connect(true);
}

function enterApp(user) {
  if (way.by === "name") identity.name = user.name;
  const name = element("span", { className: "person", textContent: user.name, dir: "auto" });
  byId("me").replaceChildren(avatar(user.name), name);
  byId("me").title = user.id;
  byId("ending").hidden = true;
  showScreen("app");
}

function refused(error) {
  if (way.by === "name") return signOut(error.message);
  token.forget();
  askToSignIn(`${sentence(error.message)} ${session?.user ? ENDED : ""}`.trim());
}

function warned(error) {
  if (error.code === "unauthorized") askToSignIn(error.message);
}

/** Show the card by which one signs in; what is behind it stays as it is. */
function askToSignIn(message = "") {
  if (way) showSignIn(way, Boolean(session?.open));
  showScreen("sign-in");
  showSignInError(message);
  focusSignIn();
}

function signOut(message = "") {
  session?.end();
  session = null;
  byId("name").value ||= identity.name;
  askToSignIn(message);
}

/** What the button beside one's own name is for, which depends on how one signs in. */
function changeUser() {
  if (way.by === "page") return location.assign(signInLink(way.page, location));
  if (way.by === "token" && !session.user) return askToSignIn();
  token.forget();
  if (way.by === "token") identity.rooms = [];
  signOut();
}

function showScreen(id) {
  byId("sign-in").hidden = id !== "sign-in";
  byId("app").hidden = id !== "app";
}

function showConversation(conversation) {
  byId("app").dataset.view = conversation ? "conversation" : "list";
  byId("room-title").textContent = conversation?.name ?? "Rooms";
  byId("no-room").hidden = conversation !== undefined;
  for (const id of ["leave", "show-people"]) byId(id).hidden = !conversation;
  showClosed(conversation);
  fill(conversation?.draft ?? "");
  showPeoplePanel(false);
  // A phone's keyboard would cover what was just opened.
  const field = wide.matches && !conversation?.closed ? "text" : "room-title";
  if (conversation) byId(field).focus();
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
  initSignIn({
    name: (name) => signIn(name),
    token: (given, remembered) => takeToken(given, remembered),
    back: () => showScreen("app"),
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
  onClick("change-name", changeUser);
  onClick("renew", () => askToSignIn());
  onClick("rejoin", () => session.rejoin());
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
  addEventListener("pagehide", () => session?.saveDrafts());
  document.addEventListener("visibilitychange", () => session?.look());
}

initForms();
initButtons();
initPage();
showScreen(identity.name || token.value ? "app" : "");
start();
