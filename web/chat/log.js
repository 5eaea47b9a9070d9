// The messages of one room as a live region.

import { avatar, byId, element, icon, spoken } from "../page/dom.js";

const GROUPED_WITHIN = 5 * 60_000;
const AT_END = 48; // pixels that still count as the end
const NEAR_TOP = 200; // pixels from the top at which older messages are asked for
const OLDER_TEXT = {
  loading: "Loading…",
  end: "This is as far back as the messages go.",
  empty: "You are in. Nothing was said here lately.",
  forbidden: "You are in. What was said before is not for you to read.",
};
const STATUS_TEXT = { pending: "Sending", sent: "Delivered", failed: "Not delivered" };
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

/** The list of one room's messages; scrolls along while its end is in sight. */
export class Log {
  #shown = new Map(); // by id {entry, node}
  #top = element("li", { className: "older" });
  #list = element("ol", {}, this.#top);
  #last = null;
  #atEnd = true;
  #more = false;
  #handlers;

  /** `handlers`: `retry(id)`, `older()`, and the button `newest` that leads to the end. */
  constructor(name, handlers) {
    this.#handlers = handlers;
    const properties = { className: "log", role: "log", tabIndex: 0, hidden: true };
    this.element = element("div", properties, this.#list);
    this.element.setAttribute("aria-label", `Messages in ${name}`);
    this.element.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => this.#atEnd && this.scrollToEnd()).observe(this.element);
  }

  /** Show this log, or hide it. */
  show(shown) {
    this.element.hidden = !shown;
    if (shown) this.scrollToEnd();
  }

  /** Go to the newest message. */
  scrollToEnd() {
    this.#atEnd = true;
    this.element.scrollTop = this.element.scrollHeight;
    this.#showNewest(false);
  }

  add(entry) {
    const follow = this.#atEnd || entry.own;
    this.#list.append(this.#nodeOf(entry, this.#last));
    this.#last = entry;
    if (follow) this.scrollToEnd();
    else this.#showNewest(true);
  }

  /** Show `entries` behind the entry `after`, or at the top, while what is in sight stays there. */
  insert(entries, after) {
    const { scrollTop, scrollHeight } = this.element;
    const place = after ? this.#shown.get(after.id).node : this.#top;
    const next = this.#entryAt(place.nextElementSibling);
    let last = after;
    for (const entry of entries) {
      (this.#shown.get(last?.id)?.node ?? place).after(this.#nodeOf(entry, last));
      last = entry;
    }
    if (next) this.#group(next, last);
    else this.#last = last ?? this.#last;
    if (this.#atEnd) this.scrollToEnd();
    else if (!after) this.element.scrollTop = scrollTop + this.element.scrollHeight - scrollHeight;
  }

  update(entry) {
    const { node } = this.#shown.get(entry.id);
    node.dataset.status = entry.status;
    node.querySelector(".status")?.replaceChildren(...statusOf(entry));
    node.querySelector(".failure")?.remove();
    if (entry.status === "failed") node.querySelector(".body").append(this.#failureOf(entry));
    if (this.#atEnd) this.scrollToEnd();
  }

  remove(entry) {
    this.#shown.get(entry.id).node.remove();
    this.#shown.delete(entry.id);
  }

  /** Show what lies before the first message: "more", "loading", "end", "empty" or "forbidden". */
  older(state) {
    this.#more = state === "more";
    this.element.ariaBusy = String(state === "loading");
    this.#top.replaceChildren(this.#more ? this.#olderButton() : OLDER_TEXT[state]);
    if (this.#atEnd) this.scrollToEnd();
  }

  #nodeOf(entry, last) {
    const node = entry.notice === undefined ? messageOf(entry) : noticeOf(entry);
    node.dataset.id = entry.id;
    this.#shown.set(entry.id, { entry, node });
    this.#group(entry, last);
    return node;
  }

  #entryAt(node) {
    return node ? this.#shown.get(node.dataset.id).entry : null;
  }

  /** Show who said it unless the same person said what comes before, not long ago. */
  #group(entry, last) {
    if (entry.notice !== undefined) return;
    const { node } = this.#shown.get(entry.id);
    const first = !continues(entry, last);
    node.classList.toggle("first", first);
    node.querySelector(".author").classList.toggle("visually-hidden", entry.own || !first);
  }

  #olderButton() {
    const text = "Show older messages";
    const button = element("button", { type: "button", className: "quiet", textContent: text });
    button.addEventListener("click", () => {
      this.element.focus(); // the button is about to go
      this.#handlers.older();
    });
    return button;
  }

  #failureOf(entry) {
    const again = element("button", { type: "button", className: "quiet", textContent: "Retry" });
    again.addEventListener("click", () => {
      byId("text").focus();
      this.#handlers.retry(entry.id);
    });
    return element("p", { className: "failure" }, `${entry.reason} `, again);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < AT_END;
    if (this.#atEnd) this.#showNewest(false);
    else if (this.#more && scrollTop < NEAR_TOP) this.#handlers.older();
  }

  #showNewest(shown) {
    if (!this.element.hidden) this.#handlers.newest.hidden = !shown;
  }
}

function continues({ user, time }, last) {
  if (last === null || last.user !== user) return false;
  return last.time === time || time - last.time < GROUPED_WITHIN; // those of the past have no time
}

function messageOf(entry) {
  const { own, user, name: called = user, text, time, status } = entry;
  const name = element("p", { className: "author", textContent: called, title: user, dir: "auto" });
  const words = element("p", { className: "text", textContent: text });
  const bubble = element("div", { className: "bubble", dir: "auto" }, words, metaOf(entry));
  const body = element("div", { className: "body" }, name, bubble);
  const node = element("li", { className: "message" }, body);
  node.classList.toggle("own", own);
  node.classList.toggle("untimed", time === undefined);
  if (!own) node.prepend(avatar(called));
  node.dataset.status = status;
  return node;
}

function metaOf(entry) {
  const meta = element("p", { className: "meta" });
  if (entry.time !== undefined) meta.append(timeOf(new Date(entry.time)));
  if (entry.own) meta.append(element("span", { className: "status" }, ...statusOf(entry)));
  return meta;
}

function timeOf(time) {
  const shown = { textContent: clock.format(time), dateTime: time.toISOString(), dir: "ltr" };
  return element("time", shown);
}

function statusOf({ status }) {
  return [icon(status), spoken(STATUS_TEXT[status])];
}

function noticeOf({ notice, kind }) {
  return element("li", { className: kind }, element("span", { textContent: notice, dir: "auto" }));
}
