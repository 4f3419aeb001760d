/**
 * The key schedule of RFC 9605 4.4.2, the ratchet of 5.1, and the per-SSRC keys of
 * draft-ietf-avtcore-rtp-sframe, as HKDF of WebCrypto.
 *
 * Every function takes a base_key that has been imported and cannot be exported. What is derived is
 * wiped by whoever asked for it, as soon as it has been imported in turn.
 */

import { type Bytes, bigEndian, concat, EMPTY } from "./bytes.js";
import type { Suite } from "./suites.js";

// Both labels end in a space: RFC 9605 4.4.2.
const KEY_LABEL = "SFrame 1.0 Secret key ";
const SALT_LABEL = "SFrame 1.0 Secret salt ";
// This one does not: RFC 9605 5.1.
const RATCHET_LABEL = "SFrame 1.0 Ratchet";
const STREAM_LABEL = "SFrame 1.0 RTP Stream";
// Ours: names a key to a store of counters, and gives nothing away.
const NAME_LABEL = "pysframe 1.0 counters ";

const BASE_LABEL = "pysframe 1.0 base_key";

const NAME_SIZE = 16;

export function importBaseKey(bytes: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits"]);
}

/** sframe_key, Nk bytes. */
export function deriveKey(suite: Suite, baseKey: CryptoKey, kid: bigint): Promise<Bytes> {
  return hkdf(suite, baseKey, EMPTY, label(KEY_LABEL, context(suite, kid)), suite.Nk);
}

/** sframe_salt, Nn bytes. */
export function deriveSalt(suite: Suite, baseKey: CryptoKey, kid: bigint): Promise<Bytes> {
  return hkdf(suite, baseKey, EMPTY, label(SALT_LABEL, context(suite, kid)), suite.Nn);
}

/** The base_key of the next ratchet step, Nh bytes. */
export function deriveRatchet(suite: Suite, baseKey: CryptoKey): Promise<Bytes> {
  return hkdf(suite, baseKey, EMPTY, label(RATCHET_LABEL), suite.Nh);
}

/** The base_key of one RTP stream, Nh bytes. */
export function deriveStream(suite: Suite, baseKey: CryptoKey, ssrc: number): Promise<Bytes> {
  return hkdf(suite, baseKey, bigEndian(BigInt(ssrc), 4), label(STREAM_LABEL), suite.Nh);
}

/** A public name for (base_key, suite, KID). */
export function deriveName(suite: Suite, baseKey: CryptoKey, kid: bigint): Promise<Bytes> {
  return hkdf(suite, baseKey, EMPTY, label(NAME_LABEL, context(suite, kid)), NAME_SIZE);
}

/** A public name for a base_key, whatever suite and KID it is used with. */
export async function deriveBaseName(baseKey: CryptoKey): Promise<Bytes> {
  const parameters = { name: "HKDF", hash: "SHA-256", salt: EMPTY, info: label(BASE_LABEL) };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, baseKey, 8 * NAME_SIZE));
}

function context(suite: Suite, kid: bigint): Bytes {
  return concat(bigEndian(kid, 8), bigEndian(BigInt(suite.id), 2));
}

function label(text: string, rest: Bytes = EMPTY): Bytes {
  return concat(new TextEncoder().encode(text), rest);
}

/** HKDF-Expand(HKDF-Extract(salt, key), info, size). */
async function hkdf(
  suite: Suite,
  key: CryptoKey,
  salt: Bytes,
  info: Bytes,
  size: number,
): Promise<Bytes> {
  const parameters = { name: "HKDF", hash: suite.hash, salt, info };
  return new Uint8Array(await crypto.subtle.deriveBits(parameters, key, 8 * size));
}
