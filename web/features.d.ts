// Types of features.js. What is in snake case is as on the wire; docs/protocol.md says more of it.

import type { Client, ImError, ImEvent, Modes, Room, RoomEvent } from './im.js';

interface Abortable {
  signal?: AbortSignal;
}

/** Of an operation. `cid`: see `Client.call`. All of them are sent again after a reconnect, with one effect. */
export interface How extends Abortable {
  cid?: string;
}

export interface FeatureOptions extends Abortable {
  /** Replaces parts of the environment, for tests. */
  env?: Partial<{ setTimeout: (fn: () => void, ms: number) => unknown; clearTimeout: (timer: any) => void; random: () => number }>;
}

/** What all features have. Make them at once after the join, so that they hear all that the room tells. */
export interface Feature<Events> {
  on<K extends keyof Events>(type: K, fn: (e: Events[K]) => void, options?: Abortable): () => void;
  /** It hears nothing more of the room. */
  close(): void;
}

// ---------------------------------------------------------------- gifts

/** Who gives. */
export interface Giver {
  id: string;
  name?: string;
  /** In minor units, in lists of top givers. */
  amount?: number;
}

export interface GiftItem {
  id: string;
  name: string;
  /** Of one, in minor units of the currency. */
  price: number;
  currency: string;
  effect?: string;
  max_count: number;
  combo_ms?: number;
}

/** What a paid message gets from an amount on. */
export interface Tier {
  amount: number;
  color: string;
  pin_ms?: number;
  max_length: number;
}

export interface Catalogue {
  gifts: GiftItem[];
  tiers: Tier[];
  currency: string;
  max_shares?: number;
}

export type OrderState =
  | 'pending' | 'charged' | 'delivered' | 'canceling' | 'canceled' | 'failed' | 'refunding' | 'refunded' | 'review'
  | (string & {});

/** How a purchase stands. One that is declined rejects with the code 'declined'. */
export interface Order {
  order: string;
  state: OrderState;
  amount: number;
  currency: string;
  combo?: { id: string; count: number; window_ms: number };
  /** When it is canceled if it is still pending. */
  expires?: number;
  reason?: string;
}

/** Equal gifts of one giver, one after the other: one that grows. A gift that makes no combos is one of its own. */
export interface Combo {
  id: string;
  from?: { id: string; name?: string };
  gift: string;
  name?: string;
  effect?: string;
  /** How many it has, at the most that has come. */
  count: number;
  /** By how much it has just grown. 0: the event came late, or again. */
  grew: number;
  /** Milliseconds after this event in which it may grow. 0: it is no combo. */
  lasts: number;
  event: RoomEvent;
}

/** A paid message that is pinned. */
export interface PaidPin {
  type: 'paid';
  order: string;
  amount: number;
  currency: string;
  text: string;
  color: string;
  /** Until when, by the server's clock; see `Client.now`. */
  until: number;
  from?: Giver;
}

export interface TopList {
  period?: string;
  currency: string;
  top: Giver[];
  rev?: number;
}

export type TopName = 'stream' | 'day' | 'all';

export interface Packet {
  packet: string;
  state: 'open' | 'empty' | 'closed' | 'recalled' | (string & {});
  sum: number;
  currency: string;
  split: 'even' | 'lucky';
  shares: number;
  claimed: number;
  until: number;
  mine?: number;
  claims: Giver[];
  seed?: string;
}

export interface GiftEvents {
  /** A gift was given. */
  combo: Combo;
  /** A combo will not grow any more, or was deleted. */
  comboend: Combo;
  /** A message was paid for. Its body is a PaidPin, without `from`. */
  paid: ImEvent;
  /** A red packet can be claimed; `body.order` is its id. */
  packet: ImEvent;
  /** An order of this user stands otherwise than its call has told. */
  order: Order;
  /** A list of top givers is different. */
  givers: { list: TopName; value: TopList | undefined };
  /** What is pinned is different. */
  pins: PaidPin[];
}

