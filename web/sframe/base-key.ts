/**
 * A base_key that was handed over and does not come back: it can derive, and nothing else.
 */

import { toHex } from "./bytes.js";
import { MisuseError } from "./errors.js";
import { deriveBaseName, deriveRatchet, deriveStream, importBaseKey } from "./key-schedule.js";
import { type Suite, suiteOf } from "./suites.js";

/** RFC 9605 leaves the length to the key exchange; a shorter base_key is a mistake. */
export const MIN_BASE_KEY = 16;
const LAST_SSRC = 0xffff_ffff;

export class BaseKey {
  private constructor(
    readonly suite: Suite,
    /** For key-schedule.ts; not extractable. */
    readonly hkdf: CryptoKey,
  ) {}

  /** The caller's bytes are copied, and the copy is wiped; wipe the original. */
  static async from(suite: number, bytes: Uint8Array): Promise<BaseKey> {
    if (bytes.length < MIN_BASE_KEY) throw new MisuseError("a base_key has 16 bytes or more");
    const copy = new Uint8Array(bytes);
    try {
      return new BaseKey(suiteOf(suite), await importBaseKey(copy));
    } finally {
      copy.fill(0);
    }
  }

  /** The same for the same bytes; says nothing about them. */
  async name(): Promise<string> {
    return toHex(await deriveBaseName(this.hkdf));
  }

  /** The base_key one ratchet step on: RFC 9605 5.1. */
  async ratchet(): Promise<BaseKey> {
    return BaseKey.#next(this.suite, await deriveRatchet(this.suite, this.hkdf));
  }

  /** The base_key of one RTP stream: draft-ietf-avtcore-rtp-sframe. */
  async forSsrc(ssrc: number): Promise<BaseKey> {
    if (!Number.isInteger(ssrc) || ssrc < 0 || ssrc > LAST_SSRC) {
      throw new MisuseError("an SSRC is 0 to 2^32-1");
    }
    return BaseKey.#next(this.suite, await deriveStream(this.suite, this.hkdf, ssrc));
  }

  static async #next(suite: Suite, derived: Uint8Array): Promise<BaseKey> {
    try {
      return await BaseKey.from(suite.id, derived);
    } finally {
      derived.fill(0);
    }
  }
}
