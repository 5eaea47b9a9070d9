// Who is in a room, as the server tells it: a list when we join, then what changes.

/** The users of one room, each with their connections; `count` is exact, `users` may be cut. */
export class Roster {
  users = new Map();
  count = 0;
  #position = null;

  /** Take over a list; returns what it changes as far as lists that may be cut short can tell. */
  replace({ presence = {}, count, position }) {
    const before = this.users;
    const wasWhole = this.#whole;
    this.users = new Map(Object.entries(presence));
    Object.assign(this, { count });
    this.#position = position ?? null;
    const joined = wasWhole ? missingFrom(before, this.users) : new Map();
    const left = this.#whole ? missingFrom(this.users, before) : new Map();
    return { joined, left, changed: new Map(), count, fresh: true };
  }

  /** Take over a change; returns what it tells that was not known, or null if it is too old. */
  apply({ joined = {}, left = {}, changed = {}, count, position }) {
    if (this.#isOld(position)) return null;
    const came = new Map(Object.entries(joined));
    const went = new Map(Object.entries(left));
    const altered = new Map(Object.entries(changed));
    // It may tell again who came when the reply to our own join has told it already.
    const news = missingFrom(this.users, came);
    for (const user of went.keys()) this.users.delete(user);
    for (const [user, connections] of [...came, ...altered]) this.users.set(user, connections);
    this.count = count;
    return { joined: news, left: went, changed: altered, count, fresh: false };
  }

  /** Forget everybody. */
  clear() {
    this.users = new Map();
    this.count = 0;
    this.#position = null;
  }

  get #whole() {
    return this.users.size >= this.count;
  }

  #isOld(position) {
    if (!position || !this.#position) return false;
    return position[0] === this.#position[0] && position[1] < this.#position[1];
  }
}

function missingFrom(some, all) {
  return new Map([...all].filter(([user]) => !some.has(user)));
}
