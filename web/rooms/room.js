import { deferred } from "./deferred.js";
import { RoomsError, isPassing, waitAfter } from "./errors.js";
import { Listeners } from "./listeners.js";
import { Publisher } from "./publisher.js";
import { Roster } from "./roster.js";

const LISTED_USERS = 100;
const MOST_LISTED_USERS = 1000;

/** One room: its events, who is in it, and a membership that outlives the connection. */
export class Room {
  /** Whether this connection is a member at the moment. */
  joined = false;
  /** Where the last thing seen of this room stands in its stream: `[epoch, offset]`. */
  position = null;

  #client;
  #membership = null; // {promise, resolve, reject} while this client wants to be a member
  #token; // a room token, or what makes one
  #connection = 0; // counts those that are gone
  #asked = false; // whether this connection has sent a join
  #entered = false; // whether the server has let us in since `join`
  #rejoin = null; // the timer until the next join after one that was refused for the moment
  #missed = 0; // how much was told so far of what we missed
  #catchingUp = false; // whether more of it is still to come
  #dropped = null; // what was dropped meanwhile
  #publisher;
  #roster = new Roster();
  #events = new Listeners();
  #notices = new Listeners();

  constructor(client, name) {
    this.#client = client;
    this.name = name;
    this.#publisher = new Publisher(this, client);
  }

  /** Who is here: a Map from user to connections. It may be cut short; `count` never is. */
  get presence() {
    return this.#roster.users;
  }

  get count() {
    return this.#roster.count;
  }

  /** Call `listener` with `{event, payload, from, position, missed}` for each `event` here. */
  on(event, listener) {
    return this.#events.add(event, listener);
  }

  /** Call `listener` with `{joined, left, changed, count, fresh}`; `fresh` after a (re)join. */
  onPresence(listener) {
    return this.#notices.add("presence", listener);
  }

  /** Call `listener` with `{missed}` when everything that was missed has been delivered. */
  onRecovered(listener) {
    return this.#notices.add("recovered", listener);
  }

  /**
   * Call `listener` with `{reason}` when something may be missing, before what comes after it.
   *
   * With the reason "dropped", that we read too slowly, there is a `count` of what was dropped.
   */
  onGap(listener) {
    return this.#notices.add("gap", listener);
  }

  /** Call `listener` with the error when the server refuses to take us back in. */
  onRefused(listener) {
    return this.#notices.add("refused", listener);
  }

  /** Call `listener` with `{reason}` when the server has taken us out; we do not go back in. */
  onLeft(listener) {
    return this.#notices.add("left", listener);
  }

  /**
   * Become a member, and again after each reconnect until `leave`; `since` a position if given.
   *
   * `token` is a room token, or a function that is asked for one each time.
   */
  join({ since, token } = {}) {
    if (!this.#membership) {
      this.#membership = deferred();
      this.#token = token;
      this.position = since ?? this.position;
      if (this.#client.state === "open") this.connected();
    }
    return this.#membership.promise;
  }

  /** Stop being a member, and forget what was seen. */
  async leave() {
    const asked = this.#asked;
    this.ended(new RoomsError("closed", `The room ${this.name} was left.`));
    this.position = null;
    if (asked) await this.#client.command({ type: "leave", room: this.name });
  }

  /** Publish an event to the room; the promise is the reply, with the event's position. */
  send(event, payload, options = {}) {
    if (this.#membership) return this.#publisher.publish(event, payload, options);
    const frame = { type: "event", event, room: this.name, payload, key: options.key };
    return this.#client.command(frame, options.timeout);
  }

  /** Publish an event that may get lost; returns whether it was sent. */
  notify(event, payload) {
    return this.joined && this.#client.post({ type: "event", event, room: this.name, payload });
  }

  /** Ask for a page of what was published here: `{publications, more, position}`. */
  async history({ limit, before, since, order, timeout } = {}) {
    const frame = { type: "history", room: this.name, limit, before, since, order };
    const { publications, more, position } = await this.#client.command(frame, timeout);
    return { publications, more, position };
  }

  /** Ask for a page of who is here, from the first or `after` a user: `{presence, count, more}`. */
  async listPresence({ after, limit, timeout } = {}) {
    const frame = { type: "presence", room: this.name, after, limit };
    const { presence = {}, count, more = false } = await this.#client.command(frame, timeout);
    return { presence: new Map(Object.entries(presence)), count, more };
  }

  /** @internal The client has a connection. */
  connected() {
    const membership = this.#membership;
    if (!membership || this.#asked) return;
    this.#asked = true;
    if (typeof this.#token === "function") this.#fetchToken(membership, this.#connection);
    else this.#askToJoin(membership, this.#token);
  }

  /** @internal The client has no connection. */
  disconnected() {
    this.#connection += 1;
    this.joined = this.#asked = this.#catchingUp = false;
    this.#dropped = null;
    this.#client.options.timers.clearTimeout(this.#rejoin);
  }

  /** @internal The membership is over. */
  ended(error) {
    this.#membership?.reject(error);
    this.#membership = null;
    this.#entered = false;
    this.#roster.clear();
    this.#publisher.ended(error);
    this.disconnected();
  }

  /** @internal A frame that names this room. */
  receive(frame) {
    if (frame.type === "left") return this.#takenOut(frame);
    // What comes before the reply to our join is told again by it, or is none of our business.
    if (this.#membership && !this.joined) return;
    if (frame.type === "event") this.#deliver(frame);
    else if (frame.type === "missed") this.#catchUp(frame);
    else if (frame.type === "presence") this.#changed(frame);
    else if (frame.type === "dropped") this.#lost(frame);
  }

  #askToJoin(membership, token) {
    const frame = { type: "join", room: this.name, since: this.position ?? undefined, token };
    this.#client.ask(frame, {
      resolve: (reply) => membership === this.#membership && this.#enter(reply),
      reject: (error) => membership === this.#membership && this.#failed(error),
    });
  }

  async #fetchToken(membership, connection) {
    const current = () => membership === this.#membership && connection === this.#connection;
    try {
      const token = await Promise.resolve(this.name).then(this.#token);
      if (current()) this.#askToJoin(membership, token);
    } catch (error) {
      if (current()) this.#failed(error);
    }
  }

  /** The server has taken us out. */
  #takenOut({ reason }) {
    if (!this.joined) return; // it is not about what has been asked for since
    this.ended(new RoomsError(reason, `The server took us out of the room ${this.name}.`));
    this.#notices.emit("left", { reason });
  }

  #enter(reply) {
    this.joined = this.#entered = true;
    const change = this.#roster.replace(reply);
    this.#missed = 0;
    if (reply.recovered) this.#catchUp(reply);
    else this.#begin(reply);
    this.#notices.emit("presence", change);
    if (this.joined) this.#publisher.joined(); // a listener may have left the room
  }

