/** Functions by event name; one that throws is reported and keeps nobody else from hearing. */
export class Listeners {
  #byName = new Map();

  add(name, listener) {
    const listeners = this.#byName.get(name) ?? new Set();
    this.#byName.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  emit(name, value) {
    for (const listener of [...(this.#byName.get(name) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        (globalThis.reportError ?? console.error)(error);
      }
    }
  }
}
