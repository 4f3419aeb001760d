/**
 * The ratchet steps of one generation: RFC 9605 5.1.
 *
 * Rules:
 *   1. A KID proposes and a verified tag decides: only `confirm` moves the chain.
 *   2. Each step is derived at most once, and at most `maxSteps` of them lie ahead, whatever KIDs are
 *      forged.
 *   3. No two live steps share a KID, which shows a step only modulo 2^R.
 *
 *     steps        ... s-3 | s-2  s-1 |    s    | s+1 ... s+maxSteps | ...
 *                    gone  |   kept   |confirmed| derived when asked | unknown
 */

import type { BaseKey } from "./base-key.js";
import { MisuseError } from "./errors.js";
import { FrameKey } from "./frame-key.js";
import { LAST_NUMBER } from "./header.js";

/** Steps kept behind the confirmed one, for frames that were overtaken in the network. */
const STEPS_BEHIND = 2;
const LIMIT_MAX_STEPS = 1024;
const LAST_RATCHET_BITS = 16;

export interface ChainOptions {
  /** R: how many low bits of a KID show the step. */
  readonly ratchetBits: number;
  /** The step whose base_key is given. */
  readonly step?: number;
  readonly maxSteps?: number;
}

/** The KID of a step: (generation << R) + (step mod 2^R). */
export function kidOfStep(generation: bigint, step: number, ratchetBits: number): bigint {
  const shown = BigInt(step) & ((1n << BigInt(ratchetBits)) - 1n);
  const kid = (generation << BigInt(ratchetBits)) | shown;
  if (generation < 0n || kid > LAST_NUMBER) throw new MisuseError("the generation is too large");
  return kid;
}

export class Chain {
  readonly #bases = new Map<number, Promise<BaseKey>>();
  readonly #keys = new Map<number, Promise<FrameKey>>();
  readonly #kids: number;
  readonly #behind: number;
  readonly #reach: number;
  readonly ratchetBits: number;
  #confirmed: number;

  constructor(
    readonly generation: bigint,
    base: BaseKey,
    options: ChainOptions,
  ) {
    const { ratchetBits, step = 0, maxSteps = 16 } = options;
    requireWithin("ratchetBits", ratchetBits, 1, LAST_RATCHET_BITS);
    requireWithin("step", step, 0, Number.MAX_SAFE_INTEGER - LIMIT_MAX_STEPS);
    requireWithin("maxSteps", maxSteps, 0, LIMIT_MAX_STEPS);
    kidOfStep(generation, step, ratchetBits);
    this.ratchetBits = ratchetBits;
    this.#kids = 2 ** ratchetBits;
    this.#behind = Math.min(STEPS_BEHIND, this.#kids - 1);
    this.#reach = Math.min(maxSteps, this.#kids - 1 - this.#behind);
    this.#confirmed = step;
    this.#bases.set(step, Promise.resolve(base));
  }

  /** The live step that a KID of this generation means; undefined for one behind or out of reach. */
  stepOf(kid: bigint): number | undefined {
    const shown = Number(kid & BigInt(this.#kids - 1));
    const ahead = (shown - (this.#confirmed % this.#kids) + this.#kids) % this.#kids;
    if (ahead <= this.#reach) return this.#confirmed + ahead;
    const step = this.#confirmed + ahead - this.#kids;
    return this.#keys.has(step) ? step : undefined;
  }

  /** Whether a KID of this generation is nearer behind the confirmed step than ahead of it. */
  isBehind(kid: bigint): boolean {
    const shown = Number(kid & BigInt(this.#kids - 1));
    const ahead = (shown - (this.#confirmed % this.#kids) + this.#kids) % this.#kids;
    return this.#kids - ahead < ahead;
  }

  /** Whether a step lies so far behind that its key is gone. */
  isGone(step: number): boolean {
    return step < this.#confirmed - this.#behind;
  }

  /** The key of a step that stepOf() gave. */
  keyAt(step: number): Promise<FrameKey> {
    const kid = kidOfStep(this.generation, step, this.ratchetBits);
    const made =
      this.#keys.get(step) ?? this.#baseAt(step).then((base) => FrameKey.derive(base, kid));
    this.#keys.set(step, made);
    return made;
  }

  /** A tag has verified under this step: the chain moves there. Returns false when it is not ahead. */
  confirm(step: number): boolean {
    if (step <= this.#confirmed) return false;
    const first = step - this.#behind;
    // Steps that were skipped may still have frames in flight; their base_keys go now.
    for (let past = Math.max(first, this.#confirmed); past < step; past++) {
      this.keyAt(past).catch(() => {});
    }
    for (const old of this.#keys.keys()) if (old < first) this.#keys.delete(old);
    for (const old of this.#bases.keys()) if (old < step) this.#bases.delete(old);
    this.#confirmed = step;
    return true;
  }

  #baseAt(step: number): Promise<BaseKey> {
    let base = this.#bases.get(this.#confirmed) as Promise<BaseKey>;
    for (let next = this.#confirmed + 1; next <= step; next++) {
      const before = base;
      base = this.#bases.get(next) ?? before.then((key) => key.ratchet());
      this.#bases.set(next, base);
    }
    return base;
  }
}

function requireWithin(name: string, value: number, first: number, last: number): void {
  if (!Number.isSafeInteger(value) || value < first || value > last) {
    throw new MisuseError(`${name} is ${first} to ${last}`);
  }
}
