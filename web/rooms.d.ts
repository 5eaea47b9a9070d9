/** The browser client of Rooms: named events, rooms, presence and history over one WebSocket. */

/** A place in a room's stream, opaque: `[epoch, offset]`. */
export type Position = [epoch: string, offset: number];

export type State = "connecting" | "open" | "waiting" | "closed";

export interface User {
  id: string;
  name: string;
}

export interface Limits {
  /** Bytes a message. */
  message: number;
  /** Rooms a connection. */
  rooms: number;
}

export interface StateChange {
  state: State;
  /** The close code and reason that led to "waiting" or "closed". */
  code?: number;
  reason?: string;
  /** Why it is "closed". */
  error?: RoomsError;
  /** Milliseconds until the next attempt, while "waiting". */
  delay?: number;
}

/** An event to this client alone. */
export interface Push<Payload = unknown> {
  event: string;
  payload: Payload;
}

/** An event in a room. */
export interface Publication<Payload = unknown> extends Push<Payload> {
  room: string;
  from?: { client?: string; user?: string };
  position?: Position;
  /** True if it was published while we were away. */
  missed?: boolean;
}

export interface Connection {
  client: string;
  /** What the application tells of it. */
  details?: Record<string, unknown>;
}

/** Users by id, each with the connections that they have in the room. */
export type Presence = Map<string, Connection[]>;

export interface PresenceChange {
  joined: Presence;
  left: Presence;
  /** Users who stay, but with other connections or details. */
  changed: Presence;
  count: number;
  /** Whether this is what changed since we were last in the room, or everything if never. */
  fresh: boolean;
}

/** A page of who is in a room; the next one comes `after` its last user. */
export interface PresencePage {
  presence: Presence;
  count: number;
  more: boolean;
}

export interface HistoryOptions extends RequestOptions {
  /** The most publications in the page, up to 1000; the server may send fewer. */
  limit?: number;
  /** Only what was published before, or after, a position. */
  before?: Position;
  since?: Position;
  /** Which come first; if not given the oldest if there is a `since`, else the newest. */
  order?: "newest" | "oldest";
}

/** A page of what was published in a room, in the order that was asked for. */
export interface HistoryPage {
  publications: Publication[];
  /** Whether there is more of what was asked for behind the page. */
  more: boolean;
  /** Where the room stood when it was asked. */
  position: Position;
}

/**
 * Why something may be missing: the server has lost count ("epoch_changed"), keeps it no more
 * ("too_old"), has too much of it to tell ("too_many"), does not let us read it ("forbidden"), has
 * left something out ("skipped"), or has dropped it because this client reads too slowly ("dropped").
 */
export type GapReason =
  | "epoch_changed"
  | "too_old"
  | "too_many"
  | "forbidden"
  | "skipped"
  | "dropped";

export interface Gap {
  reason: GapReason;
  /** How many events were "dropped". */
  count?: number;
}

export interface Reply {
  id: number;
  room?: string;
  payload?: unknown;
  position?: Position;
}

/** What a client needs of a clock; times in milliseconds. */
export interface Timers {
  setTimeout(callback: () => void, delay: number): unknown;
  clearTimeout(timer: unknown): void;
  now(): number;
}

