// The admin API, as a page uses it: with a cookie that scripts cannot read, got once for a token.

const PREFIX = "/api";

/** A request that failed; `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** The server's admin API; `fetch` can be given. */
export class Api {
  #fetch;

  constructor(fetch = globalThis.fetch) {
    this.#fetch = (...request) => fetch(...request);
  }

  /** Sign in with a token, which is not kept; returns `{name, role, expires_at}`. */
  signIn(token) {
    return this.#send("POST", "/session", { headers: { Authorization: `Bearer ${token}` } });
  }

  /** Who is signed in. */
  session() {
    return this.get("/session");
  }

  signOut() {
    return this.#send("DELETE", "/session");
  }

  get(path) {
    return this.#send("GET", path);
  }

  post(path, order) {
    return this.#send("POST", path, { body: JSON.stringify(order) });
  }

  /** Publish `event` to a room; `payload` is JSON. */
  publish(room, event, payload) {
    return this.post(`/rooms/${encodeURIComponent(room)}/publish`, { event, payload });
  }

  disconnect(client, reason) {
    return this.post(`/clients/${encodeURIComponent(client)}/disconnect`, reason ? { reason } : {});
  }

  revoke(user) {
    return this.post("/revoke", { user });
  }

  async #send(method, path, { headers = {}, body } = {}) {
    const json = method === "GET" ? {} : { "Content-Type": "application/json" };
    const options = { method, headers: { ...headers, ...json }, body, cache: "no-store" };
    let answer;
    try {
      answer = await this.#fetch(PREFIX + path, options);
    } catch {
      throw new ApiError(0, "The server cannot be reached. Trying again…");
    }
    const content = await answer.json().catch(() => null); // some answers are empty
    if (answer.ok) return content;
    throw new ApiError(answer.status, content?.error?.message ?? `The server said ${answer.status}.`);
  }
}
