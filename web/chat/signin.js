// The card by which one signs in: with a name, with a token, or elsewhere.

import { byId, icon } from "../page/dom.js";
import { signInLink, tokenIn } from "./token.js";

const INTRODUCTION = {
  name: "Pick a name that the others will see. No account is needed.",
  token: "Sign in with the token that you were given.",
  page: "Sign in, and you come back to where you are now.",
};
const LEAVING = { name: "Change name", token: "Sign out", page: "Sign in as somebody else" };
const NO_TOKEN = "That is no token: it has characters that are in none.";

/** Make the card work; `handlers`: `name(name)`, `token(token, remembered)`, `back()`. */
export function initSignIn(handlers) {
  byId("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    showSignInError("");
    if (byId("by-token").disabled) submitName(handlers);
    else submitToken(handlers);
  });
  byId("sign-in-back").addEventListener("click", () => handlers.back());
}

function submitName(handlers) {
  const name = byId("name").value.trim().normalize("NFKC");
  if (name) handlers.name(name);
}

function submitToken(handlers) {
  const token = tokenIn(byId("token").value);
  if (token) handlers.token(token, byId("remember").checked);
  else showSignInError(NO_TOKEN);
}

/** Have the card ask for what the server wants; `back`: whether one can go on without. */
export function showSignIn({ by, page }, back = false) {
  byId("sign-in-text").textContent = INTRODUCTION[by] ?? "";
  for (const each of ["name", "token"]) {
    byId(`by-${each}`).hidden = byId(`by-${each}`).disabled = by !== each;
  }
  byId("sign-in-submit").hidden = by === "page" || by === "nothing";
  byId("sign-in-submit").textContent = by === "name" ? "Start chatting" : "Sign in";
  byId("sign-in-page").hidden = by !== "page";
  if (by === "page") byId("sign-in-page").href = signInLink(page, location);
  byId("sign-in-back").hidden = !back;
  byId("change-name").title = byId("change-name").ariaLabel = LEAVING[by] ?? "";
  byId("change-name").hidden = by === "nothing";
  byId("change-name").firstElementChild.replaceWith(icon(by === "name" ? "edit" : "leave"));
}

/** Put the cursor where one signs in. */
export function focusSignIn() {
  const [field] = ["name", "token", "sign-in-page"].map(byId).filter((each) => each.checkVisibility());
  field?.focus();
  field?.select?.();
}

/** Say why nobody is signed in. */
export function showSignInError(message) {
  byId("sign-in-error").textContent = message;
}
