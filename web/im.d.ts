// Types of im.js. `Body` is what your rooms carry; it defaults to any.

/** A place in a room's log. Keep it, and give it to `since` to go on from there. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

export interface User {
  id: string;
  name?: string;
  roles?: string[];
}

/** An event of a room. Show what is in it as text, never as HTML. */
export interface ImEvent<Body = any> {
  /** Its place in the log. Missing if it has none; it is then not repeated after a reconnect. */
  seq?: number;
  id: string;
  /** For example 'danmaku', 'chat', 'gift', 'notice', 'like', 'state'. */
  kind: string;
  /** Milliseconds since 1970 by the server's clock, see `Client.now`. */
  at: number;
  /** Missing for events of the host. */
  from?: { id: string; name?: string };
  body: Body;
  /** How many equal messages this one stands for. */
  n?: number;
  /** Set by the server while it is cut off from its log; such an event has no `seq`. */
  local?: boolean;
}

/** An event as a room shows it. */
export interface RoomEvent<Body = any> extends ImEvent<Body> {
  /** It came with a reset, and happened before. What state events among them say is part of the state already. */
  replayed: boolean;
}

/** A message for this user alone; at most once. */
export interface DirectMessage<Body = any> {
  op: 'direct';
  kind: string;
  event?: string;
  at: number;
  body: Body;
}

/** Where a room is after `reset` or `resumed`. */
export interface Entry {
  position: Position;
  /** How many volatile events were left out. */
  missed: number;
  online: number;
}

/** Who came into a room since it was told last: "A, B and 37 others came in". `names` are the first three at most; `n` counts them in. */
export interface Joins {
  names: string[];
  n: number;
}

/** What was deleted: single events by `seq`, or what a user has sent since a time, or both. */
export interface Removal {
  /** Whether the event, of this room, is one of those. */
  has(event: ImEvent): boolean;
  seqs: number[];
  user?: string;
  kinds: string[];
  /** Milliseconds since 1970; 0: from the beginning. */
  since: number;
  reason?: string;
}

/** What a room tells. Handlers get one argument. */
export interface RoomEvents<Body = any> {
  event: RoomEvent<Body>;
  /** A moderator has deleted events: take away what the page shows of them. It comes behind the event of the kind `moderation` that says so. */
  removed: Removal;
  /** The room starts here: throw away what you had of it. `room.state` is the new one already; the newest events follow, replayed. */
  reset: Entry;
  /** The room goes on where it was, after a reconnect. No event is missing but `missed` volatile ones. */
  resumed: Entry;
  /** So many volatile events were left out here. */
  gap: { missed: number };
  /** From here on this part of the events comes; by 'server': less than was chosen, because the page lags. After `reset` and `resumed` it is what was chosen. */
  tier: { tier: Tier; by?: 'server' };
  /** How many are in the room, at most once a second. */
  online: { count: number; joined?: Joins };
  /** What became of something that was `held` for a moderator. */
  fate: { cid: string; status: Status | 'refused'; event?: string; error?: ImError };
  /** For staff: a message waits for a moderator, for so many milliseconds; see `decide`. With a `status` it waits no more. It may come twice. */
  held: { id: string; event?: ImEvent<Body>; wait: number; status?: Status | 'refused' };
  /** A key of the state is different; `version` 0: it is gone. */
  state: { key: string; value: any; version: number };
  /** The server has put this client out. It is the last thing that the room tells. */
  left: ImError;
}

export type Tier = 'full' | 'reduced' | 'critical';
export type TransportName = 'websocket' | 'sse' | 'poll';

/** The fate of something that was sent. `shed`: not shown to others, too many at once; show it to the sender all the same. */
export type Status = 'ok' | 'merged' | 'shed' | 'held';

export interface Receipt<Body = any> {
  status: Status;
  /** The id of the event, if there is one. */
  event?: string;
  /** The client id under which it was sent. */
  cid: string;
  /** What an operation returned. */
  body?: Body;
  /** Why it is `shed`, in words for people. */
  reason?: string;
}

export type RetryRule = 'never' | 'later' | 'with_token' | 'reconnect';

/** The codes of the protocol, those of the client itself, and any that the host adds. */
export type ErrorCode =
  | 'bad_request' | 'unauthorized' | 'expired' | 'forbidden' | 'room_mode' | 'origin' | 'not_found' | 'conflict' | 'not_joined'
  | 'room_closed' | 'kicked' | 'too_large' | 'rate_limited' | 'overloaded' | 'timeout' | 'slow_consumer' | 'shutdown' | 'internal'
  | 'connection_lost' | 'token_failed' | 'closed' | 'left'
  | (string & {});

