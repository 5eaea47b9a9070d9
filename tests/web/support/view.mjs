/** What a page would show of a conversation. */
export class View {
  entries = [];
  states = [];
  unreadChanges = 0;

  add(entry) {
    this.entries.push(entry);
  }

  insert(entries, after) {
    this.entries.splice(this.entries.indexOf(after) + 1, 0, ...entries);
  }

  remove(entry) {
    this.entries.splice(this.entries.indexOf(entry), 1);
  }

  older(state) {
    this.states.push(state);
  }

  unread() {
    this.unreadChanges += 1;
  }

  update() {}
  typing() {}
  people() {}
  closed() {}

  get texts() {
    return this.entries.map(({ user, text, notice }) => notice ?? `${user}: ${text}`);
  }

  get statuses() {
    return this.entries.map(({ status }) => status);
  }

  /** The texts of those messages that show when they were said. */
  get timed() {
    return this.entries.filter(({ text, time }) => text && time).map(({ text }) => text);
  }
}
