/**
 * The browser client of Rooms: named events, rooms, presence and history over one WebSocket.
 *
 *     import { connect } from "/static/rooms.js";
 *
 *     const client = connect("/ws");
 *     const lobby = await client.join("lobby");
 *     lobby.on("say", ({ payload, from }) => console.log(from.user, payload.text));
 *     await lobby.send("say", { text: "Hello" });
 *
 * A connection that breaks is made again, and its rooms are joined again, unless the server's
 * close code forbids it. What a room missed meanwhile is delivered first, or it is told that
 * something may be missing; what was being sent is sent again and published once. Nothing here
 * depends on a page: the WebSocket class, the timers and the random numbers can be given, so it
 * runs under Node too.
 */

import { RoomsError, disconnected, failure, isPassing, timedOut } from "./rooms/errors.js";
import { Filters } from "./rooms/filters.js";
import { Listeners } from "./rooms/listeners.js";
import { randomText } from "./rooms/random.js";
import { askedDelay, leastDelay, mayReconnect, reconnectDelay } from "./rooms/reconnect.js";
import { Room } from "./rooms/room.js";
import { Token, isFinal } from "./rooms/token.js";

export { RoomsError, mayReconnect, randomText, reconnectDelay };

const OPEN = 1; // WebSocket.OPEN; the class that is given need not have the constant
const PASSING_CODES = new Set(["disconnected", "timeout", "internal"]);
const NO_ANSWER = 3012;
const NOT_SIGNED_IN = 3500;

const DEFAULTS = {
  token: null,
  signIn: null,
  minDelay: 500,
  maxDelay: 20_000,
  stableAfter: 10_000,
  requestTimeout: 10_000,
  sendTimeout: 30_000,
  maxWaiting: 100,
  welcomeTimeout: 10_000,
  pongTimeout: 10_000,
  random: Math.random,
  timers: {
    setTimeout: (callback, delay) => setTimeout(callback, delay),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => performance.now(),
  },
};

/** Open a connection to `url`, which may be relative to the page. */
export function connect(url, options) {
  const client = new Client(url, options);
  client.connect();
  return client;
}

/** One connection that comes back by itself, and the rooms that it is in. */
export class Client {
  /** "connecting", "open", "waiting" (for the next attempt) or "closed". */
  state = "closed";
  /** What the server calls this connection, the signed-in user and the server's limits. */
  id = null;
  user = null;
  limits = null;
  /** @internal */
  options;

  #url;
  #socket = null;
  #token;
  #turn = 0; // counts beginnings and ends of connections, for what must wait on the way
  #attempt = 0;
  #openedAt = 0;
  #timer = null; // there is one at a time: for the welcome, a sign of life, or the next attempt
  #pingAfter = 25_000;
  #lastId = 0;
  #pending = new Map();
  #rooms = new Map();
  #events = new Listeners();
  #notices = new Listeners();
  #filters = new Filters(this, (error) => this.#notices.emit("error", error));

  constructor(url, options = {}) {
    this.#url = absoluteUrl(url);
    this.options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    this.#token = new Token(this.options.token, this.options.timers);
  }

