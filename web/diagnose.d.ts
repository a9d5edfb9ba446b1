// A test of each way from a page to a hub, with advice in plain words.

/** In English and in Chinese. */
export interface Words {
  en: string;
  zh: string;
}

/**
 * - `page`: whether browsers let this page ask the mount at all (mixed content).
 * - `reach`: whether the hub answers, and not something in its place.
 * - `origin`: whether the hub takes requests of this page's origin.
 * - `identity`: whether the hub knows the user.
 * - `websocket`, `websocket_latency`: the upgrade, and the median of three pings.
 * - `sse`, `sse_latency`: whether the stream comes when it is sent, and the time to its welcome.
 * - `poll`: whether a request that waits is answered in time.
 * - `post`: the way back of streams and polls.
 * - `headers`: whether a proxy changes what keeps answers out of caches.
 * - `clock`: this clock against the server's.
 */
export type CheckName =
  | 'page' | 'reach' | 'origin' | 'identity' | 'websocket' | 'websocket_latency'
  | 'sse' | 'sse_latency' | 'poll' | 'post' | 'headers' | 'clock';

export interface Check {
  name: CheckName;
  transport: 'http' | 'websocket' | 'sse' | 'poll' | 'post';
  /** false if there is something to change; null if it was not tested. */
  ok: boolean | null;
  /** How much it matters: `warn` works all the same. */
  state: 'pass' | 'warn' | 'fail' | 'skip';
  /** Milliseconds; null where there is nothing to measure. */
  ms: number | null;
  /** Why, for programs: a code of the protocol, or of this test, such as 'upgrade_blocked'. '' if all is well. */
  code: string;
  /** What was seen, in English, for support. */
  detail: string;
  /** What to change; null unless `state` is 'warn' or 'fail'. */
  advice: Words | null;
}

export interface Summary extends Words {
  /** What a client would use; '' if nothing gets through. */
  transport: 'websocket' | 'sse' | 'poll' | '';
  quality: 'good' | 'fair' | 'poor' | 'none';
}

/** JSON, for support. It never contains the token. */
export interface Report {
  /** ISO 8601, by this clock. */
  when: string;
  page: { origin: string; secure: boolean; userAgent: string; online: boolean };
  /** Without query and credentials. */
  mount: string;
  /** By how much the server's clock is ahead of this one, in milliseconds; null if unknown. */
  clock: { skewMs: number | null };
  /** One for each of {@link CHECKS}, in that order. */
  checks: Check[];
  summary: Summary;
}

export interface DiagnoseOptions {
  /** As for `connect`. Without it the cookies of the page have to do. */
  token?: string | (() => string | Promise<string>);
  /** Longest wait for each answer, in milliseconds. Defaults to 5000. */
  timeout?: number;
  /** Of requests. Defaults to 'same-origin'. */
  credentials?: RequestCredentials;
  /** Called with each check as soon as it is known, not always in the order of the report. */
  onresult?(check: Check): void;
  /** Defaults to that of the page. */
  WebSocket?: new (url: string, protocol?: string) => unknown;
  /** Defaults to that of the page. */
  fetch?: typeof fetch;
}

/** The names of the checks, in the order of the report. */
export const CHECKS: readonly CheckName[];

/** Tests the ways to the hub at mount, which is relative to the page. Does not reject for what it finds; takes a few seconds. */
export function diagnose(mount: string | URL, options?: DiagnoseOptions): Promise<Report>;

/** Which transport a client would use, and how good that is. */
export function summarize(report: Pick<Report, 'checks'>): Summary;
