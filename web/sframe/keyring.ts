/**
 * The keys of one KID namespace: those that were given, and the generations of ratchets; or the epochs
 * of a group, which are alone in theirs.
 *
 * Rules:
 *   1. resolve() keeps nothing for a KID that leads nowhere. The state is bounded by the keys that were
 *      given, never by what the network sends.
 *   2. A key that goes leaves its replay window here, so that it accepts no frame again when it comes
 *      again. That of the KEPT latest keys is remembered, by the key's name; the key itself is not.
 */

import type { BaseKey } from "./base-key.js";
import { Epoch, type EpochOptions, lowOf } from "./epoch.js";
import { MisuseError } from "./errors.js";
import type { FrameKey } from "./frame-key.js";
import { Chain, type ChainOptions } from "./ratchet.js";
import { type Origin, Slot } from "./slot.js";
import { ReplayWindow } from "./window.js";

/** Replay windows: some 300 bytes each. */
const KEPT = 256;

export class Keyring {
  readonly #given = new Map<bigint, Slot>();
  readonly #chains: Chain[] = [];
  /** Slots of derived keys, by chain and step; they live as long as their step. */
  readonly #derived = new Map<Chain, Map<number, Slot>>();
  /** By the low bits that a KID shows: 2^E at most. */
  readonly #epochs = new Map<bigint, Epoch>();
  #epochBits = 0;
  /** Windows of keys that are gone, by their names, oldest first; some may have come again. */
  readonly #past = new Map<string, ReplayWindow>();

  constructor(private readonly replayWindow: number) {}

  /** All that have a key now, without those that would be derived when asked for. */
  get slots(): Slot[] {
    const derived = [...this.#derived.values()].flatMap((slots) => [...slots.values()]);
    const members = [...this.#epochs.values()].flatMap((epoch) => epoch.slots);
    return [...this.#given.values(), ...derived, ...members];
  }

  add(key: FrameKey): void {
    const present = this.#given.get(key.kid);
    // The same key again changes nothing: its replay window stays.
    if (present?.key.name === key.name) return;
    if (present) throw new MisuseError("this KID has another key; remove that one first");
    if (this.#epochs.size > 0) throw new MisuseError("the epochs of a group have a Receiver alone");
    if (this.#chainOf(key.kid)) throw new MisuseError("this KID belongs to a sender key");
    this.#given.set(key.kid, this.#slotFor(key));
  }

  remove(kid: bigint): boolean {
    const slot = this.#given.get(kid);
    if (slot) this.#keepWindows([slot]);
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
    for (const chain of this.#chains.splice(at, 1)) this.#forgetChain(chain);
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
    const epoch = new Epoch(number, base, options, (...of) => this.#slotFor(...of));
    const present = this.#epochs.get(epoch.low);
    const [other] = this.#epochs.values();
    if (other && other.layout !== epoch.layout) throw new MisuseError("a group keeps its layout");
    if (present && number < present.number) throw new MisuseError("epochs only grow");
    this.#epochBits = options.epochBits;
    if (present?.number === number) present.enroll(options);
    else {
      this.removeEpochOf(epoch.low);
      this.#epochs.set(epoch.low, epoch);
    }
  }

  /** Forgets the epoch that a KID shows. */
  removeEpochOf(kid: bigint): boolean {
    this.#keepWindows(this.#epochOf(kid)?.slots ?? []);
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

  /** Whether an unknown KID is of the past: its sender is behind. */
  isStale(kid: bigint): boolean {
    return this.#chainOf(kid)?.isBehind(kid) ?? false;
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
    if (chain.confirm(step)) this.#forgetSteps(chain);
    // One earlier generation is kept for frames in flight.
    const at = this.#chains.indexOf(chain);
    for (const past of this.#chains.splice(0, Math.max(0, at - 1))) this.#forgetChain(past);
  }

  #forgetSteps(chain: Chain): void {
    const slots = this.#derived.get(chain) ?? new Map<number, Slot>();
    for (const [step, slot] of slots) {
      if (!chain.isGone(step)) continue;
      this.#keepWindows([slot]);
      slots.delete(step);
    }
  }

  #forgetChain(chain: Chain): void {
    this.#keepWindows(this.#derived.get(chain)?.values() ?? []);
    this.#derived.delete(chain);
  }

  /** A key that was here before has its window again; it stays noted, as its slot may never be used. */
  #slotFor(key: FrameKey, origin: Origin = {}): Slot {
    const window = this.#past.get(key.name) ?? new ReplayWindow(this.replayWindow);
    return new Slot(key, window, origin);
  }

  #keepWindows(slots: Iterable<Slot>): void {
    for (const { key, window } of slots) {
      if (window.isEmpty) continue;
      this.#past.delete(key.name);
      this.#past.set(key.name, window);
    }
    for (const oldest of this.#past.keys()) {
      if (this.#past.size <= KEPT) return;
      this.#past.delete(oldest);
    }
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
    const slot = slots.get(step) ?? this.#slotFor(key, { chain, step });
    slots.set(step, slot);
    return slot;
  }
}

function belongs(chain: Chain, kid: bigint): boolean {
  return kid >> BigInt(chain.ratchetBits) === chain.generation;
}