/** What a client needs of the standard `WebSocket`. */
export interface WebSocketLike {
  readonly readyState: number;
  /** Called with `{data}`. */
  onmessage: ((event: any) => any) | null;
  /** Called with `{code, reason}`. */
  onclose: ((event: any) => any) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

/** A token, or a function that gets one, now or soon; nothing means to connect without. */
export type TokenSource =
  | string
  | (() => string | null | undefined | Promise<string | null | undefined>);

export interface Options {
  /**
   * What to sign in with, for a server that asks for it.
   *
   * A function is called before each connection, and again before a sign-in ends. If it throws a
   * `RoomsError` the client is closed with that error; after any other it tries again later.
   */
  token?: TokenSource | null;
  /** Awaited after each greeting and before rooms are joined; a refusal closes the client. */
  signIn?: ((client: Client) => Promise<unknown>) | null;
  /** The first reconnect's longest wait, which doubles with each attempt up to `maxDelay`. */
  minDelay?: number;
  maxDelay?: number;
  /** How long a connection must have been open for the waits to begin anew. */
  stableAfter?: number;
  requestTimeout?: number;
  /** How long `Room.send` goes on trying. */
  sendTimeout?: number;
  /** How many events a room keeps waiting for the connection or an answer. */
  maxWaiting?: number;
  /** How long greeting and sign-in may take. */
  welcomeTimeout?: number;
  /** How long a silent server has to answer. */
  pongTimeout?: number;
  WebSocket?: new (url: string, protocols?: string[]) => WebSocketLike;
  timers?: Timers;
  /** A number from 0 up to 1. */
  random?: () => number;
}

/**
 * A request that failed: `code` is the server's, or "disconnected", "timeout", "closed",
 * "unknown_outcome" or "limit_exceeded".
 */
export class RoomsError extends Error {
  constructor(code: string, message: string, retryAfter?: number);
  readonly code: string;
  /** Milliseconds to wait before the next try, if the server says. */
  readonly retryAfter?: number;
}

/** Open a connection to `url`, which may be relative to the page. */
export function connect(url: string | URL, options?: Options): Client;

/** Whether a client that was closed with `code` should come back. */
export function mayReconnect(code: number): boolean;

/** The wait before reconnect number `attempt` (0 is the first), in milliseconds. */
export function reconnectDelay(
  attempt: number,
  options: { minDelay: number; maxDelay: number; random: () => number },
): number;

/** A random text that nobody guesses: for a secret or a key. */
export function randomText(): string;

/** Take a listener off again. */
export type Unlisten = () => void;

export interface RequestOptions {
  /** Milliseconds until the promise fails with "timeout". */
  timeout?: number;
}

export interface JoinOptions {
  /** A position of before: what was published since is delivered first. */
  since?: Position;
  /**
   * A room token that your server has made, or a function that is asked for one before each join.
   *
   * A token of a member that is about to expire is replaced by `client.command({type: "join",
   * room, token})`. What the function throws ends the membership, as a refusal does, unless it is a
   * `RoomsError` with the code "unavailable": then it is asked again.
   */
  token?: string | ((room: string) => string | Promise<string>);
}

export interface SendOptions extends RequestOptions {
  /** A name for the event, up to 128 characters: sent again within 5 minutes it is the same. */
  key?: string;
}

/** One connection that comes back by itself, and the rooms that it is in. */
export class Client {
  constructor(url: string | URL, options?: Options);
  readonly state: State;
  /** What the server calls this connection; new with each connection. */
  readonly id: string | null;
  readonly user: User | null;
  readonly limits: Limits | null;
  /** Connect now; while waiting for the next attempt this shortens the wait. */
  connect(): void;
  /** Disconnect for good: rooms are left, requests fail, nothing reconnects until `connect`. */
  close(code?: number, reason?: string): void;
  onState(listener: (change: StateChange) => void): Unlisten;
  /** Hear every error that answers no particular request. */
  onError(listener: (error: RoomsError) => void): Unlisten;
  /** Hear each `event` sent to this client alone. */
  on<Payload = unknown>(event: string, listener: (push: Push<Payload>) => void): Unlisten;
  /** The room of that name, joined or not: add listeners first, then `join()`. */
  room(name: string): Room;
  /** Join the room of that name, now or as soon as there is a connection. */
  join(name: string, options?: JoinOptions): Promise<Room>;
  /**
   * Hear the live events of all rooms that `filter` names, joined or not.
   *
   * The filter goes by the rules of MQTT: `news/+`, `news/#`. Settles when the server has agreed,
   * with a function that stops it. What is missed while there is no connection, or because this
   * client reads too slowly, is not told.
   */
  subscribe<Payload = unknown>(
    filter: string,
    listener: (publication: Publication<Payload>) => void,
  ): Promise<Unlisten>;
  /** Send an event to the server; the promise is what it answers. */
  request<Answer = unknown>(
    event: string,
    payload?: unknown,
    options?: RequestOptions,
  ): Promise<Answer>;
  /** Sign in with what the server asks for, for instance `{name, secret}`. */
  authenticate(credentials: Record<string, unknown>): Promise<User | null>;
  /** Send a frame of the protocol with an id; the promise is its reply. */
  command(frame: Record<string, unknown>, timeout?: number): Promise<Reply>;
  /** Send a frame that nobody answers; returns whether there was a connection to send it on. */
  post(frame: Record<string, unknown>): boolean;
}

/** One room: its events, who is in it, and a membership that outlives the connection. */
export interface Room {
  readonly name: string;
  /** Whether this connection is a member at the moment. */
  readonly joined: boolean;
  /** Who is here; it may be cut short, `count` never is. */
  readonly presence: Presence;
  /** The number of users. */
  readonly count: number;
  /** Where the last thing seen of this room stands in its stream. */
  readonly position: Position | null;
  /** Hear each `event` in this room. */
  on<Payload = unknown>(
    event: string,
    listener: (publication: Publication<Payload>) => void,
  ): Unlisten;
  onPresence(listener: (change: PresenceChange) => void): Unlisten;
  /** Hear that everything that was missed has been delivered, and how many events that were. */
  onRecovered(listener: (recovery: { missed: number }) => void): Unlisten;
  /** Hear that something may be missing, before what comes after it. */
  onGap(listener: (gap: Gap) => void): Unlisten;
  /** Hear the error when the server refuses to take us back in, and not only for the moment. */
  onRefused(listener: (error: RoomsError) => void): Unlisten;
  /**
   * Hear that the server has taken us out, with the code of an error as `reason`.
   *
   * We may not be a member any more, so we are not made one again by a reconnect. `join` tries.
   */
  onLeft(listener: (left: { reason: string }) => void): Unlisten;
  /**
   * Become a member, and again after each reconnect until `leave`.
   *
   * What was published since the last position seen is delivered first, in order and each event
   * once, or `onGap` says that this is not possible.
   */
  join(options?: JoinOptions): Promise<void>;
  /** Stop being a member, and forget what was seen. */
  leave(): Promise<void>;
  /**
   * Publish an event; the promise is the reply, with the event's position.
   *
   * Without a connection it waits for one, and when the answer is lost the event is sent again
   * with the same key, so that it is published once. When the server asks to wait, it waits, and
   * what is sent after it waits behind it. It fails with
   *
   * - "disconnected": there was no connection in time, nothing was published;
   * - "timeout": it was sent, but nobody answered in time;
   * - "unknown_outcome": the answer was lost and sending again could publish it twice, because
   *   keys are known for a user, or for one connection of somebody who has not signed in, and as
   *   long as the server keeps count of the room;
   * - "limit_exceeded": too many events wait already;
   * - "rate_limited" or "unavailable": the server asks to wait longer than there is time;
   * - the server's own code: it was refused.
   *
   * An application's handler sees an event that is sent again once more, with the same `ctx.key`.
   */
  send(event: string, payload?: unknown, options?: SendOptions): Promise<Reply>;
  /** Publish an event that may get lost; returns whether it was sent. */
  notify(event: string, payload?: unknown): boolean;
  /** Ask for a page of what was published here, the newest first unless told otherwise. */
  history(options?: HistoryOptions): Promise<HistoryPage>;
  /** Ask for a page of who is here. */
  listPresence(
    options?: RequestOptions & { after?: string; limit?: number },
  ): Promise<PresencePage>;
}
