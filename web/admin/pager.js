/** Which page of a list is shown; the server knows only the next one, so the way is kept. */
export class Pager {
  #way = [];
  #next = null;

  /** The last of the page before, "" on the first page. */
  get after() {
    return this.#way.at(-1) ?? "";
  }

  get number() {
    return this.#way.length + 1;
  }

  get hasNext() {
    return this.#next !== null;
  }

  /** Note what the server says to ask for the next page after. */
  loaded(next) {
    this.#next = next;
  }

  forward() {
    if (this.hasNext) this.#way.push(this.#next);
    this.#next = null;
  }

  back() {
    this.#way.pop();
    this.#next = null;
  }

  /** Begin at the first page. */
  reset() {
    this.#way = [];
    this.#next = null;
  }
}