  /** Connect now; while waiting for the next attempt this shortens the wait. */
  connect() {
    if (this.state === "connecting" || this.state === "open") return;
    const giveUp = () => this.#drop(NO_ANSWER, "the server did not answer in time");
    this.#setTimer(giveUp, this.options.welcomeTimeout);
    this.#turn += 1;
    if (this.#token.absent) this.#openSocket();
    else this.#openSignedIn(this.#turn);
    this.#setState("connecting");
  }

  #openSocket() {
    const { WebSocket } = this.options;
    const protocols = this.#token.protocols();
    const socket = protocols ? new WebSocket(this.#url, protocols) : new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(data);
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lost(code, reason);
  }

  async #openSignedIn(turn) {
    try {
      await this.#token.fetch();
    } catch (error) {
      if (turn !== this.#turn) return;
      if (isFinal(error)) this.#refused(error);
      else this.#lost(NO_ANSWER, `no token: ${error.message}`);
      return;
    }
    if (turn === this.#turn) this.#openSocket();
  }

  /** Disconnect for good: rooms are left, requests fail, nothing reconnects until `connect`. */
  close(code = 1000, reason = "") {
    this.#end(code, reason, new RoomsError("closed", "This client was closed."));
  }

  /** Call `listener` with `{state, code, reason, error, delay}` whenever the state changes. */
  onState(listener) {
    return this.#notices.add("state", listener);
  }

  /** Call `listener` with every error that answers no particular request. */
  onError(listener) {
    return this.#notices.add("error", listener);
  }

  /** Call `listener` with `{event, payload}` for each `event` sent to this client alone. */
  on(event, listener) {
    return this.#events.add(event, listener);
  }

  /** The room of that name, joined or not: add listeners first, then `join()`. */
  room(name) {
    if (!this.#rooms.has(name)) this.#rooms.set(name, new Room(this, name));
    return this.#rooms.get(name);
  }

  /** Join the room of that name, now or as soon as there is a connection. */
  async join(name, options) {
    await this.room(name).join(options);
    return this.room(name);
  }

  /**
   * Call `listener` with the live events of all rooms that `filter` names, joined or not.
   *
   * The filter goes by the rules of MQTT: `news/+`, `news/#`. Settles when the server has agreed,
   * with a function that stops it.
   */
  subscribe(filter, listener) {
    return this.#filters.subscribe(filter, listener);
  }

  /** Send an event to the server; the promise is what it answers. */
  async request(event, payload, { timeout } = {}) {
    return (await this.command({ type: "event", event, payload }, timeout)).payload;
  }

  /** Sign in with what the server asks for, for instance `{name, secret}`; returns the user. */
  async authenticate(credentials) {
    const { user } = await this.command({ ...credentials, type: "auth" });
    this.user = user ?? null;
    return this.user;
  }

  /** Send a frame of the protocol with an id; the promise is its reply. */
  command(frame, timeout) {
    return new Promise((resolve, reject) => this.ask(frame, { resolve, reject, timeout }));
  }

  /** @internal As `command`, but what it leads to happens before the next frame is looked at. */
  ask(frame, { resolve, reject, timeout = this.options.requestTimeout }) {
    const id = ++this.#lastId;
    if (!this.post({ ...frame, id })) {
      reject(disconnected());
      return false;
    }
    const giveUp = () => this.#pending.delete(id) && reject(timedOut(timeout));
    const timer = this.options.timers.setTimeout(giveUp, timeout);
    this.#pending.set(id, { resolve, reject, timer });
    return true;
  }

  /** Send a frame that nobody answers; returns whether there was a connection to send it on. */
  post(frame) {
    if (this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #receive(text) {
    if (this.state === "open") this.#expectLife();
    const frame = JSON.parse(text);
    if (frame.type === "welcome") this.#greeted(frame);
    else if (frame.type === "reply" || frame.type === "error") this.#answered(frame);
    else if (frame.room !== undefined) this.#happened(frame);
    else if (frame.type === "left") this.#filters.taken(frame);
    else if (frame.type === "event") this.#events.emit(frame.event, frame);
  }

  #happened(frame) {
    this.#rooms.get(frame.room)?.receive(frame);
    if (frame.type === "event") this.#filters.emit(frame);
  }

  async #greeted({ client, user, ping, limits, auth, expires_in: expiresIn }) {
    const socket = this.#socket;
    Object.assign(this, { id: client, user, limits });
    this.#pingAfter = ping * 1000;
    this.#token.tried(true);
    try {
      if (auth && this.#token.command()) await this.#sendToken();
      else this.#renewBefore(expiresIn);
      await this.options.signIn?.(this);
    } catch (error) {
      if (socket === this.#socket) this.#refused(error);
    }
    if (socket === this.#socket) this.#opened();
  }

  async #sendToken() {
    const { user, expires_in: expiresIn } = await this.command(this.#token.command());
    this.user = user ?? null;
    this.#renewBefore(expiresIn);
  }

  #renewBefore(expiresIn) {
    this.#token.renewBefore(expiresIn, () => this.#renew(this.#turn));
  }

  // If this fails the server ends the connection in time, and the next one gets a token of its own.
  async #renew(turn) {
    try {
      await this.#token.fetch();
      if (turn === this.#turn && this.#token.command()) await this.#sendToken();
    } catch (error) {
      if (turn === this.#turn) this.#notices.emit("error", error);
    }
  }

  #refused(error) {
    if (PASSING_CODES.has(error.code) || isPassing(error)) this.#drop(NO_ANSWER, error.message);
    else this.#end(1000, "sign-in failed", error);
  }

  #opened() {
    this.#openedAt = this.options.timers.now();
    this.#expectLife();
    this.#setState("open");
    for (const room of this.#rooms.values()) room.connected();
    this.#filters.connected();
  }

  #answered(frame) {
    const request = this.#pending.get(frame.id);
    if (!request) {
      if (frame.type === "error") this.#notices.emit("error", failure(frame));
      return;
    }
    this.#pending.delete(frame.id);
    this.options.timers.clearTimeout(request.timer);
    if (frame.type === "reply") request.resolve(frame);
    else request.reject(failure(frame));
  }

  // Browsers do not show pings, and a network that is gone does not say so: after the server's own
  // interval without a frame we ask for one.
  #expectLife() {
    this.#setTimer(() => {
      this.post({ type: "ping" });
      const { pongTimeout } = this.options;
      this.#setTimer(() => this.#drop(NO_ANSWER, "the server fell silent"), pongTimeout);
    }, this.#pingAfter);
  }

  /** Give up on a connection whose other end may never say that it is closed. */
  #drop(code, reason) {
    this.#socket?.close(1000);
    this.#lost(code, reason);
  }

