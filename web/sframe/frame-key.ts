/**
 * The key of one KID: its AEAD, its salt, and its name for a store of counters.
 */

import { type Aead, aeadOf } from "./aead.js";
import type { BaseKey } from "./base-key.js";
import { type Bytes, bigEndian, fromBigEndian, toHex } from "./bytes.js";
import { MisuseError } from "./errors.js";
import { LAST_NUMBER } from "./header.js";
import { deriveKey, deriveName, deriveSalt } from "./key-schedule.js";
import type { Suite } from "./suites.js";

export class FrameKey {
  readonly #aead: Aead;
  readonly #salt: Bytes;
  /** The 8 bytes of it that a counter changes. */
  readonly #saltEnd: bigint;

  private constructor(
    readonly suite: Suite,
    readonly kid: bigint,
    /** The same wherever the same base_key, suite and KID are; says nothing about the key. */
    readonly name: string,
    aead: Aead,
    salt: Bytes,
  ) {
    this.#aead = aead;
    this.#salt = salt;
    this.#saltEnd = fromBigEndian(salt.subarray(-8));
  }

  static async derive(base: BaseKey, kid: bigint): Promise<FrameKey> {
    if (kid < 0n || kid > LAST_NUMBER) throw new MisuseError("a KID is 0 to 2^64-1");
    const { suite, hkdf } = base;
    const sframeKey = await deriveKey(suite, hkdf, kid);
    try {
      const aead = await aeadOf(suite, sframeKey);
      const salt = await deriveSalt(suite, hkdf, kid);
      return new FrameKey(suite, kid, toHex(await deriveName(suite, hkdf, kid)), aead, salt);
    } finally {
      sframeKey.fill(0);
    }
  }

  seal(ctr: bigint, aad: Bytes, frame: Bytes): Promise<Bytes> {
    return this.#aead.seal(this.#nonce(ctr), aad, frame);
  }

  open(ctr: bigint, aad: Bytes, sealed: Bytes): Promise<Bytes | null> {
    return this.#aead.open(this.#nonce(ctr), aad, sealed);
  }

  /** sframe_salt XOR CTR: RFC 9605 4.4.3. */
  #nonce(ctr: bigint): Bytes {
    const nonce = this.#salt.slice();
    nonce.set(bigEndian(this.#saltEnd ^ ctr, 8), nonce.length - 8);
    return nonce;
  }
}
