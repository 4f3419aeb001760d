/**
 * The cipher suites of RFC 9605 4.5 (1-5) and draft-barnes-sframe-iana-256 (6-8).
 *
 * Sizes are in bytes and named as in the RFC. Nh: hash output. Nka: AES key of the CTR + HMAC suites
 * (0 for GCM). Nk: sframe_key. Nn: nonce. Nt: tag.
 */

import { MisuseError } from "./errors.js";

export interface Suite {
  readonly id: number;
  readonly name: string;
  readonly hash: "SHA-256" | "SHA-512";
  readonly Nh: number;
  readonly Nka: number;
  readonly Nk: number;
  readonly Nn: number;
  readonly Nt: number;
}

function suite(id: number, name: string, Nh: 32 | 64, Nka: number, Nk: number, Nt: number): Suite {
  const hash = Nh === 32 ? "SHA-256" : "SHA-512";
  return Object.freeze({ id, name, hash, Nh, Nka, Nk, Nn: 12, Nt } as const);
}

export const SUITES: readonly Suite[] = Object.freeze([
  suite(1, "AES_128_CTR_HMAC_SHA256_80", 32, 16, 48, 10),
  suite(2, "AES_128_CTR_HMAC_SHA256_64", 32, 16, 48, 8),
  suite(3, "AES_128_CTR_HMAC_SHA256_32", 32, 16, 48, 4),
  suite(4, "AES_128_GCM_SHA256_128", 32, 0, 16, 16),
  suite(5, "AES_256_GCM_SHA512_128", 64, 0, 32, 16),
  suite(6, "AES_256_CTR_HMAC_SHA512_80", 64, 32, 96, 10),
  suite(7, "AES_256_CTR_HMAC_SHA512_64", 64, 32, 96, 8),
  suite(8, "AES_256_CTR_HMAC_SHA512_32", 64, 32, 96, 4),
]);

export function suiteOf(id: number): Suite {
  const found = SUITES.find((row) => row.id === id);
  if (!found) throw new MisuseError("no such cipher suite; the suites are 1 to 8");
  return found;
}

/** RFC 9605 7.5: a 4-byte tag is forged once in 2^32 tries, so such suites are opt-in. */
export function hasShortTag(row: Suite): boolean {
  return row.Nt === 4;
}
