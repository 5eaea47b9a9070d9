/**
 * The far end of every connection that a client under test makes.
 *
 * `server.WebSocket` is what the client is given; `server.socket` is the newest connection.
 */
export class FakeServer {
  sockets = [];

  constructor() {
    const { sockets } = this;
    this.WebSocket = class extends FakeWebSocket {
      constructor(url, protocols) {
        super(url, protocols);
        sockets.push(this);
      }
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** Accept the newest connection and greet it. */
  async greet({ client = `c${this.sockets.length}`, user = null, ping = 25, ...more } = {}) {
    this.socket.readyState = 1;
    const limits = { message: 65536, rooms: 128 };
    await this.say({ type: "welcome", client, user, ping, limits, ...more });
  }

  /** Send a frame, and let everything that waits for it happen. */
  async say(frame) {
    this.socket.onmessage({ data: JSON.stringify(frame) });
    await settled();
  }

  /** Answer the last command. */
  async reply(fields = {}) {
    await this.say({ type: "reply", id: this.last.id, ...fields });
  }

  /** Refuse the last command. */
  async refuse(code, message = "No.", fields = {}) {
    await this.say({ type: "error", id: this.last.id, code, message, ...fields });
  }

  /** Let the newest connection into the room that it has just asked for. */
  async admit(presence = {}, position = ["e1", 0]) {
    const count = Object.keys(presence).length;
    await this.reply({ room: this.last.room, position, presence, count });
  }

  /** End the newest connection. */
  async hangUp(code = 1006, reason = "") {
    this.socket.readyState = 3;
    this.socket.onclose({ code, reason });
    await settled();
  }

  /** The frames that the newest connection has received. */
  get received() {
    return this.socket.sent;
  }

  get last() {
    return this.received.at(-1);
  }
}

class FakeWebSocket {
  readyState = 0;
  onmessage = null;
  onclose = null;
  sent = [];
  closedWith = null;

  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code, reason) {
    this.readyState = 2;
    this.closedWith = { code, reason };
  }
}

/** Wait until every promise that can settle without time passing has done so. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}
