/** A browser's storage. */
export class Storage extends Map {
  getItem(key) {
    return this.get(key) ?? null;
  }

  setItem(key, value) {
    this.set(key, value);
  }

  removeItem(key) {
    this.delete(key);
  }
}
