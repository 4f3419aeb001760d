/** Single bits and Exp-Golomb codes, as slice headers are written: ITU-T H.264 7.2 and 9.1. */

import type { Bytes } from "../sframe/bytes.js";

/** The code ue(v) of a value, as a string of 0 and 1. */
export function ue(value: number): string {
  const code = (value + 1).toString(2);
  return "0".repeat(code.length - 1) + code;
}

/**
 * The bits as bytes; the last byte is filled up with ones, because zeros could begin a start code
 * together with the bytes that follow.
 */
export function packed(bits: string): Bytes {
  const octets = bits.match(/.{1,8}/g) ?? [];
  return Uint8Array.from(octets, (octet) => Number.parseInt(octet.padEnd(8, "1"), 2));
}

/** Reads bits from the front of some bytes. */
export class BitReader {
  readonly #bits: string;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  }

  /** Passes over a bit; false at the end. */
  bit(): boolean {
    return this.#position++ < this.#bits.length;
  }

  /** The value of an Exp-Golomb code, rounded where it exceeds 2^53; null where none ends. */
  ue(): number | null {
    const one = this.#bits.indexOf("1", this.#position);
    const end = 2 * one - this.#position + 1;
    if (one < 0 || end > this.#bits.length) return null;
    this.#position = end;
    return Number.parseInt(this.#bits.slice(one, end), 2) - 1;
  }

  /** How many bytes have been begun. */
  get bytesRead(): number {
    return Math.ceil(this.#position / 8);
  }
}
