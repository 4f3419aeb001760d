/**
 * Counts frames under unknown KIDs, in bounded memory, as pysframe's Strangers do.
 *
 * Rule: whatever an attacker sends, this holds sixteen KIDs and their counts.
 */

import { Trail } from "./trail.js";

const TRACKED = 16;
/** Unknown frames for which a KID keeps its place, and after which it is of the past. */
const [STAYS, GONE] = [128, 1024];

/** Counts of one KID that has no key. */
export interface StrangerStats {
  readonly frames: number;
  /** Frames whose CTR follows that of an earlier one. */
  readonly advanced: number;
  /** The KID belongs to the past. */
  readonly stale: boolean;
}

class Stranger {
  frames = 0;
  /** Of all unknown frames, the number of its latest one. */
  latest = 0;
  readonly trail = new Trail();
}

export class Strangers {
  /** All frames under unknown KIDs. */
  frames = 0;
  readonly #kids = new Map<bigint, Stranger>();

  /**
   * The KID with the fewest frames makes room, but not at once: in a call of more than sixteen members
   * each would otherwise evict the next one before its next frame.
   */
  note(kid: bigint, ctr: bigint): void {
    this.frames++;
    let stranger = this.#kids.get(kid);
    if (!stranger) {
      if (!this.#makeRoom()) return;
      stranger = new Stranger();
      this.#kids.set(kid, stranger);
    }
    stranger.frames++;
    stranger.latest = this.frames;
    stranger.trail.follow(ctr);
  }

  stats(isStale: (kid: bigint) => boolean): Map<bigint, StrangerStats> {
    const stats = new Map<bigint, StrangerStats>();
    for (const [kid, { frames, trail }] of this.#kids) {
      stats.set(kid, { frames, advanced: trail.advanced, stale: isStale(kid) });
    }
    return stats;
  }

  #makeRoom(): boolean {
    if (this.#kids.size < TRACKED) return true;
    let [least, fewest] = [0n, Number.POSITIVE_INFINITY];
    for (const [kid, stranger] of this.#kids) {
      const worth = this.#worth(stranger);
      if (worth < fewest) [least, fewest] = [kid, worth];
    }
    const { latest } = this.#kids.get(least) as Stranger;
    if (fewest > 0 && this.frames - latest < STAYS) return false;
    return this.#kids.delete(least);
  }

  #worth({ frames, latest }: Stranger): number {
    return this.frames - latest < GONE ? frames : 0;
  }
}