  /** Go on from where the room stands now. */
  #begin({ position, recovered, reason }) {
    this.position = position;
    if (recovered === false) this.#notices.emit("gap", { reason });
    this.#membership?.resolve();
  }

  #catchUp({ missed, more }) {
    for (const publication of missed) {
      if (!this.joined) return; // a listener has left the room
      this.#deliver({ ...publication, missed: true });
    }
    this.#missed += missed.length;
    this.#catchingUp = more;
    if (more) return;
    this.#notices.emit("recovered", { missed: this.#missed });
    this.#membership?.resolve();
    if (this.#dropped) this.#skip(this.#dropped);
  }

  /** Messages were dropped, because we did not read them in time. */
  #lost({ count, position, presence }) {
    if (presence) this.#listAgain();
    if (!this.#catchingUp) this.#skip({ count, position });
    else this.#dropped = { count: count + (this.#dropped?.count ?? 0), position };
  }

  /** Go on behind what was dropped, unless it is known already. */
  #skip({ count, position }) {
    this.#dropped = null;
    if (this.#membership) {
      if (this.position && skipped(this.position, position) === "seen") return;
      this.position = position;
    }
    this.#notices.emit("gap", { reason: "dropped", count });
  }

  #deliver(publication) {
    if (!this.#membership || this.#advance(publication.position)) {
      this.#events.emit(publication.event, publication);
    }
  }

  /** Note a position; returns whether it is new. */
  #advance(position) {
    if (!position) return true;
    const reason = this.position && skipped(this.position, position);
    if (reason === "seen") return false;
    this.position = position;
    if (reason) this.#notices.emit("gap", { reason });
    return true;
  }

  #failed(error) {
    // Of the first the next connection makes good, of the second `ended` tells more.
    if (error.code === "disconnected" || error.code === "closed") return;
    if (this.#entered && isPassing(error)) {
      this.#rejoinLater(error);
      return;
    }
    if (error.code === "timeout") this.#client.post({ type: "leave", room: this.name });
    this.ended(error);
    this.#notices.emit("refused", error);
  }

  #rejoinLater(error) {
    const { options } = this.#client;
    this.#asked = false;
    this.#rejoin = options.timers.setTimeout(() => this.connected(), waitAfter(error, options));
  }

  #changed(frame) {
    const change = this.#roster.apply(frame);
    if (change) this.#notices.emit("presence", change);
    if (frame.more) this.#listAgain();
  }

  /** Ask who is here when a change was too large to be told, or dropped. */
  #listAgain() {
    const limit = Math.min(Math.max(LISTED_USERS, this.presence.size), MOST_LISTED_USERS);
    const membership = this.#membership;
    this.#client.ask({ type: "presence", room: this.name, limit }, {
      resolve: (reply) => {
        if (membership !== this.#membership) return;
        this.#notices.emit("presence", this.#roster.replace(reply));
      },
      reject: () => {}, // the next join or the next such change asks again
    });
  }
}

/** What lies between two positions: "seen", "skipped", "epoch_changed" or nothing. */
function skipped([epoch, offset], [newEpoch, newOffset]) {
  if (epoch !== newEpoch) return "epoch_changed";
  if (newOffset <= offset) return "seen";
  return newOffset > offset + 1 ? "skipped" : "";
}
