const SHOWN = 5_000;

/** Who is writing at the moment: each for a while after the last sign of it. */
export class Typists {
  #timers;
  #changed;
  #ends = new Map(); // by user, the timer that ends it

  /** `changed()` is called when somebody begins or stops. */
  constructor(timers, changed) {
    this.#timers = timers;
    this.#changed = changed;
  }

  get names() {
    return [...this.#ends.keys()];
  }

  /** Note that `user` writes. */
  add(user) {
    this.#timers.clearTimeout(this.#ends.get(user));
    this.#ends.set(user, this.#timers.setTimeout(() => this.remove(user), SHOWN));
    this.#changed();
  }

  /** Note that `user` does not write any more. */
  remove(user) {
    if (!this.#ends.has(user)) return;
    this.#timers.clearTimeout(this.#ends.get(user));
    this.#ends.delete(user);
    this.#changed();
  }

  /** Forget everybody. */
  clear() {
    for (const timer of this.#ends.values()) this.#timers.clearTimeout(timer);
    this.#ends.clear();
  }
}
