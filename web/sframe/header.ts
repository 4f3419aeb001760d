/**
 * The SFrame header, RFC 9605 4.3:
 *
 *     X K K K Y C C C | KID, if X: KKK + 1 bytes | CTR, if Y: CCC + 1 bytes
 *
 * A KID or CTR below 8 lies in its three bits of the config byte. "The KID and CTR fields MUST be
 * encoded in the minimum number of octets" is held on both sides: a frame has one encoding.
 */

import { type Bytes, bigEndian, concat, EMPTY, fromBigEndian, sizeOf } from "./bytes.js";
import { FrameRejected, MisuseError } from "./errors.js";

export const LAST_NUMBER = (1n << 64n) - 1n;

export interface Header {
  readonly kid: bigint;
  readonly ctr: bigint;
  /** How many bytes the header takes. */
  readonly size: number;
}

export function encodeHeader(kid: bigint, ctr: bigint): Bytes {
  const [kidBits, kidField] = encodeField(kid);
  const [ctrBits, ctrField] = encodeField(ctr);
  return concat(new Uint8Array([(kidBits << 4) | ctrBits]), kidField, ctrField);
}

export function parseHeader(bytes: Uint8Array): Header {
  const config = bytes[0];
  if (config === undefined) throw new FrameRejected("syntax", "an empty frame has no header");
  const kid = parseField(config >> 4, bytes, 1);
  const ctr = parseField(config & 0xf, bytes, kid.end);
  return { kid: kid.value, ctr: ctr.value, size: ctr.end };
}

/** The four bits of the config byte, and what follows it. */
function encodeField(value: bigint): [number, Bytes] {
  if (value < 0n || value > LAST_NUMBER) throw new MisuseError("KID and CTR are 0 to 2^64-1");
  if (value < 8n) return [Number(value), EMPTY];
  const size = sizeOf(value);
  return [8 | (size - 1), bigEndian(value, size)];
}

function parseField(bits: number, bytes: Uint8Array, at: number): { value: bigint; end: number } {
  if (bits < 8) return { value: BigInt(bits), end: at };
  const size = (bits & 7) + 1;
  if (bytes.length < at + size) throw new FrameRejected("syntax", "the header is cut off");
  const value = fromBigEndian(bytes.subarray(at, at + size));
  const minimal = value >= 8n && (size === 1 || bytes[at] !== 0);
  if (!minimal) {
    throw new FrameRejected("syntax", "the header is not in its shortest form");
  }
  return { value, end: at + size };
}
