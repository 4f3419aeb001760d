/**
 * The keys of one MLS epoch: RFC 9605 5.2. All members derive from one base_key, each under its KID:
 *
 *     sender index (S bits) | epoch modulo 2^E (E bits)
 *
 * Rule: a key is derived once for each member of the roster, when its first frame comes, whatever KIDs
 * are forged. KIDs with a context, the bits above, lead nowhere here.
 */

import type { BaseKey } from "./base-key.js";
import { MisuseError } from "./errors.js";
import { FrameKey } from "./frame-key.js";
import type { Origin, Slot } from "./slot.js";

const LAST_EPOCH_BITS = 16;
const LAST_SENDER_BITS = 32;
const LAST_EPOCH = (1n << 64n) - 1n;

export interface EpochOptions {
  /** E: how many low bits of a KID show the epoch. */
  readonly epochBits: number;
  /** S: how many bits number the senders; the same for the life of a group. */
  readonly senderBits: number;
  /** How many members the group has: indices 0 to senders - 1. */
  readonly senders: number;
  /** A member that is not listened to: oneself. */
  readonly except?: number | null;
}

/** The KID of a member: (index << E) + (epoch mod 2^E). */
export function kidOfMember(epoch: bigint, index: number, epochBits: number): bigint {
  return (BigInt(index) << BigInt(epochBits)) | lowOf(epoch, epochBits);
}

/** What a KID shows of an epoch. */
export function lowOf(epochOrKid: bigint, epochBits: number): bigint {
  return epochOrKid & ((1n << BigInt(epochBits)) - 1n);
}

export class Epoch {
  readonly #slots = new Map<number, Promise<Slot>>();
  /** Those of the members whose keys have been derived. */
  readonly slots: Slot[] = [];

  constructor(
    readonly number: bigint,
    private readonly base: BaseKey,
    private options: EpochOptions,
    private readonly slotFor: (key: FrameKey, origin: Origin) => Slot,
  ) {
    const { epochBits, senderBits } = options;
    requireNumber("epochBits", epochBits, LAST_EPOCH_BITS);
    requireNumber("senderBits", senderBits, LAST_SENDER_BITS);
    this.enroll(options);
    if (number < 0n || number > LAST_EPOCH) throw new MisuseError("an epoch is 0 to 2^64-1");
  }

  /** Another roster; whoever is still in it keeps key and replay window. */
  enroll(options: EpochOptions): void {
    requireNumber("senders", options.senders, 2 ** options.senderBits);
    this.options = options;
  }

  get low(): bigint {
    return lowOf(this.number, this.options.epochBits);
  }

  get layout(): string {
    return `${this.options.epochBits}+${this.options.senderBits}`;
  }

  /** The slot of a member; undefined for a KID of no member. */
  slotOf(kid: bigint): Promise<Slot> | undefined {
    const { epochBits, senders, except } = this.options;
    const index = Number(kid >> BigInt(epochBits));
    if (lowOf(kid, epochBits) !== this.low || index >= senders || index === except)
      return undefined;
    const slot = this.#slots.get(index) ?? this.#derive(kid);
    this.#slots.set(index, slot);
    return slot;
  }

  async #derive(kid: bigint): Promise<Slot> {
    const slot = this.slotFor(await FrameKey.derive(this.base, kid), { epoch: this });
    this.slots.push(slot);
    return slot;
  }
}

function requireNumber(name: string, value: number, last: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > last) {
    throw new MisuseError(`${name} is 0 to ${last}`);
  }
}
