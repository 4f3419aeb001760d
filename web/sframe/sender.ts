/**
 * A Sender reserves a counter, then seals a frame.
 *
 * Rule: every check runs before a counter is taken, and no counter is ever given back. Whether the
 * Sender is closed is looked at again where a frame had to wait for a counter: a key that was dropped
 * meanwhile seals nothing.
 */

import { type Bytes, concat, type Parts, unshared } from "./bytes.js";
import type { CounterPort } from "./counters.js";
import { Counters } from "./counters.js";
import { MisuseError } from "./errors.js";
import { type FrameOptions, MAX_FRAME, requireAllowed, splitOptions } from "./frame.js";
import type { FrameKey } from "./frame-key.js";
import { encodeHeader } from "./header.js";

/** AES blocks under one key that keep GCM's advantage below 2^-57: draft-irtf-cfrg-aead-limits. */
const KEY_BUDGET = 2 ** 36;

export interface SenderOptions {
  readonly allowShortTags?: boolean;
  readonly leaseSize?: bigint;
}

export class Sender {
  #blocks = 0;
  #closed = false;

  private constructor(
    private readonly key: FrameKey,
    private readonly counters: Counters,
  ) {}

  static async create(
    key: FrameKey,
    port: CounterPort,
    options: SenderOptions = {},
  ): Promise<Sender> {
    requireAllowed(key.suite, options.allowShortTags ?? false);
    return new Sender(key, await Counters.open(port, key.name, options.leaseSize));
  }

  get kid(): bigint {
    return this.key.kid;
  }

  /** From now on protect() refuses. */
  close(): void {
    this.#closed = true;
  }

  async protect(frame: Uint8Array, options: FrameOptions = {}): Promise<Bytes> {
    return concat(...(await this.protectInParts(frame, options)));
  }

  /** The same in pieces that make the frame when joined, for whoever joins them with more. */
  async protectInParts(frame: Uint8Array, options: FrameOptions = {}): Promise<Parts> {
    const { metadata, clear } = splitOptions(options);
    this.#check(frame.length, clear);
    const shown = frame.slice(0, clear);
    let [payload, bound] = [unshared(frame.subarray(clear)), metadata];
    let ctr = this.counters.takeNow();
    if (ctr === undefined) {
      // WebCrypto copies what it is given when it is called; a frame that has to wait is copied here.
      [payload, bound] = [payload.slice(), bound.slice()];
      ctr = await this.counters.take();
      this.#refuseClosed();
    }
    const header = encodeHeader(this.kid, ctr);
    const sealed = await this.key.seal(ctr, concat(header, shown, bound), payload);
    return [shown, header, sealed];
  }

  #check(size: number, clear: number): void {
    this.#refuseClosed();
    if (size > MAX_FRAME) throw new MisuseError("a frame has 16 MiB at most");
    if (clear > size) throw new MisuseError("more clear bytes than the frame has");
    const blocks = this.#blocks + 1 + Math.ceil(size / 16);
    if (blocks > KEY_BUDGET)
      throw new MisuseError("this key has sealed 2^36 blocks; take a new one");
    this.#blocks = blocks;
  }

  #refuseClosed(): void {
    if (this.#closed) throw new MisuseError("this Sender is closed");
  }
}
