/**
 * Whether keys flow: why a Receiver is silent, told from its counters, as pysframe's key_flow() does.
 *
 *     a KID with a key      waiting -> flowing -> stalled, and wrong key when tags fail
 *     a KID without a key   waiting -> missing key, or stale key when the key was here before
 *     no KID at all         not SFrame: media in the clear, or another format
 *
 * Rules:
 *   1. Pure: counters and seconds come in, states come out. Nothing here drops a frame.
 *   2. A single failure trips nothing. A state gets worse at its threshold at once, and better after a
 *      bounded time of mostly good frames.
 *   3. Memory is bounded, whatever headers claim.
 *   4. The order of frames between two polls is not known; what cannot be told trips nothing.
 *
 * The specification is pysframe's engine/twin/_key_flow.py; vectors/key_flow_states.json and
 * vectors/media_in_clear.json hold both to the same states.
 */

import { BadShare, Pace } from "./pace.js";
import type { StrangerStats } from "./strangers.js";

/** Failures without a frame opened between them: 200 ms of audio. */
const CONSECUTIVE = 10;
/** Failing frames: their share, and the fewest that count. */
const [WRONG_SHARE, WRONG_LEAST] = [0.2, 21];
/** Frames that no SFrame sender sent: one stream in twenty. */
const CLEAR_SHARE = 0.05;
/** Frames under an unknown KID, and for how many seconds. */
const [UNKNOWN_FRAMES, UNKNOWN_S] = [10, 0.2];
/** Frames opened. */
const FLOWING_AFTER = 5;
/** Seconds without a frame. */
const SILENT_S = 2;
/** Seconds of good frames only, until clear media counts as over. */
const QUIET_S = 1;
/** Removed KIDs. */
const REMEMBERED = 64;

/** The words of pysframe's KeyState. */
export type KeyState =
  | "waiting"
  | "flowing"
  | "missing key"
  | "wrong key"
  | "stale key"
  | "stalled"
  | "not SFrame";

/** What one KID's key does for its Receiver. */
export interface KeyFlow {
  readonly state: KeyState;
  /** Null: what is not SFrame. */
  readonly kid: bigint | null;
  /** Frames. */
  readonly opened: number;
  readonly refused: number;
}

/** Counts of one KID that has a key: frames, unless said otherwise. */
export interface KeyStats {
  readonly kid: bigint;
  readonly opened: number;
  /** Tags that were wrong. */
  readonly failed: number;
  /** Also those too old to tell. */
  readonly replayed: number;
  /** Refused frames whose CTR follows that of an earlier one, as a sender's do. */
  readonly advanced: number;
  /** Derived because a header named it, and no tag has verified under it yet. */
  readonly provisional: boolean;
  /** Its 4-byte tag has failed 2^12 times. */
  readonly closed: boolean;
}

/** Counts of one Receiver. */
export interface ReceiverStats {
  readonly malformed: number;
  /** Frames under KIDs without a key. */
  readonly unknown: number;
  /** The latest and most frequent of those KIDs. */
  readonly strangers: ReadonlyMap<bigint, StrangerStats>;
  readonly keys: readonly KeyStats[];
}

type Flows = Map<bigint | null, KeyFlow>;

/** Turns a Receiver's counters into states, poll by poll. */
export class KeyFlowMonitor {
  #before = Number.NEGATIVE_INFINITY;
  /** The caller's clock, and one that never goes back. */
  #now = 0;
  #clock = 0;
  readonly #known = new Map<bigint, Known>();
  /** KIDs that flowed and are gone, oldest first. */
  readonly #removed = new Set<bigint>();
  #strangers = new Map<bigint, Stranger>();
  readonly #clear = new Clear();

