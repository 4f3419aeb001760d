/**
 * The CTRs of a KID's refused frames. They decide how reports name the frames, and nothing else.
 *
 * A sender's CTRs go up in small steps; when media in the clear is read as headers, they stand still
 * or jump about. Two senders may share a KID, and a sender may restart, so several runs are followed.
 * The rule is that of pysframe's Trail, and vectors/media_in_clear.json holds both to it.
 */

const RUNS = 4;
/** CTRs that loss or dropped layers may skip. */
const STEP = 32;
/** How far behind its top a run reaches. */
const LATE = 256;
/** Late frames in a row after which the run continues from the latest one. */
const STUCK = 16;

export class Trail {
  /** Frames whose CTR follows that of an earlier one. */
  advanced = 0;
  /** The low 32 bits of each run's highest CTR, latest run first. */
  readonly #tops: number[] = [];
  /** Frames in a row behind the top of their run. */
  #late = 0;

  follow(ctr: bigint): void {
    const low = Number(BigInt.asIntN(32, ctr));
    const at = this.#tops.findIndex((top) => isOfRun((low - top) | 0));
    const run = this.#tops[at];
    if (run === undefined) this.#late = 0;
    else this.#tops.splice(at, 1);
    this.#tops.unshift(run === undefined ? low : this.#goOn(run, low));
    this.#tops.length = Math.min(this.#tops.length, RUNS);
  }

  /** The top of a run after this CTR. */
  #goOn(run: number, low: number): number {
    if (((low - run) | 0) > 0) {
      this.#late = 0;
      this.advanced++;
      return low;
    }
    this.#late = (this.#late + 1) % STUCK;
    return this.#late > 0 ? run : low;
  }
}

function isOfRun(ahead: number): boolean {
  return ahead >= -LATE && ahead <= STEP;
}