/** The package gift of the server. Amounts are whole numbers of minor units. */
export interface Gifts extends Feature<GiftEvents> {
  /** What can be given here. */
  list(how?: Abortable): Promise<Catalogue>;
  /** Gives. `count` defaults to 1. With the `price` of one that the page shows it rejects with 'conflict' if that is another one by now. */
  send(gift: string, options?: How & { count?: number; price?: number }): Promise<Order>;
  /** A paid message. */
  pay(text: string, amount: number, how?: How): Promise<Order>;
  /** How an order of this user stands. Those that have not ended are asked about by themselves after a reconnect. */
  order(order: string, how?: Abortable): Promise<Order>;
  /** Up to 100 of those who gave most. */
  top(list: TopName, how?: Abortable): Promise<TopList>;
  /** The lists of the room's state, which are shorter. */
  readonly givers: Record<TopName, TopList | undefined>;
  /** Those of the greatest amount first. */
  readonly pins: PaidPin[];
  /** Those that may still grow. */
  readonly combos: Combo[];
  readonly packets: {
    open(amount: number, shares: number, options?: How & { split?: 'even' | 'lucky' }): Promise<Order>;
    claim(packet: string, how?: How): Promise<{ packet: string; amount: number; currency: string }>;
    show(packet: string, how?: Abortable): Promise<Packet>;
  };
}

export function gifts(client: Client, room: Room, options?: FeatureOptions): Gifts;

// ---------------------------------------------------------------- likes

export interface LikeEvents {
  total: number;
  /** The total grew, by `mine` of this page and `others`. */
  grow: { n: number; mine: number; others: number; total: number };
  /** The total has passed a number, for which the host wants an event. */
  milestone: { n: number; event: ImEvent };
  /** So many of this page may not have arrived. */
  lost: { n: number; error: ImError };
}

/** The reactions of one kind. */
export interface Likes extends Feature<LikeEvents> {
  /** Reacts. What comes within 250 ms leaves as one message, at most 10 in one; while the connection is away up to 10,000 wait. */
  add(n?: number): void;
  /** As the room has it. */
  readonly total: number;
  /** Those of this page that the room has yet to get. */
  readonly waiting: number;
}

/** `kind` defaults to 'like'. */
export function likes(room: Room, options?: FeatureOptions & { kind?: string }): Likes;

// ---------------------------------------------------------------- people

export interface Member {
  id: string;
  name?: string;
  rank?: number;
}

export interface PeopleEvents {
  change: {
    count: number;
    large: boolean;
    top: Member[];
    /** In a large room: some of those who came in. */
    came: Member[];
    members: Member[] | null;
  };
}

/** Who is in the room: the package presence of the server. */
export interface People extends Feature<PeopleEvents> {
  /** Users, other than `room.online`, which counts connections. */
  readonly count: number;
  /** There are too many to name. */
  readonly large: boolean;
  readonly top: Member[];
  /** In the order in which they came; null: not known, see `list` and `watch`. */
  readonly members: Member[] | null;
  /** Asks the server if they are not known. Rejects with 'not_found' where there is no such package, with 'forbidden' for who may not read it. */
  list(how?: Abortable): Promise<Member[]>;
  /** Keeps `members` known while they are shown, without all pages asking at once. Returns a function that ends it. */
  watch(): () => void;
}

export function people(client: Client, room: Room, options?: FeatureOptions): People;

// ---------------------------------------------------------------- moderation

/** The id of a user; or another target: a network, a device, or (`by`) those that a user has now. */
export type Target = string | { user?: string; prefix?: string; device?: string; by?: 'address' | 'device' };

export interface Sanction {
  sort: 'mute' | 'shadow' | 'ban' | (string & {});
  target: any;
  by?: string;
  reason?: string;
  at: string;
  until?: string;
}

export interface Waiting {
  event: string;
  kind: string;
  from: { id: string; name?: string };
  body: any;
  at: string;
  until: string;
  why: string;
}