/** A refusal of the server, or a failure of the client itself. Decide by `code`; `reason` is for people. */
export class ImError extends Error {
  constructor(code: ErrorCode, reason?: string, more?: { retryAfter?: number; cid?: string; cause?: unknown });
  readonly code: ErrorCode;
  readonly reason: string;
  /** Milliseconds that the server asks to wait; 0 without advice. */
  readonly retryAfter: number;
  /** Codes of the host count as 'never'. */
  readonly retry: RetryRule;
  /** Of a request that was sent under one. */
  readonly cid?: string;
}

/** How the connection is doing. */
export type ConnectionStatus =
  /** An attempt is under way. `error` is why the last one ended. */
  | { phase: 'connecting'; error?: ImError }
  | { phase: 'online'; transport: TransportName }
  /** For the time of the next attempt, in milliseconds since 1970 by the local clock. */
  | { phase: 'waiting'; error: ImError; retryAt: number }
  /** Until the page is visible or the network is back. */
  | { phase: 'paused'; error: ImError; cause: 'hidden' | 'offline' }
  /** For good: `close` was called, or the server has refused the client. */
  | { phase: 'closed'; error: ImError };

/** What a client tells. */
export interface ClientEvents {
  status: ConnectionStatus;
  direct: DirectMessage;
}

export interface Options {
  /**
   * Returns the token that names the user. Called once for each attempt to
   * connect, before the token expires, and when the server says that it has. Without
   * it the cookies of the page say who the user is; if they do not any more, the client ends with 'unauthorized'. Throw an ImError
   * with the code 'forbidden' to end the client; other errors are tried again.
   */
  token?: (how: { signal: AbortSignal }) => string | Promise<string>;
  /** Which transports may be used, the best first. Defaults to ['websocket', 'sse', 'poll']. */
  transports?: TransportName[];
  /** Told each new status, like `client.on('status', …)`. */
  onstatus?: (status: ConnectionStatus) => void;
  /** Of the HTTP requests: whether cookies go to hubs of other origins. Defaults to 'same-origin'. */
  credentials?: RequestCredentials;
  /** Milliseconds until a hidden page disconnects; Infinity: never. Defaults to 300000. */
  pauseHiddenAfter?: number;
  /** Milliseconds that a transport has to open, and again to bring the welcome, before the next one is tried. Defaults to 4000. */
  fallbackTimeout?: number;
  /** The same for the last transport in the list, and for the token. Defaults to 15000 milliseconds. */
  connectTimeout?: number;
  /**
   * Milliseconds that one answer may take. Requests with a cid are then sent again, others fail with 'timeout'. If a WebSocket brings nothing
   * else either, it is first found out whether it stands, which takes 5 s. Defaults to 10000.
   */
  answerTimeout?: number;
  /** Milliseconds until a better transport is tried again, about; doubles up to half an hour. Infinity: never. Defaults to 60000. */
  upgradeAfter?: number;
  /**
   * The first and the highest ceiling of the random delay before a new attempt, in milliseconds. Default to 500 and 30000. In the
   * first 30 s the ceiling stays at 5000 or below.
   */
  backoffMin?: number;
  backoffMax?: number;
  /** Replaces parts of the environment: for tests, and for WebSocket in old versions of Node. */
  env?: Partial<Environment>;
}

/** What a client needs of the world. */
export interface Environment {
  WebSocket: new (url: string, protocol: string) => any;
  fetch: typeof fetch;
  setTimeout: (fn: () => void, ms: number) => unknown;
  clearTimeout: (timer: any) => void;
  /** Milliseconds of a clock that only goes forward. */
  now: () => number;
  /** Milliseconds since 1970. */
  date: () => number;
  random: () => number;
  /** Remembers the transport that worked; null: nothing is remembered. Defaults to sessionStorage. */
  storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null;
  window: EventTarget | null;
  document: (EventTarget & { readonly hidden: boolean; readonly baseURI: string }) | undefined;
  navigator: { readonly onLine: boolean } | undefined;
}

interface Abortable {
  signal?: AbortSignal;
}

interface Sendable extends Abortable {
  /** 1 to 64 bytes of printable ASCII, for this one event only. Defaults to a new one. */
  cid?: string;
}

