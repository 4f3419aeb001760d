/**
 * Byte strings: joining, comparing, and the big-endian integers of RFC 9605.
 *
 * Rule: what comes from a caller is read or copied before the first `await`, so that nobody can change
 * it between the check of a tag and the decryption.
 */

/** Bytes that nobody else can write: never a view of shared memory. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes in pieces, so that they are copied once when they are joined with others. */
export type Parts = readonly Uint8Array[];

export const EMPTY: Bytes = new Uint8Array(0);

/** The same bytes; a copy where another thread could write them. */
export function unshared(bytes: Uint8Array): Bytes {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Bytes) : new Uint8Array(bytes);
}

export function concat(...parts: Parts): Bytes {
  let size = 0;
  for (const part of parts) size += part.length;
  const joined = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Equality in a time that depends on the length only, so that a tag cannot be guessed by parts. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

/** Where an integer becomes bytes, and the reverse; it holds nothing between two calls. */
const word = new DataView(new ArrayBuffer(8));
const wordBytes = new Uint8Array(word.buffer);

/** An integer from 0 to 2^64-1, big-endian, in exactly `size` bytes, 8 at most. */
export function bigEndian(value: bigint, size: number): Bytes {
  word.setBigUint64(0, value);
  return wordBytes.slice(8 - size);
}

/** How many bytes an integer from 0 to 2^64-1 has without leading zeros. */
export function sizeOf(value: bigint): number {
  word.setBigUint64(0, value);
  let size = 8;
  while (size > 0 && wordBytes[8 - size] === 0) size--;
  return size;
}

/** The integer of 8 bytes at most. */
export function fromBigEndian(bytes: Uint8Array): bigint {
  wordBytes.fill(0);
  wordBytes.set(bytes, 8 - bytes.length);
  return word.getBigUint64(0);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
