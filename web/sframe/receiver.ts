/**
 * A Receiver parses a header, resolves its key, opens the frame, then commits.
 *
 * Rules:
 *   1. A header changes nothing: no window, no ratchet, no memory that grows with what is forged.
 *   2. Verdicts that were reached before an `await` are reached again after it: another frame with
 *      the same counter may have been opened, or the key removed, in between.
 *   3. A frame is read before the first `await`, and copied if it must wait, so that what was parsed is
 *      what is opened.
 *   4. Whatever is wrong, the frame's bytes do not come out.
 */

import type { BaseKey } from "./base-key.js";
import { type Bytes, concat, unshared } from "./bytes.js";
import type { EpochOptions } from "./epoch.js";
import { FrameRejected, MisuseError, REASONS, type Reason } from "./errors.js";
import { type FrameOptions, MAX_FRAME, requireAllowed, splitOptions } from "./frame.js";
import type { FrameKey } from "./frame-key.js";
import { type Header, parseHeader } from "./header.js";
import type { ReceiverStats } from "./key-flow.js";
import { Keyring } from "./keyring.js";
import type { ChainOptions } from "./ratchet.js";
import type { Slot } from "./slot.js";
import { Strangers } from "./strangers.js";
import { type Suite, suiteOf } from "./suites.js";

const DEFAULT_WINDOW = 1024;
const LIMIT_WINDOW = 1 << 16;
const MAX_OVERHEAD = 17 + 16;

export interface ReceiverOptions {
  /** How many counters of each key are remembered; 0: no protection against replays. */
  readonly replayWindow?: number;
  readonly allowShortTags?: boolean;
}

/** Frames since the Receiver was made. */
export type Counts = Record<Reason | "opened", number>;

export class Receiver {
  readonly suite: Suite;
  readonly #keyring: Keyring;
  readonly #counts: Counts;
  readonly #strangers = new Strangers();

  constructor(suite: number, options: ReceiverOptions = {}) {
    const { replayWindow = DEFAULT_WINDOW, allowShortTags = false } = options;
    if (!Number.isInteger(replayWindow) || replayWindow < 0 || replayWindow > LIMIT_WINDOW) {
      throw new MisuseError(`replayWindow is 0 to ${LIMIT_WINDOW}`);
    }
    this.suite = suiteOf(suite);
    requireAllowed(this.suite, allowShortTags);
    this.#keyring = new Keyring(replayWindow);
    const zeros = REASONS.map((reason) => [reason, 0]);
    this.#counts = { opened: 0, ...Object.fromEntries(zeros) };
  }

  get counts(): Readonly<Counts> {
    return { ...this.#counts };
  }

  get kids(): bigint[] {
    return this.#keyring.slots.map(({ key }) => key.kid);
  }

  /** What a KeyFlowMonitor judges. */
  get stats(): ReceiverStats {
    const keys = this.#keyring.slots.map((slot) => slot.stats);
    const strangers = this.#strangers.stats((kid) => this.#keyring.isStale(kid));
    return { malformed: this.#counts.syntax, unknown: this.#strangers.frames, strangers, keys };
  }

  /** Adding the same key again changes nothing; another key under a live KID is refused. */
  addKey(key: FrameKey): void {
    this.#requireSuite(key.suite);
    this.#keyring.add(key);
  }

  /** False when there was none. Should the key come again, it has its replay window again. */
  removeKey(kid: bigint): boolean {
    return this.#keyring.remove(kid);
  }

  /** A generation of the one sender whose frames come here: RFC 9605 5.1. */
  addSenderKey(generation: bigint, base: BaseKey, options: ChainOptions): void {
    this.#requireSuite(base.suite);
    this.#keyring.addChain(generation, base, options);
  }

  removeSenderKey(generation: bigint): boolean {
    return this.#keyring.removeChain(generation);
  }

  /** An epoch of the one group whose frames come here: RFC 9605 5.2. */
  addEpoch(epoch: bigint, base: BaseKey, options: EpochOptions): void {
    this.#requireSuite(base.suite);
    this.#keyring.addEpoch(epoch, base, options);
  }

  /** Forgets the whole epoch that a KID shows; false when there was none. */
  removeEpochOf(kid: bigint): boolean {
    return this.#keyring.removeEpochOf(kid);
  }

  /** The frame; throws FrameRejected, and counts its reason. */
  async unprotect(ciphertext: Uint8Array, options: FrameOptions = {}): Promise<Bytes> {
    try {
      const frame = await this.#unprotect(ciphertext, options);
      this.#counts.opened++;
      return frame;
    } catch (error) {
      if (error instanceof FrameRejected) this.#counts[error.reason]++;
      throw error;
    }
  }

  async #unprotect(ciphertext: Uint8Array, options: FrameOptions): Promise<Bytes> {
    const { metadata, clear } = splitOptions(options);
    requireSize(ciphertext);
    let bytes = unshared(ciphertext);
    const header = this.#parse(bytes, clear);
    const start = clear + header.size;
    const shown = bytes.slice(0, clear);
    const aad = concat(bytes.subarray(clear, start), shown, metadata);
    let slot = this.#keyring.resolve(header.kid);
    if (slot instanceof Promise) {
      bytes = bytes.slice();
      slot = await slot;
    }
    if (!slot) throw this.#unknown(header);
    requireFresh(slot, header.ctr);
    const frame = await slot.key.open(header.ctr, aad, bytes.subarray(start));
    if (!frame) throw failed(slot, header.ctr, "the tag is wrong");
    this.#commit(slot, header);
    return clear === 0 ? frame : concat(shown, frame);
  }

  #parse(bytes: Bytes, clear: number): Header {
    const header = parseHeader(bytes.subarray(clear));
    if (bytes.length < clear + header.size + this.suite.Nt) {
      throw new FrameRejected("syntax", "the frame is shorter than its header and tag");
    }
    return header;
  }

  #unknown({ kid, ctr }: Header): FrameRejected {
    this.#strangers.note(kid, ctr);
    return new FrameRejected("keyID", "no key for this KID", kid);
  }

  #commit(slot: Slot, header: Header): void {
    if (!this.#keyring.holds(slot)) throw this.#unknown(header);
    requireFresh(slot, header.ctr);
    slot.window.mark(header.ctr);
    slot.opened++;
    this.#keyring.confirm(slot);
  }

  #requireSuite(suite: Suite): void {
    if (suite !== this.suite) throw new MisuseError("the key is of another suite");
  }
}

function requireSize(ciphertext: Uint8Array): void {
  if (ciphertext.length <= MAX_FRAME + MAX_OVERHEAD) return;
  throw new FrameRejected("syntax", "a frame has 16 MiB at most");
}

function requireFresh(slot: Slot, ctr: bigint): void {
  if (slot.isClosed) throw failed(slot, ctr, "too many forgeries: this key is closed");
  if (slot.window.accepts(ctr)) return;
  slot.replayed++;
  slot.refused.follow(ctr);
  throw new FrameRejected("replay", "opened before, or too old", slot.key.kid);
}

function failed(slot: Slot, ctr: bigint, words: string): FrameRejected {
  slot.failures++;
  slot.refused.follow(ctr);
  return new FrameRejected("authentication", words, slot.key.kid);
}
