// The one dialog of the page: says what is about to be done, asks for what it takes, and does it.

import { byId } from "../page/dom.js";

let order = null;

/**
 * Ask before something is done.
 *
 * `label` names the field, which holds `value`; `act(value)` does it, and what it raises is shown.
 */
export function ask({ title, text, label, value = "", required = false, button, act }) {
  order = act;
  byId("dialog-title").textContent = title;
  byId("dialog-text").textContent = text;
  byId("dialog-label").textContent = label;
  byId("dialog-value").value = value;
  byId("dialog-value").required = required;
  byId("dialog-submit").textContent = button;
  byId("dialog-error").textContent = "";
  byId("dialog").showModal();
}

/** Make the dialog work. */
export function initDialog() {
  byId("dialog-cancel").addEventListener("click", () => byId("dialog").close());
  byId("dialog-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    byId("dialog-submit").disabled = true;
    try {
      await order(byId("dialog-value").value.trim());
      byId("dialog").close();
    } catch (error) {
      byId("dialog-error").textContent = error.message;
    } finally {
      byId("dialog-submit").disabled = false;
    }
  });
}
