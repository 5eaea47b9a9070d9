/** A clock that stands still until a test moves it. */
export class Clock {
  #now = 0;
  #timers = new Map();
  #lastId = 0;

  now = () => this.#now;

  setTimeout = (callback, delay) => {
    this.#timers.set(++this.#lastId, { callback, due: this.#now + delay });
    return this.#lastId;
  };

  clearTimeout = (id) => {
    this.#timers.delete(id);
  };

  /** How many timers are set. */
  get pending() {
    return this.#timers.size;
  }

  /** Let that many milliseconds pass; what is due meanwhile is called at its own time. */
  advance(milliseconds) {
    const end = this.#now + milliseconds;
    for (let next = this.#nextDue(end); next; next = this.#nextDue(end)) {
      const [id, { callback, due }] = next;
      this.#timers.delete(id);
      this.#now = due;
      callback();
    }
    this.#now = end;
  }

  #nextDue(end) {
    const due = [...this.#timers].filter(([, timer]) => timer.due <= end);
    return due.sort(([, one], [, other]) => one.due - other.due)[0];
  }
}
