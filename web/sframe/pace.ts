/**
 * What refused frames say about who sent them, and shares of frames that are judged slowly.
 *
 * Media in the clear can be read as SFrame headers: H.264 as KID 0, Opus as KID 4, 5 or 7. A sender's
 * CTRs go up from frame to frame (RFC 9605 4.4.1); those of such headers stand still or jump about.
 * Rules and thresholds are those of pysframe's twin/_pace.py and limits.py, where they were measured.
 */

// A KID's refused frames are judged by the share of them whose CTR follows an earlier one.
/** From so many frames on, so high a share is a sender's. */
const [PLAIN_FRAMES, PLAIN_SHARE] = [10, 0.7];
/** Likewise, with more frames. */
const [ANY_FRAMES, SENT_SHARE] = [20, 0.4];
/** This share or less is no sender's. */
const ODD_SHARE = 0.25;
/** Undecided: a sender's while more than one in so many follow. */
const GUESS_ONE_IN = 3;
/** Beyond so many, the counts are scaled down to half as many. */
const PACE_FRAMES = 64;

/** Whether one KID's refused frames are a sender's, judged by how their CTRs follow. */
export class Pace {
  /** A sender's; not SFrame; both false: not known yet. */
  isSent = false;
  isOdd = false;
  // Recent ones: see() halves older counts.
  #frames = 0;
  #advanced = 0;

  /** Adds frames refused since the last call; advanced: those that followed earlier ones. */
  see(frames: number, advanced: number): void {
    if (frames === 0) return;
    this.#frames += frames;
    this.#advanced += advanced;
    if (this.#frames >= PLAIN_FRAMES) this.#judge(this.#advanced / this.#frames);
    if (this.#frames > PACE_FRAMES) {
      this.#advanced *= PACE_FRAMES / 2 / this.#frames;
      this.#frames = PACE_FRAMES / 2;
    }
  }

  /** isSent, or a guess while that is not known. */
  get looksSent(): boolean {
    return this.isSent || (!this.isOdd && this.#advanced > this.#frames / GUESS_ONE_IN);
  }

  #judge(share: number): void {
    const enough = this.#frames >= ANY_FRAMES;
    if (share >= (enough ? SENT_SHARE : PLAIN_SHARE)) this.#decide(true);
    else if (share <= ODD_SHARE) this.#decide(false);
    else if (enough && !this.isOdd) this.#decide(this.looksSent);
  }

  #decide(isSent: boolean): void {
    this.isSent = isSent;
    this.isOdd = !isSent;
  }
}

// How long a share of bad frames is collected before it is judged and begun anew, in seconds: on a busy
// stream, on a slow one, and where nothing good comes.
const [WINDOW_FRAMES, WINDOW_S] = [100, 2];
const [SLOW_S, SLOWEST_S] = [5, 60];
/** With so many good frames a window ends after SLOW_S, not SLOWEST_S. */
const GOOD_FRAMES = 5;

/** Whether too many of a stream's frames are bad: told at once, taken back after a while. */
export class BadShare {
  isHigh = false;
  #bad = 0;
  #frames = 0;
  #began: number;

  /** Of bad frames: their share, and the fewest that count. */
  constructor(
    private readonly limit: number,
    private readonly least: number,
    now: number,
  ) {
    this.#began = now;
  }

  /** Forgets the frames so far and sets the verdict. */
  restart(now: number, isHigh: boolean): void {
    this.isHigh = isHigh;
    this.#bad = 0;
    this.#frames = 0;
    this.#began = now;
  }

  /** Adds frames since the last call; half the limit takes back what the limit told. */
  see(good: number, bad: number, now: number): boolean {
    this.#bad += bad;
    this.#frames += good + bad;
    if (this.#bad >= this.least && this.#bad > this.limit * this.#frames) this.restart(now, true);
    else if (this.#isOver(now)) {
      this.restart(now, this.isHigh && this.#bad > (this.limit / 2) * this.#frames);
    }
    return this.isHigh;
  }

  #isOver(now: number): boolean {
    const seconds = now - this.#began;
    if (this.#frames >= WINDOW_FRAMES) return seconds >= WINDOW_S;
    return seconds >= (this.#frames - this.#bad >= GOOD_FRAMES ? SLOW_S : SLOWEST_S);
  }
}
