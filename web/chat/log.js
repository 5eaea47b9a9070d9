// The messages of one room as a live region.

import { avatar, byId, element, icon, spoken } from "./dom.js";

const GROUPED_WITHIN = 5 * 60_000;
const AT_END = 48; // pixels that still count as the end
const STATUS_TEXT = { pending: "Sending", sent: "Delivered", failed: "Not delivered" };
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

/** The list of one room's messages; scrolls along while its end is in sight. */
export class Log {
  #nodes = new Map();
  #list = element("ol");
  #last = null;
  #atEnd = true;
  #newest;
  #retry;

  constructor(name, { newest, retry }) {
    this.#newest = newest;
    this.#retry = retry;
    const properties = { className: "log", role: "log", tabIndex: 0, hidden: true };
    this.element = element("div", properties, this.#list);
    this.element.setAttribute("aria-label", `Messages in ${name}`);
    this.element.addEventListener("scroll", () => this.#scrolled());
    new ResizeObserver(() => this.#atEnd && this.scrollToEnd()).observe(this.element);
    const start = "You are in. What is said from now on appears here.";
    this.#list.append(noticeOf({ notice: start }));
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
    const node = entry.notice === undefined ? this.#messageOf(entry) : noticeOf(entry);
    this.#nodes.set(entry.id, node);
    this.#list.append(node);
    this.#last = entry;
    if (follow) this.scrollToEnd();
    else this.#showNewest(true);
  }

  update(entry) {
    const node = this.#nodes.get(entry.id);
    node.dataset.status = entry.status;
    node.querySelector(".status")?.replaceChildren(...statusOf(entry));
    node.querySelector(".failure")?.remove();
    if (entry.status === "failed") node.querySelector(".body").append(this.#failureOf(entry));
    if (this.#atEnd) this.scrollToEnd();
  }

  remove(entry) {
    this.#nodes.get(entry.id).remove();
    this.#nodes.delete(entry.id);
  }

  #messageOf(entry) {
    const first = !this.#continues(entry);
    const className = `message${entry.own ? " own" : ""}${first ? " first" : ""}`;
    const node = element("li", { className }, bodyOf(entry, first));
    if (!entry.own) node.prepend(avatar(entry.user));
    node.dataset.status = entry.status;
    return node;
  }

  #continues({ user, time }) {
    return this.#last?.user === user && time - this.#last.time < GROUPED_WITHIN;
  }

  #failureOf(entry) {
    const again = element("button", { type: "button", className: "quiet", textContent: "Retry" });
    again.addEventListener("click", () => {
      byId("text").focus();
      this.#retry(entry.id);
    });
    return element("p", { className: "failure" }, `${entry.reason} `, again);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < AT_END;
    if (this.#atEnd) this.#showNewest(false);
  }

  #showNewest(shown) {
    if (!this.element.hidden) this.#newest.hidden = !shown;
  }
}

function bodyOf(entry, first) {
  const name = element("p", { className: "author", textContent: entry.user, dir: "auto" });
  if (entry.own || !first) name.classList.add("visually-hidden");
  const text = element("p", { className: "text", textContent: entry.text });
  const bubble = element("div", { className: "bubble", dir: "auto" }, text, metaOf(entry));
  return element("div", { className: "body" }, name, bubble);
}

function metaOf(entry) {
  const time = new Date(entry.time);
  const shown = { textContent: clock.format(time), dateTime: time.toISOString(), dir: "ltr" };
  const meta = element("p", { className: "meta" }, element("time", shown));
  if (entry.own) meta.append(element("span", { className: "status" }, ...statusOf(entry)));
  return meta;
}

function statusOf({ status }) {
  return [icon(status), spoken(STATUS_TEXT[status])];
}

function noticeOf({ notice }) {
  return element("li", { className: "notice", textContent: notice, dir: "auto" });
}