export interface Report {
  id: string;
  seq: number;
  event: string;
  user: string;
  text: string;
  reasons: string[];
  /** Of those who reported it. */
  count: number;
  first: string;
  last: string;
}

export interface Decision {
  at: string;
  action: string;
  by?: string;
  user?: string;
  target?: string;
  event?: string;
  text?: string;
  rule?: string;
  reason?: string;
  until?: string;
}

export interface ModerationPin {
  id: string;
  text: string;
  event?: string;
  from?: string;
  by?: string;
  at: string;
  until?: string;
}

export interface ModerationEvents {
  /** A message begins to wait. */
  waiting: Waiting;
  /** It does so no more. */
  decided: { event: string; passed: boolean };
  report: Report;
  resolved: { id: string };
  /** The lists of `attend` are different. */
  queue: Waiting[];
  reports: Report[];
  /** They could not be read. They are with the next reconnect, or by `attend`. */
  error: ImError;
  pins: ModerationPin[];
  approval: string[];
}

type ForTime = How & {
  /** For how long, in milliseconds. Left out: for good. */
  ms?: number;
  reason?: string;
  /** In all rooms of the hub. */
  hub?: boolean;
};
type Because = How & { reason?: string };

/** The package moderate of the server. Each operation needs a right in the room; without it it rejects with 'forbidden'. */
export interface Moderation extends Feature<ModerationEvents> {
  mute(whom: Target, options?: ForTime): Promise<{ sanctions: Sanction[] }>;
  /** Who is shadow-muted is told that messages were taken, and nobody is shown them. */
  shadow(whom: Target, options?: ForTime): Promise<{ sanctions: Sanction[] }>;
  ban(whom: Target, options?: ForTime): Promise<{ sanctions: Sanction[] }>;
  unmute(whom: Target, options?: How & { hub?: boolean }): Promise<void>;
  unshadow(whom: Target, options?: How & { hub?: boolean }): Promise<void>;
  unban(whom: Target, options?: How & { hub?: boolean }): Promise<void>;
  /** Puts out of the room; they may come back. */
  kick(user: string, options?: Because): Promise<void>;
  /** Deletes events, or all that a user has said so far. Everybody's room tells 'removed'. */
  delete(what: { seqs?: number[]; user?: string; kinds?: string[]; reason?: string }, how?: How): Promise<void>;
  /** Lets a message that waits be shown. */
  pass(event: string, how?: How): Promise<void>;
  refuse(event: string, options?: Because): Promise<void>;
  waiting(how?: How): Promise<Waiting[]>;
  /** Messages of these kinds wait from now on until they are passed; [] for none. */
  approve(kinds: string[], how?: How): Promise<void>;
  /** Like `room.setModes`, for moderators who may not change other state. */
  modes(modes: Modes, how?: How): Promise<number>;
  /** Pins a message of the room, or a text. */
  pin(what: { seq: number; ms?: number } | { id: string; text: string; ms?: number }, how?: How): Promise<void>;
  unpin(id: string, how?: How): Promise<void>;
  /** A notice. */
  announce(text: string, how?: How): Promise<{ seq: number }>;
  /** Tells the staff of a message. */
  report(seq: number, options?: Because): Promise<void>;
  reports(how?: How): Promise<Report[]>;
  resolve(id: string, options?: Because): Promise<void>;
  sanctions(options?: How & { hub?: boolean }): Promise<Sanction[]>;
  /** What was decided about a user or an event, the newest first. */
  why(what: { user?: string; event?: string }, how?: How): Promise<Decision[]>;
  /** Why a user does not see, or may not send, what they would. */
  explain(user: string, how?: How): Promise<any>;
  /** Keeps `queue` and `open`, also over reconnects; false ends it. */
  attend(on?: boolean): Promise<void> | undefined;
  readonly queue: Waiting[];
  readonly open: Report[];
  readonly pins: ModerationPin[];
  readonly approving: string[];
}

export function moderation(client: Client, room: Room, options?: FeatureOptions): Moderation;
