// What was written and not sent, kept by the tab while one signs in elsewhere or reloads.

const KEY = "rooms.drafts";

/** The drafts of one user at a time, by room. */
export class Drafts {
  #storage;

  constructor(storage) {
    this.#storage = storage;
  }

  /** Keep `drafts`, pairs of room and text, for `owner`. */
  save(owner, drafts) {
    const written = [...drafts].filter(([, text]) => text.trim());
    this.#storage.setItem(KEY, JSON.stringify({ owner, drafts: written }));
  }

  /** Take out what was kept for `owner`, as a Map; what somebody else wrote is dropped. */
  take(owner) {
    const kept = this.#storage.getItem(KEY);
    this.#storage.removeItem(KEY);
    try {
      const saved = JSON.parse(kept);
      return new Map(saved.owner === owner ? saved.drafts : []);
    } catch {
      return new Map();
    }
  }
}