  #lost(code, reason) {
    if (!mayReconnect(code)) {
      const kind = code === NOT_SIGNED_IN ? "unauthorized" : "closed";
      this.#end(code, reason, new RoomsError(kind, reason || `Closed with code ${code}.`));
      return;
    }
    if (this.state === "connecting" && this.#socket) this.#token.tried(false);
    const { timers, stableAfter } = this.options;
    if (this.state === "open" && timers.now() - this.#openedAt >= stableAfter) this.#attempt = 0;
    const wait = askedDelay(reason) ?? reconnectDelay(this.#attempt++, this.options);
    const delay = Math.max(wait, leastDelay(code));
    this.#detach(disconnected());
    this.#setTimer(() => this.connect(), delay);
    this.#setState("waiting", { code, reason, delay });
  }

  #end(code, reason, error) {
    this.#socket?.close(code >= 3000 ? code : 1000, reason);
    this.#detach(error);
    this.#attempt = 0;
    for (const room of this.#rooms.values()) room.ended(error);
    this.#filters.ended(error);
    this.#setState("closed", { code, reason, error });
  }

  #detach(error) {
    this.#socket = null;
    this.#turn += 1;
    this.#setTimer(null);
    this.#token.stop();
    const requests = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of requests) {
      this.options.timers.clearTimeout(timer);
      reject(error);
    }
    for (const room of this.#rooms.values()) room.disconnected();
    this.#filters.disconnected();
  }

  #setTimer(callback, delay) {
    this.options.timers.clearTimeout(this.#timer);
    this.#timer = callback && this.options.timers.setTimeout(callback, delay);
  }

  #setState(state, details = {}) {
    if (state === this.state) return;
    this.state = state;
    this.#notices.emit("state", { state, ...details });
  }
}

function absoluteUrl(url) {
  const absolute = new URL(url, globalThis.location?.href);
  absolute.protocol = absolute.protocol.replace("http", "ws");
  return absolute.href;
}