export interface JoinOptions extends Abortable {
  /** Go on from here, as `room.position` was, perhaps before the page was loaded anew. */
  since?: Position | null;
  /** Which events come: all, none that are volatile, or critical ones only. Defaults to 'full'. */
  tier?: Tier;
}

export interface HistoryOptions extends Abortable {
  /** Both exclusive. */
  after?: Position | null;
  before?: Position | null;
  /** By `at` of the events, as a Date or in milliseconds since 1970: `from` is inclusive, `to` is not. */
  from?: Date | number;
  to?: Date | number;
  /** Those that are wanted, up to 32. Defaults to all. */
  kinds?: string[];
  /** Up to 500. Defaults to what the server likes. */
  max?: number;
  /** The newest events within the bounds, in place of the oldest. */
  newest?: boolean;
}

export interface Page<Body = any> {
  epoch: string;
  /** The oldest first. */
  events: ImEvent<Body>[];
  /** There may be more in the direction of the request. Such a page may be empty, if few events are of the wanted kinds. */
  more: boolean;
  /** Where to go on if there is more: `after` of the next request, or `before` with `newest`. */
  next: Position | null;
  missed: number;
}

export interface ReplayOptions extends Abortable {
  /** What to play, by `at` of the events: `from` is inclusive, `to` is not. Defaults to all that is kept. */
  from?: Date | number;
  to?: Date | number;
  /** When the picture began: second 0 of the player. Defaults to `from`, or else to the first event. */
  start?: Date | number;
  /** Defaults to ['danmaku']. Gifts and the like are to be shown as what happened then. */
  kinds?: string[];
}

export interface ReplayEvents<Body = any> {
  /** Its time has come. */
  event: ImEvent<Body>;
  /** The player has gone to another place, in seconds: take away what flies. */
  seek: { time: number };
  /** Pages could not be read. It tries again by itself, unless `retry` is 'never'. */
  error: ImError;
}

/**
 * Plays a range of a room's log back by the clock of a player: whether that pauses, goes faster or seeks, events come when it is
 * at their time. Pages are read up to half a minute ahead. What comes more than 3 s late, after a seek over a slow connection
 * for example, is left out.
 */
export interface Replay<Body = any> {
  /** What second 0 stands for, in milliseconds since 1970; null before it is known. */
  readonly start: number | null;
  on<K extends keyof ReplayEvents>(type: K, fn: (e: ReplayEvents<Body>[K]) => void, options?: Abortable): () => void;
  /** Follows a `<video>`, or what has its `currentTime` and its events 'timeupdate' and 'seeking'. Returns a function that ends it. */
  attach(player: EventTarget & { readonly currentTime: number; readonly seeking?: boolean }): () => void;
  /** For players of other kinds: where the player is, in seconds. Call it some times a second. A step back, or one of more than 5 s, is a seek. */
  time(seconds: number): void;
  /** The player has gone to another place. */
  seek(seconds: number): void;
  close(): void;
}

export interface StateOptions extends Sendable {
  /** The version that the key must have, 0: it must not be there; else the change rejects with 'conflict'. */
  if?: number;
}

export interface KeepOptions extends StateOptions {
  /** Milliseconds after which the key disappears by itself. */
  ttl?: number;
  /** The key is this user's, and disappears a few seconds after the last of their connections has left the room. */
  owner?: boolean;
}

/** A key of the state. */
export interface Cell<T = any> {
  value: T;
  version: number;
  /** When it disappears, in milliseconds since 1970 by the server's clock; see `Client.now`. */
  until?: number;
  /** The user whose leaving removes it. */
  owner?: string;
}

/** The state that all in a room share: values by key, each with a version. A page that lags gets the newest values only. */
export interface State {
  get<T = any>(key: string): T | undefined;
  /** For `if`; 0 if the key is not there. */
  version(key: string): number;
  cell<T = any>(key: string): Cell<T> | undefined;
  entries(): IterableIterator<[string, any]>;
  all(): Record<string, any>;
  /** Sets the key. Resolves with its new version. */
  set(key: string, value: unknown, options?: KeepOptions): Promise<number>;
  /** Adds to a whole number; a key that is not there counts as 0. Rejects with 'conflict' if that would leave `min` and `max`. Without `ttl` and `owner` they stay as they were. */
  add(key: string, delta: number, options?: KeepOptions & { min?: number; max?: number }): Promise<{ value: number; version: number }>;
  delete(key: string, options?: StateOptions): Promise<void>;
  /** Calls fn at each change of the key, or of all keys that begin like 'seat.*'; with undefined and 0 when it is removed. Returns a function that ends it. */
  on<T = any>(key: string, fn: (value: T | undefined, version: number, key: string) => void, options?: Abortable): () => void;
}

