// Danmaku: comments that fly over a picture. What each part does is told in
// danmaku.js as well; what is optional has the default that is named.

/** How a comment moves. Bilibili's numbers: 1 scroll, 4 bottom, 5 top; all others scroll. */
export type Mode = 'scroll' | 'top' | 'bottom' | 1 | 4 | 5;

/** All fields may come from strangers: they are cleaned, and what is wrong becomes the default. */
export interface Comment {
  /** Cleaned with {@link clean}. Required; nothing to see, nothing shown. */
  text: string;
  /** Defaults to 'scroll'. A top or bottom comment that is wider than the stage scrolls. */
  mode?: Mode | number | string;
  /** See {@link hexColor}. Defaults to white. */
  color?: number | string;
  /**
   * A number is px where the normal size is 25 px (a stage 600 px high and up), and
   * shrinks with it on smaller ones; bounded to 12..48. Defaults to 'normal'.
   */
  size?: 'small' | 'normal' | 'large' | number;
  /** How many equal ones this stands for: ×N from 2 on, ×999+ from 1000 on. Defaults to 1. */
  count?: number;
  /** The viewer's own: outlined, first in the queue, past `max`, waits up to 10 s. Defaults to false. */
  own?: boolean;
  /**
   * For `update` and `remove`. Room for a badge is kept beside a comment with an id,
   * so leave it out if neither will be called.
   */
  id?: string | number;
  /** The heavier ones get the free tracks first, the lightest is dropped first. Defaults to 0. */
  weight?: number;
  /** What the hub has answered. `merged` has a +1 unless there is a ×N; `shed` and `held`, which others do not see, are faint. Defaults to 'ok'. */
  status?: 'ok' | 'merged' | 'shed' | 'held' | (string & {});
}

/** A value out of its bounds throws a RangeError that names it. */
export interface DanmakuOptions {
  /** Share of the height, from the top, that scrolling comments use: 0..1, at least one track. Defaults to 0.75. */
  density?: number;
  /** Of the whole layer, 0..1. Defaults to 1. */
  opacity?: number;
  /** Of the stage's clock, 0.1..10; follows a video's playbackRate. Defaults to 1. */
  speed?: number;
  /** Multiplies the size of the text, 0.25..4. Defaults to 1. */
  fontScale?: number;
  /** Most comments on the stage at a time, 1..2000. Defaults to 120. */
  max?: number;
  /**
   * How long a comment may wait for a place, ms, 0..60000; top and bottom ones twice as long. At most 60 wait. With 0 what finds no
   * place in its first frame is dropped, the heavier ones having had the first choice. Defaults to 2500.
   */
  wait?: number;
  /** How long top and bottom comments stand, ms, 500..60000. Defaults to 4000. */
  dwell?: number;
  /**
   * How long the shortest comments take to cross, ms, 1000..60000. Longer ones are faster, at most
   * twice as fast. Defaults to 6.25 ms for each px of width, between 5000 and 10000.
   */
  duration?: number;
  /** Longest text, in graphemes, 1..1000. Defaults to 100. */
  maxLength?: number;
}

/**
 * A layer of comments over an element. Comments of any kind never overlap each
 * other. The layer takes no clicks and is hidden from screen readers: show the
 * messages in a list, too. Where the viewer prefers reduced motion all
 * comments stand. While the page is in the background the stage is frozen and
 * takes nothing, so nothing bursts out afterwards.
 *
 * To style from outside: `danmaku-layer::part(comment)`, also `own`, `dark` and `faint`.
 */
export class Danmaku {
  /**
   * @param element A container (not a `<video>`) that is in the page; it is made `position: relative` if it is static.
   */
  constructor(element: HTMLElement, options?: DanmakuOptions);

  /**
   * Shows a comment. Resolves to true once it flies, and to false if it is
   * dropped: nothing in it to see, no place for it within `wait`, stage
   * paused, hidden or destroyed, or the page in the background. Never rejects. A
   * comment whose id is still here is not shown twice: its count becomes the new one.
   */
  show(comment: Comment): Promise<boolean>;

  /**
   * Changes the ×N of a comment that flies or waits, and what became of it. What is left out stays. False if there is none with
   * this id (any more). The overlay knows no protocol: feed it the counts of a `tally`, see "Overload" in README.md.
   */
  update(id: string | number, change: { count?: number; status?: Comment['status'] }): boolean;

  /** Takes a comment away, as when a moderator does. False if it is not here. */
  remove(id: string | number): boolean;

  /** Takes all comments away. */
  clear(): void;

  /** Freezes what flies. Until `resume` only own comments are taken; they fly then. */
  pause(): void;
  resume(): void;
  readonly paused: boolean;

  /** Takes all comments away, and takes no others until `reveal`. */
  hide(): void;
  reveal(): void;
  readonly hidden: boolean;

  /** How many comments are on the stage. */
  readonly size: number;

  /** For comments to come; see the options for these four. */
  density: number;
  opacity: number;
  speed: number;
  fontScale: number;

  /** Ends everything and removes the layer. More than once does no harm. */
  destroy(): void;
}

/** The straight path of a comment: its left edge moves from `from` to `to` between `start` and `end` (ms). */
export interface Flight {
  start: number;
  end: number;
  from: number;
  to: number;
  width: number;
}

export interface Place {
  /** How many neighbouring tracks the comment covers. Defaults to 1. */
  span?: number;
  /** px between two comments of a track. Defaults to 0. */
  gap?: number;
  /** The first track to try. Defaults to 0. */
  first?: number;
  /** The track after the last one to try. Defaults to the number of tracks. */
  last?: number;
  /** Tries from the bottom up. Defaults to false. */
  up?: boolean;
  /** Is tried before all others, wherever it is. Defaults to none. */
  prefer?: number;
  /** Tracks that are not to be used. Defaults to none. */
  claim?: Claim;
}

/** `span` neighbouring tracks, from `track` down. */
export interface Claim {
  track: number;
  span: number;
}

/** The tracks of a stage, from the top down: who flies where. Plain arithmetic, no page. */
export class Tracks {
  constructor(count: number);
  readonly count: number;

  /**
   * Takes the first `span` neighbouring tracks that are free for the whole rest
   * of the flight, and returns the number of the upper one, or -1. `now` never goes back.
   */
  place(flight: Flight, now: number, place?: Place): number;

  /**
   * Claims the tracks, of those from `first` up to but not including `last`, that will be free first (undefined if they are too few), for one
   * that found none: in a crowd a wide one would never get in, as the narrow ones fill each hole before it is
   * wide enough. The others' `place` has to heed it.
   */
  claim(span: number, first: number, last: number): Claim | undefined;

  /** Frees what a flight holds before its end. */
  remove(flight: Flight): void;
}

/**
 * The flight of a comment across a stage, from beyond the right edge until it
 * is gone. A long one is faster, but never more than twice the speed of a short one.
 */
export function scrolling(width: number, stage: number, ms: number, now: number, lead?: number, progress?: number): Flight;

/** The flight of a comment that stands in the middle of a stage for `ms`. */
export function standing(width: number, stage: number, ms: number, now: number, progress?: number): Flight;

/**
 * A text as it may be shown in one line: without control, direction-changing
 * and invisible characters, blanks collapsed, at most `limit` (100) graphemes.
 * Whatever is not a string or has nothing to see becomes ''.
 */
export function clean(text: unknown, limit?: number): string;

/** A colour as #rrggbb: from a number 0..0xffffff, '#rgb' or '#rrggbb'. Anything else becomes `otherwise` (white). */
export function hexColor(color: unknown, otherwise?: string): string;
