/**
 * Counters that never repeat.
 *
 * A nonce is a salt and a counter, so a counter that comes twice under one key gives the plaintexts
 * away (RFC 9605 9.1). A worker forgets its counters when it ends; therefore it does not own them. It
 * takes a *lease*, a run of counters, from a port behind which somebody remembers: a restarted worker,
 * a second tab and a key that is installed twice each take a lease of their own. What a lease has left
 * when its holder ends is never used.
 *
 *     port     ...| lease 1 | lease 2 | lease 3 | not yet given
 *     Counters         gone   ^next        asked for when half of lease 2 is used
 *
 * Rule: a port that gives a counter a second time is found out, as far as this realm can know it, and
 * nothing is sealed.
 */

import { CounterError } from "./errors.js";
import { LAST_NUMBER } from "./header.js";

/** The counters first..end-1. */
export interface Lease {
  readonly first: bigint;
  readonly end: bigint;
}

/** Whoever remembers which counters of a key have been given out, and to nobody twice. */
export interface CounterPort {
  lease(keyName: string, count: bigint): Promise<Lease>;
}

export const LEASE_SIZE = 1n << 16n;

/** The ends of all leases that this realm has been given; it outlives every Counters. */
const floors = new Map<string, bigint>();

export class Counters {
  readonly #leases: Lease[] = [];
  #next = 0n;
  #asking: Promise<void> | undefined;

  private constructor(
    private readonly port: CounterPort,
    private readonly keyName: string,
    private readonly size: bigint,
  ) {}

  /** Waits for the first lease, so that a Sender that exists can seal. */
  static async open(port: CounterPort, keyName: string, size = LEASE_SIZE): Promise<Counters> {
    const counters = new Counters(port, keyName, size);
    await counters.#ask();
    return counters;
  }

  /** A counter that nobody else has or had. */
  async take(): Promise<bigint> {
    let ctr = this.takeNow();
    while (ctr === undefined) {
      await this.#ask();
      ctr = this.takeNow();
    }
    return ctr;
  }

  /** The same where a lease has one left; else undefined, and nobody waits. */
  takeNow(): bigint | undefined {
    const lease = this.#leases[0];
    if (!lease) return undefined;
    const ctr = this.#next++;
    if (this.#next >= lease.end) {
      this.#leases.shift();
      this.#next = this.#leases[0]?.first ?? 0n;
    }
    this.#askInTime();
    return ctr;
  }

  /** Asks ahead, so that no frame waits; a failure shows when the lease has been used up. */
  #askInTime(): void {
    const lease = this.#leases[0];
    if (this.#leases.length > 1 || !lease || 2n * (lease.end - this.#next) > this.size) return;
    this.#ask().catch(() => {});
  }

  /** One question at a time, whoever asks. */
  #ask(): Promise<void> {
    this.#asking ??= this.#lease().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #lease(): Promise<void> {
    const lease = await this.port.lease(this.keyName, this.size);
    claim(this.keyName, lease);
    if (this.#leases.length === 0) this.#next = lease.first;
    this.#leases.push(lease);
  }
}

function claim(keyName: string, { first, end }: Lease): void {
  if (typeof first !== "bigint" || typeof end !== "bigint" || first < 0n || end <= first) {
    throw new CounterError("what was given is no lease of counters");
  }
  // The last counter is never used, so that a counter past it needs no thought.
  if (end > LAST_NUMBER) throw new CounterError("all counters of this key have been used");
  const floor = floors.get(keyName) ?? 0n;
  if (first < floor) throw new CounterError("the store of counters gave some a second time");
  floors.set(keyName, end);
}

/** For a key that is made in this realm and dies with it: it remembers no longer than that. */
export class MemoryCounterPort implements CounterPort {
  readonly #next = new Map<string, bigint>();

  async lease(keyName: string, count: bigint): Promise<Lease> {
    const first = this.#next.get(keyName) ?? 0n;
    this.#next.set(keyName, first + count);
    return { first, end: first + count };
  }
}