/** What a room restricts, by the names on the wire; docs/protocol.md has their bounds. Nothing: {}. */
export interface Modes {
  /** Milliseconds between two messages of one user. */
  slow_ms?: number;
  /** Roles of which a sender needs one. */
  only?: string[];
  emoji?: boolean;
  /** Milliseconds in which a text is not taken twice. */
  unique_ms?: number;
  /** Milliseconds for which messages are held for a moderator. */
  delay_ms?: number;
  /** Everybody is muted but those in `allow`: ids of users, and 'role:' with a role. */
  shield?: boolean;
  allow?: string[];
  /** Messages and likes are refused. */
  stopped?: boolean;
  /** Danmaku a second that the room is shown. */
  budget?: number;
  /** When all of this ends, in milliseconds since 1970 by the server's clock; see `Client.now`. */
  until?: number;
}

/** A room that the client is in, until `leave`, or until the server puts it out. */
export interface Room<Body = any> {
  readonly name: string;
  readonly state: State;
  /** How many are in the room. */
  readonly online: number;
  /** What the room was told last that is of interest now, by kind: `presence` for example. News come with 'online', 'reset' and 'resumed'. See `people` of features.js. */
  readonly told: Readonly<Record<string, any>>;
  /** Behind what the page has seen; null before the first reset is complete. */
  readonly position: Position | null;
  readonly tier: Tier;
  /** Why this is over; null while it is not. */
  readonly error: ImError | null;
  /** Adds a handler; returns a function that takes it away again. */
  on<K extends keyof RoomEvents>(type: K, fn: (e: RoomEvents<Body>[K]) => void, options?: Abortable): () => void;
  /** Sends an event. Resolves with its fate; survives reconnects with one effect. */
  send(kind: string, body: unknown, options?: Sendable): Promise<Receipt>;
  /** The modes that are in force now. The key 'im.modes' of the state tells of changes. */
  readonly modes: Modes;
  /** Replaces the modes, with the right to change the state. Resolves with their version. */
  setModes(modes: Modes, options?: Sendable & { if?: number }): Promise<number>;
  /** For staff: lets a held message be shown, or drops it for a reason that its sender is told. */
  decide(event: string, pass: boolean, options?: Sendable & { reason?: string }): Promise<void>;
  history(options?: HistoryOptions): Promise<Page<Body>>;
  /** All pages of a query, one after the other; empty ones are left out. `for await (const page of room.pages({ from }))`. */
  pages(options?: HistoryOptions): AsyncGenerator<Page<Body>, void, void>;
  /** Plays a range of the room's log back, over a recorded stream. */
  replay(options?: ReplayOptions): Replay<Body>;
  setTier(tier: Tier, options?: Abortable): Promise<void>;
  /** The room is over at once; the promise tells that the server knows, and never rejects. */
  leave(): Promise<void>;
}

/** The connection of a page to a hub, kept up over disconnects. */
export interface Client {
  readonly status: ConnectionStatus;
  /** As the server says; null before its first welcome. */
  readonly user: User | null;
  /**
   * The way to the server and back in milliseconds; undefined before it is known. The first answer on a connection counts for 11 s (WebSocket) or 41 s at
   * most, and only if nothing was known before; from the second one on it is smoothed by an eighth, as in RFC 6298.
   */
  readonly latency: number | undefined;
  /** The server's clock, in milliseconds since 1970. */
  now(): number;
  on<K extends keyof ClientEvents>(type: K, fn: (e: ClientEvents[K]) => void, options?: Abortable): () => void;
  /** Resolves once the server has let the client in; what the room then tells comes after the handlers were added. */
  join<Body = any>(room: string, options?: JoinOptions): Promise<Room<Body>>;
  /** Asks for an operation of the host, about a room or null. Sent like `room.send`. */
  call<Body = any>(op: string, room: string | null, body?: unknown, options?: Sendable): Promise<Receipt<Body>>;
  /** Hands the server a new token, for example after a change of roles. */
  refresh(): Promise<void>;
  /** Ends the client at once. What waits rejects with 'closed'. */
  close(): void;
}

/** Connects to a hub, at the URL of its mount. Returns at once; the client connects in the background, and again after disconnects. */
export function connect(mount: string | URL, options?: Options): Client;
