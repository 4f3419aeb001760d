/**
 * The replay window of one key: RFC 9605 9.3 MAY, in the manner of RFC 3711 3.3.2.
 *
 * Rule: `accepts` changes nothing; `mark` is called only after a frame's tag has verified.
 */
export class ReplayWindow {
  readonly #mask: bigint;
  #top = -1n;
  /** Bit i: the counter top - i was opened. */
  #seen = 0n;

  /** How many of the newest counters are remembered; 0 accepts everything. */
  constructor(private readonly size: number) {
    this.#mask = (1n << BigInt(size)) - 1n;
  }

  get isEmpty(): boolean {
    return this.#top < 0n;
  }

  accepts(ctr: bigint): boolean {
    if (this.size === 0 || ctr > this.#top) return true;
    const age = this.#top - ctr;
    return age < BigInt(this.size) && ((this.#seen >> age) & 1n) === 0n;
  }

  mark(ctr: bigint): void {
    if (this.size === 0) return;
    if (ctr > this.#top) {
      const ahead = ctr - this.#top;
      this.#seen = ahead > BigInt(this.size) ? 0n : (this.#seen << ahead) & this.#mask;
      this.#top = ctr;
    }
    this.#seen |= 1n << (this.#top - ctr);
  }
}
