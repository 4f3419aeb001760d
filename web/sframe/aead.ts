/**
 * The two AEADs of RFC 9605 on WebCrypto: AES-GCM (suites 4, 5), and AES-CTR with a truncated HMAC
 * (4.5.1; suites 1-3, 6-8).
 *
 * Rules:
 *   1. `open` answers null unless the tag verified, and never decrypts before that.
 *   2. `open` reads its arguments when it is called and never later, so that nobody can change a frame
 *      between the check of its tag and its decryption. WebCrypto copies what it is given.
 */

import { type Bytes, bigEndian, concat, equalInConstantTime } from "./bytes.js";
import type { Suite } from "./suites.js";

export interface Aead {
  /** Ciphertext and tag. */
  seal(nonce: Bytes, aad: Bytes, plaintext: Bytes): Promise<Bytes>;
  /** The plaintext; null where the tag is wrong. `ciphertext` has at least Nt bytes. */
  open(nonce: Bytes, aad: Bytes, ciphertext: Bytes): Promise<Bytes | null>;
}

/** The AEAD of a suite under an sframe_key, which the caller wipes afterwards. */
export function aeadOf(suite: Suite, sframeKey: Bytes): Promise<Aead> {
  return suite.Nka === 0 ? Gcm.of(suite, sframeKey) : CtrHmac.of(suite, sframeKey);
}

class Gcm implements Aead {
  private constructor(
    private readonly key: CryptoKey,
    private readonly tagLength: number,
  ) {}

  static async of(suite: Suite, sframeKey: Bytes): Promise<Gcm> {
    const uses: KeyUsage[] = ["encrypt", "decrypt"];
    const key = await crypto.subtle.importKey("raw", sframeKey, "AES-GCM", false, uses);
    return new Gcm(key, 8 * suite.Nt);
  }

  async seal(iv: Bytes, additionalData: Bytes, plaintext: Bytes): Promise<Bytes> {
    const { key, tagLength } = this;
    const parameters = { name: "AES-GCM", iv, additionalData, tagLength };
    return new Uint8Array(await crypto.subtle.encrypt(parameters, key, plaintext));
  }

  async open(iv: Bytes, additionalData: Bytes, ciphertext: Bytes): Promise<Bytes | null> {
    const { key, tagLength } = this;
    const parameters = { name: "AES-GCM", iv, additionalData, tagLength };
    try {
      return new Uint8Array(await crypto.subtle.decrypt(parameters, key, ciphertext));
    } catch (error) {
      // The name that WebCrypto has for a wrong tag; anything else is a fault of its own.
      if (error instanceof Error && error.name === "OperationError") return null;
      throw error;
    }
  }
}

class CtrHmac implements Aead {
  private constructor(
    private readonly suite: Suite,
    private readonly encKey: CryptoKey,
    private readonly authKey: CryptoKey,
  ) {}

  static async of(suite: Suite, sframeKey: Bytes): Promise<CtrHmac> {
    const encKey = sframeKey.slice(0, suite.Nka);
    const authKey = sframeKey.slice(suite.Nka);
    const hmac = { name: "HMAC", hash: suite.hash };
    try {
      return new CtrHmac(
        suite,
        await crypto.subtle.importKey("raw", encKey, "AES-CTR", false, ["encrypt"]),
        await crypto.subtle.importKey("raw", authKey, hmac, false, ["sign"]),
      );
    } finally {
      encKey.fill(0);
      authKey.fill(0);
    }
  }

  async seal(nonce: Bytes, aad: Bytes, plaintext: Bytes): Promise<Bytes> {
    const ciphertext = await this.#crypt(nonce, plaintext);
    return concat(ciphertext, await this.#tag(nonce, aad, ciphertext));
  }

  async open(nonce: Bytes, aad: Bytes, sealed: Bytes): Promise<Bytes | null> {
    const end = sealed.length - this.suite.Nt;
    const [ciphertext, wanted] = [sealed.slice(0, end), sealed.slice(end)];
    const tag = await this.#tag(nonce, aad, ciphertext);
    return equalInConstantTime(tag, wanted) ? this.#crypt(nonce, ciphertext) : null;
  }

  /** AES-CTR from the block nonce || 00000000 on; encryption and decryption are the same. */
  async #crypt(nonce: Bytes, input: Bytes): Promise<Bytes> {
    const counter = concat(nonce, new Uint8Array(4));
    const parameters = { name: "AES-CTR", counter, length: 32 };
    return new Uint8Array(await crypto.subtle.encrypt(parameters, this.encKey, input));
  }

  async #tag(nonce: Bytes, aad: Bytes, ciphertext: Bytes): Promise<Bytes> {
    const lengths = [aad.length, ciphertext.length, this.suite.Nt];
    const prefix = concat(...lengths.map((length) => bigEndian(BigInt(length), 8)));
    const message = concat(prefix, nonce, aad, ciphertext);
    const whole = await crypto.subtle.sign("HMAC", this.authKey, message);
    return new Uint8Array(whole, 0, this.suite.Nt);
  }
}
