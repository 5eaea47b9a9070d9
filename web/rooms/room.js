import { RoomsError } from "./errors.js";
import { Listeners } from "./listeners.js";

/** One room: its events, who is in it, and a membership that outlives the connection. */
export class Room {
  /** Whether this connection is a member at the moment. */
  joined = false;
  /** Who is here: a Map from user to connections. It may be cut short; `count` never is. */
  presence = new Map();
  count = 0;
  /** Where the last thing seen of this room stands in its stream: `[epoch, offset]`. */
  position = null;

  #client;
  #membership = null; // {promise, resolve, reject} while this client wants to be a member
  #asked = false; // whether this connection has sent a join
  #events = new Listeners();
  #notices = new Listeners();

  constructor(client, name) {
    this.#client = client;
    this.name = name;
  }

  /** Call `listener` with `{event, payload, from, position}` for each `event` in this room. */
  on(event, listener) {
    return this.#events.add(event, listener);
  }

  /** Call `listener` with `{joined, left, count, fresh}`; `fresh` after a join or a rejoin. */
  onPresence(listener) {
    return this.#notices.add("presence", listener);
  }

  /** Call `listener` with the error when the server refuses to take us back in. */
  onRefused(listener) {
    return this.#notices.add("refused", listener);
  }

  /** Become a member, and again after each reconnect until `leave`. */
  join() {
    if (!this.#membership) {
      this.#membership = deferred();
      if (this.#client.state === "open") this.connected();
    }
    return this.#membership.promise;
  }

  /** Stop being a member. */
  async leave() {
    const asked = this.#asked;
    this.ended(new RoomsError("closed", `The room ${this.name} was left.`));
    if (asked) await this.#client.command({ type: "leave", room: this.name });
  }

  /** Publish an event to the room; the promise is the reply, with the event's position. */
  send(event, payload, { timeout } = {}) {
    return this.#client.command({ type: "event", event, room: this.name, payload }, timeout);
  }

  /** Publish an event that may get lost; returns whether it was sent. */
  notify(event, payload) {
    return this.joined && this.#client.post({ type: "event", event, room: this.name, payload });
  }

  /** @internal The client has a connection. */
  async connected() {
    const membership = this.#membership;
    if (!membership || this.#asked) return;
    this.#asked = true;
    try {
      const reply = await this.#client.command({ type: "join", room: this.name });
      if (membership === this.#membership) this.#enter(reply);
    } catch (error) {
      if (membership === this.#membership) this.#failed(error);
    }
  }

  /** @internal The client has no connection. */
  disconnected() {
    this.joined = this.#asked = false;
  }

  /** @internal The membership is over. */
  ended(error) {
    this.#membership?.reject(error);
    this.#membership = this.position = null;
    this.presence = new Map();
    this.count = 0;
    this.disconnected();
  }

  /** @internal A frame that names this room. */
  receive(frame) {
    if (frame.position) this.position = frame.position;
    if (frame.type === "event") this.#events.emit(frame.event, frame);
    else if (frame.type === "presence") this.#changed(frame);
  }

  #enter({ presence, count, position }) {
    const before = this.presence;
    this.presence = new Map(Object.entries(presence));
    Object.assign(this, { joined: true, count, position });
    const joined = missingFrom(before, this.presence);
    const left = missingFrom(this.presence, before);
    this.#notices.emit("presence", { joined, left, count, fresh: true });
    this.#membership.resolve();
  }

  #failed(error) {
    if (error.code === "disconnected") return; // the next connection tries again
    if (error.code === "timeout") this.#client.post({ type: "leave", room: this.name });
    this.ended(error);
    this.#notices.emit("refused", error);
  }

  // A change may tell again who came when the reply to our own join has told it already.
  #changed({ joined, left, count }) {
    const came = new Map(Object.entries(joined));
    const went = new Map(Object.entries(left));
    const news = missingFrom(this.presence, came);
    for (const user of went.keys()) this.presence.delete(user);
    for (const [user, connections] of came) this.presence.set(user, connections);
    this.count = count;
    this.#notices.emit("presence", { joined: news, left: went, count, fresh: false });
  }
}

function missingFrom(some, all) {
  return new Map([...all].filter(([user]) => !some.has(user)));
}

function deferred() {
  const settle = {};
  const promise = new Promise((resolve, reject) => Object.assign(settle, { resolve, reject }));
  return { promise, ...settle };
}
