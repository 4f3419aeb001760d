/**
 * The keys of one KID namespace: those that were given, and the generations of ratchets.
 *
 * Rule: resolve() keeps nothing for a KID that leads nowhere. The state is bounded by the keys that
 * were given, never by what the network sends.
 */

import type { BaseKey } from "./base-key.js";
import { MisuseError } from "./errors.js";
import type { FrameKey } from "./frame-key.js";
import { Chain, type ChainOptions } from "./ratchet.js";
import { ReplayWindow } from "./window.js";

/** A key, and what is remembered of the frames under it. */
export class Slot {
  readonly window: ReplayWindow;
  /** Tags that were wrong. */
  failures = 0;

  constructor(
    readonly key: FrameKey,
    replayWindow: number,
    readonly chain?: Chain,
    readonly step?: number,
  ) {
    this.window = new ReplayWindow(replayWindow);
  }
}

export class Keyring {
  readonly #given = new Map<bigint, Slot>();
  readonly #chains: Chain[] = [];
  /** Slots of derived keys, by chain and step; they live as long as their step. */
  readonly #derived = new Map<Chain, Map<number, Slot>>();

  constructor(private readonly replayWindow: number) {}

  /** All KIDs that have a key now, without those that would be derived when asked for. */
  get kids(): bigint[] {
    const derived = [...this.#derived.values()].flatMap((slots) => [...slots.values()]);
    return [...this.#given.values(), ...derived].map((slot) => slot.key.kid);
  }

  add(key: FrameKey): void {
    const present = this.#given.get(key.kid);
    // The same key again changes nothing: its replay window stays.
    if (present?.key.name === key.name) return;
    if (present) throw new MisuseError("this KID has another key; remove that one first");
    if (this.#chainOf(key.kid)) throw new MisuseError("this KID belongs to a sender key");
    this.#given.set(key.kid, new Slot(key, this.replayWindow));
  }

  remove(kid: bigint): boolean {
    return this.#given.delete(kid);
  }

  /** A generation that is present is left as it is. */
  addChain(generation: bigint, base: BaseKey, options: ChainOptions): void {
    if (this.#chains.some((chain) => chain.generation === generation)) return;
    const other = this.#chains.some((chain) => chain.ratchetBits !== options.ratchetBits);
    if (other) throw new MisuseError("the generations of one sender have one layout");
    const chain = new Chain(generation, base, options);
    const taken = [...this.#given.keys()].some((kid) => belongs(chain, kid));
    if (taken) throw new MisuseError("a KID of this generation has a key of its own");
    this.#chains.push(chain);
    this.#derived.set(chain, new Map());
  }

  removeChain(generation: bigint): boolean {
    const at = this.#chains.findIndex((chain) => chain.generation === generation);
    if (at < 0) return false;
    for (const chain of this.#chains.splice(at, 1)) this.#derived.delete(chain);
    return true;
  }

  /** The slot of a KID; derives the key where a ratchet leads to it. */
  resolve(kid: bigint): Slot | undefined | Promise<Slot | undefined> {
    const given = this.#given.get(kid);
    if (given) return given;
    const chain = this.#chainOf(kid);
    const step = chain?.stepOf(kid);
    return chain && step !== undefined ? this.#slotAt(chain, step) : undefined;
  }

  /** Whether this slot is still what its KID leads to; derived ones may have been left behind. */
  holds(slot: Slot): boolean {
    if (slot.chain === undefined) return this.#given.get(slot.key.kid) === slot;
    return this.#derived.get(slot.chain)?.get(slot.step as number) === slot;
  }

  /** A tag has verified under this slot. */
  confirm(slot: Slot): void {
    const { chain, step } = slot;
    if (!chain || step === undefined) return;
    if (chain.confirm(step)) {
      const slots = this.#derived.get(chain);
      for (const old of slots?.keys() ?? []) if (chain.isGone(old)) slots?.delete(old);
    }
    // One earlier generation is kept for frames in flight.
    const at = this.#chains.indexOf(chain);
    for (const past of this.#chains.splice(0, Math.max(0, at - 1))) this.#derived.delete(past);
  }

  #chainOf(kid: bigint): Chain | undefined {
    return this.#chains.find((chain) => belongs(chain, kid));
  }

  async #slotAt(chain: Chain, step: number): Promise<Slot | undefined> {
    const known = this.#derived.get(chain)?.get(step);
    if (known) return known;
    const key = await chain.keyAt(step);
    // Meanwhile another frame may have made the slot, or the chain may have moved or gone.
    const slots = this.#derived.get(chain);
    if (!slots || chain.isGone(step)) return undefined;
    const slot = slots.get(step) ?? new Slot(key, this.replayWindow, chain, step);
    slots.set(step, slot);
    return slot;
  }
}

function belongs(chain: Chain, kid: bigint): boolean {
  return kid >> BigInt(chain.ratchetBits) === chain.generation;
}
