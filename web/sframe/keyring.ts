/**
 * The keys of one KID namespace: those that were given, and the generations of ratchets; or the epochs
 * of a group, which are alone in theirs.
 *
 * Rule: resolve() keeps nothing for a KID that leads nowhere. The state is bounded by the keys that
 * were given, never by what the network sends.
 */

import type { BaseKey } from "./base-key.js";
import { Epoch, type EpochOptions, lowOf } from "./epoch.js";
import { MisuseError } from "./errors.js";
import type { FrameKey } from "./frame-key.js";
import { Chain, type ChainOptions } from "./ratchet.js";
import { Slot } from "./slot.js";

export class Keyring {
  readonly #given = new Map<bigint, Slot>();
  readonly #chains: Chain[] = [];
  /** Slots of derived keys, by chain and step; they live as long as their step. */
  readonly #derived = new Map<Chain, Map<number, Slot>>();
  /** By the low bits that a KID shows: 2^E at most. */
  readonly #epochs = new Map<bigint, Epoch>();
  #epochBits = 0;

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
    if (this.#epochs.size > 0) throw new MisuseError("the epochs of a group have a Receiver alone");
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
    if (this.#epochs.size > 0) throw new MisuseError("the epochs of a group have a Receiver alone");
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

  /**
   * RFC 9605 5.2 shows the low bits of an epoch only, so of two epochs with the same ones the older
   * one goes. An epoch that is present gets a new roster.
   */
  addEpoch(number: bigint, base: BaseKey, options: EpochOptions): void {
    if (this.#given.size > 0 || this.#chains.length > 0) {
      throw new MisuseError("the epochs of a group have a Receiver alone");
    }
    const epoch = new Epoch(number, base, options, this.replayWindow);
    const present = this.#epochs.get(epoch.low);
    const [other] = this.#epochs.values();
    if (other && other.layout !== epoch.layout) throw new MisuseError("a group keeps its layout");
    if (present && number < present.number) throw new MisuseError("epochs only grow");
    this.#epochBits = options.epochBits;
    if (present?.number === number) present.enroll(options);
    else this.#epochs.set(epoch.low, epoch);
  }

  /** Forgets the epoch that a KID shows. */
  removeEpochOf(kid: bigint): boolean {
    return this.#epochs.delete(lowOf(kid, this.#epochBits));
  }

  /** The slot of a KID; derives the key where a ratchet leads to it. */
  resolve(kid: bigint): Slot | undefined | Promise<Slot | undefined> {
    const given = this.#given.get(kid);
    if (given) return given;
    if (this.#epochs.size > 0) return this.#epochOf(kid)?.slotOf(kid);
    const chain = this.#chainOf(kid);
    const step = chain?.stepOf(kid);
    return chain && step !== undefined ? this.#slotAt(chain, step) : undefined;
  }

  /** Whether this slot is still what its KID leads to; derived ones may have been left behind. */
  holds(slot: Slot): boolean {
    const { chain, step, epoch } = slot.origin;
    if (epoch) return this.#epochOf(slot.key.kid) === epoch;
    if (chain === undefined) return this.#given.get(slot.key.kid) === slot;
    return this.#derived.get(chain)?.get(step as number) === slot;
  }

  /** A tag has verified under this slot. */
  confirm(slot: Slot): void {
    const { chain, step } = slot.origin;
    if (!chain || step === undefined) return;
    if (chain.confirm(step)) {
      const slots = this.#derived.get(chain);
      for (const old of slots?.keys() ?? []) if (chain.isGone(old)) slots?.delete(old);
    }
    // One earlier generation is kept for frames in flight.
    const at = this.#chains.indexOf(chain);
    for (const past of this.#chains.splice(0, Math.max(0, at - 1))) this.#derived.delete(past);
  }

  #epochOf(kid: bigint): Epoch | undefined {
    return this.#epochs.get(lowOf(kid, this.#epochBits));
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
    const slot = slots.get(step) ?? new Slot(key, this.replayWindow, { chain, step });
    slots.set(step, slot);
    return slot;
  }
}

function belongs(chain: Chain, kid: bigint): boolean {
  return kid >> BigInt(chain.ratchetBits) === chain.generation;
}