  /**
   * The state of every KID; under null, of what is not SFrame. A poll is compared with the one before.
   * `now`: seconds of a clock that does not jump. Poll once or several times a second.
   */
  poll(now: number, stats: ReceiverStats): Flows {
    const clock = this.#advance(now);
    const kids = new Set(stats.keys.map(({ kid }) => kid));
    this.#forgetRemoved(kids);
    const [flows, tally]: [Flows, Tally] = [new Map(), { good: 0, odd: 0 }];
    this.#withKey(flows, clock, stats.keys, tally);
    this.#withoutKey(flows, clock, stats.strangers, kids);
    if (this.#clear.see(stats, [...this.#strangers.values()], tally, clock)) {
      this.#leaveOutInventions(flows, kids);
      flows.set(null, this.#notSFrame(stats));
    }
    this.#before = clock;
    return flows;
  }

  /** Seconds since the first poll; where the caller's clock goes back, no time has passed. */
  #advance(now: number): number {
    if (Number.isFinite(this.#before)) this.#clock += Math.max(0, now - this.#now);
    this.#now = now;
    return this.#clock;
  }

  #forgetRemoved(kids: ReadonlySet<bigint>): void {
    for (const [kid, { opened }] of this.#known) {
      if (kids.has(kid)) continue;
      this.#known.delete(kid);
      if (opened > 0) this.#removed.add(kid);
    }
    for (const kid of kids) this.#removed.delete(kid);
    for (const oldest of this.#removed) {
      if (this.#removed.size <= REMEMBERED) return;
      this.#removed.delete(oldest);
    }
  }

  #withKey(flows: Flows, now: number, keys: readonly KeyStats[], tally: Tally): void {
    for (const key of keys) {
      if (key.provisional && key.failed === 0) continue;
      const known = this.#known.get(key.kid) ?? new Known(now);
      this.#known.set(key.kid, known);
      const flow = known.see(key, now, tally);
      if (!(key.provisional && known.pace.isOdd)) flows.set(key.kid, flow);
    }
  }

  #withoutKey(
    flows: Flows,
    now: number,
    strangers: ReadonlyMap<bigint, StrangerStats>,
    kids: ReadonlySet<bigint>,
  ): void {
    const before = this.#strangers;
    this.#strangers = new Map();
    for (const [kid, stats] of strangers) {
      const stranger = before.get(kid) ?? new Stranger(now, this.#before);
      this.#strangers.set(kid, stranger);
      let state = stranger.see(stats, now);
      if (kids.has(kid) || state === null) continue;
      if (state === "missing key" && (this.#removed.has(kid) || stats.stale)) state = "stale key";
      flows.set(kid, { state, kid, opened: 0, refused: stranger.frames });
    }
  }

  /** Media in the clear, read as headers, may name another KID in each frame. */
  #leaveOutInventions(flows: Flows, kids: ReadonlySet<bigint>): void {
    for (const [kid, { pace }] of this.#strangers) {
      if (!kids.has(kid) && !pace.looksSent) flows.delete(kid);
    }
  }

  #notSFrame({ malformed, unknown, keys }: ReceiverStats): KeyFlow {
    const odd = keys.filter(({ kid }) => this.#known.get(kid)?.pace.isOdd);
    const refused = odd.reduce((sum, key) => sum + refusedOf(key), malformed + unknown);
    return { state: "not SFrame", kid: null, opened: 0, refused };
  }
}

/** Frames under known KIDs since the poll before: those of senders, and the others. */
interface Tally {
  good: number;
  odd: number;
}

function refusedOf(key: KeyStats): number {
  return key.failed + key.replayed;
}

/** What the polls saw of one KID that has a key. */
class Known {
  pace = new Pace();
  opened = 0;
  #failed = 0;
  #refused = 0;
  #advanced = 0;
  #state: KeyState = "waiting";
  /** The poll that saw it, or the first poll. */
  #lastOpened: number;
  /** Since the last frame opened. */
  #failedInARow = 0;
  /** Failures of which is not known yet whether a sender's frames failed. */
  #undecided = 0;
  /** Since it last was wrong or stalled. */
  #openedInARow = 0;
  #share: BadShare;

  constructor(now: number) {
    this.#lastOpened = now;
    this.#share = new BadShare(WRONG_SHARE, WRONG_LEAST, now);
  }

  /** Adds what was counted since the last call, and judges. */
  see(key: KeyStats, now: number, tally: Tally): KeyFlow {
    const refused = refusedOf(key);
    if (key.opened < this.opened || refused < this.#refused) this.#startAgain(now);
    const opened = key.opened - this.opened;
    this.pace.see(refused - this.#refused, key.advanced - this.#advanced);
    if (!this.pace.looksSent) tally.odd += refused - this.#refused;
    const failed = this.pace.isOdd ? 0 : key.failed - this.#failed;
    this.opened = key.opened;
    [this.#failed, this.#refused, this.#advanced] = [key.failed, refused, key.advanced];
    tally.good += opened + failed;
    if (opened > 0) this.#lastOpened = now;
    this.#state = this.#judge(opened, failed, key.closed, now);
    return { state: this.#state, kid: key.kid, opened: key.opened, refused };
  }

  /** The key was removed and added again. */
  #startAgain(now: number): void {
    this.pace = new Pace();
    this.opened = this.#failed = this.#refused = this.#advanced = 0;
    this.#state = "waiting";
    this.#lastOpened = now;
    this.#failedInARow = this.#undecided = this.#openedInARow = 0;
    this.#share = new BadShare(WRONG_SHARE, WRONG_LEAST, now);
  }

  #judge(opened: number, failed: number, closed: boolean, now: number): KeyState {
    this.#openedInARow += opened;
    if (this.#isWrong(opened, failed, closed, now)) {
      if (this.#state !== "wrong key") this.#openedInARow = 0;
      return "wrong key";
    }
    if (this.opened > 0 && now - this.#lastOpened >= SILENT_S) {
      this.#openedInARow = 0;
      return "stalled";
    }
    if (this.#openedInARow >= FLOWING_AFTER) return "flowing";
    return this.#state === "wrong key" ? "waiting" : this.#state;
  }

  #isWrong(opened: number, failed: number, closed: boolean, now: number): boolean {
    if (this.pace.isOdd) {
      this.#failedInARow = this.#undecided = 0;
      this.#share.restart(now, false);
    }
    this.#failedInARow = opened > 0 ? 0 : this.#failedInARow + failed;
    this.#undecided += failed;
    const decided = this.pace.isSent ? this.#undecided : 0;
    this.#undecided -= decided;
    this.#share.see(opened, decided, now);
    if (closed || (this.#failedInARow >= CONSECUTIVE && this.pace.isSent)) {
      this.#share.restart(now, true);
      this.#openedInARow = 0;
    }
    return this.#share.isHigh;
  }
}

/** What the polls saw of one KID that has no key. */
class Stranger {
  readonly pace = new Pace();
  frames = 0;
  /** Frames since the poll before. */
  fresh = 0;
  #advanced = 0;
  #last: number;

  /** `came`: the last poll that did not see it: it came after that. */
  constructor(
    now: number,
    private readonly came: number,
  ) {
    this.#last = now;
  }

  /** Null when its frames have stopped, or are no sender's. */
  see(stats: StrangerStats, now: number): "waiting" | "missing key" | "stale key" | null {
    // The Receiver has forgotten this KID and met it anew.
    if (stats.frames < this.frames) this.frames = this.#advanced = 0;
    this.fresh = stats.frames - this.frames;
    this.pace.see(this.fresh, stats.advanced - this.#advanced);
    [this.frames, this.#advanced] = [stats.frames, stats.advanced];
    if (this.fresh > 0) this.#last = now;
    if (this.pace.isOdd || now - this.#last >= SILENT_S) return null;
    const lasting = now - this.came >= UNKNOWN_S;
    const enough = this.frames >= UNKNOWN_FRAMES && lasting && this.pace.isSent;
    return enough ? "missing key" : "waiting";
  }
}

/** Whether frames without a header that an SFrame sender would write are too many. */
class Clear {
  #malformed = 0;
  #unknown = 0;
  /** A poll that saw odd frames. */
  #lastOdd = Number.NEGATIVE_INFINITY;
  /** Good frames since then. */
  #good = 0;
  readonly #share = new BadShare(CLEAR_SHARE, CONSECUTIVE, 0);

  /** Adds what was counted since the last call, and judges. */
  see(stats: ReceiverStats, strangers: readonly Stranger[], tally: Tally, now: number): boolean {
    const unknown = stats.unknown - this.#unknown;
    const sent = sentOf(unknown, strangers);
    const odd = tally.odd + stats.malformed - this.#malformed + unknown - sent;
    const good = tally.good + sent;
    [this.#malformed, this.#unknown] = [stats.malformed, stats.unknown];
    if (odd !== 0) this.#lastOdd = now;
    this.#good = odd !== 0 ? 0 : this.#good + good;
    const isClear = this.#share.see(good, odd, now);
    const silent = this.#good < FLOWING_AFTER ? SILENT_S : QUIET_S;
    if (isClear && now - this.#lastOdd >= silent) this.#share.restart(now, false);
    return this.#share.isHigh;
  }
}

/** How many of these frames senders sent. Tracked KIDs are a sample of the others. */
function sentOf(unknown: number, strangers: readonly Stranger[]): number {
  const like = strangers.filter(({ pace }) => pace.looksSent);
  const fresh = (some: readonly Stranger[]) => some.reduce((sum, one) => sum + one.fresh, 0);
  const others = Math.max(0, unknown - fresh(strangers)) * like.length;
  return Math.min(unknown, Math.floor(others / Math.max(1, strangers.length)) + fresh(like));
}
