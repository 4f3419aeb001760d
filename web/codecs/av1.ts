/**
 * AV1: sequence headers in the clear, then one OBU_FRAME that holds the ciphertext.
 *
 * OBUs in the low-overhead format (AV1 specification, 5.3):
 *
 *     header      0 | type (4 bits) | has_extension | has_size | 0
 *     extension   temporal layer (3 bits) | spatial layer (2 bits) | 0 (3 bits)
 *
 * Packetizers (RTP Payload Format for AV1) drop temporal delimiters and sizes, and depacketizers put
 * sizes back, so nothing but the payload of the OBU_FRAME is taken from a wire frame.
 */

import { type Bytes, concat } from "../sframe/bytes.js";
import { type Codec, noCarrier, only } from "./carrier.js";

const SEQUENCE_HEADER = 1;
const FRAME_HEADER = 3;
const FRAME = 6;
const LONGEST_LEB128 = 8; // bytes

interface Obu {
  readonly type: number;
  /** The extension byte, if there is one. */
  readonly extension: number | undefined;
  readonly payload: Uint8Array;
}

/** What is before the payload of a unit with its size. */
function beginning(type: number, extension: number | undefined, payload: number): Bytes {
  const size = leb128(payload);
  return extension === undefined
    ? Uint8Array.of((type << 3) | 2, ...size)
    : Uint8Array.of((type << 3) | 6, extension, ...size);
}

/** The shortest code of a size (AV1 specification, 4.10.5). */
function leb128(value: number): number[] {
  return value > 0x7f ? [(value & 0x7f) | 0x80, ...leb128(value >>> 7)] : [value];
}

/** All units of a temporal unit; null when it is none, or cut short. */
function obus(data: Uint8Array): Obu[] | null {
  const found: Obu[] = [];
  for (let at = 0; at < data.length; ) {
    const head = data[at++] as number;
    const extension = head & 0x04 ? data[at++] : undefined;
    const read = head & 0x02 ? readLeb128(data, at) : { value: data.length - at, end: at };
    // A missing extension byte leaves a size that is missing, or below zero.
    if (head & 0x80 || !read || read.value < 0 || read.value > data.length - read.end) return null;
    at = read.end + read.value;
    found.push({ type: head >> 3, extension, payload: data.subarray(read.end, at) });
  }
  return found;
}

function readLeb128(data: Uint8Array, start: number): { value: number; end: number } | null {
  let value = 0;
  for (let i = 0; i < LONGEST_LEB128; i++) {
    const byte = data[start + i];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, end: start + i + 1 };
  }
  return null;
}

export const AV1: Codec = {
  wrapper(frame) {
    const found = obus(frame) ?? [];
    const shown = found.filter(({ type }) => type === SEQUENCE_HEADER);
    const first = found.find(({ type }) => type === FRAME || type === FRAME_HEADER);
    const clear = concat(
      ...shown.flatMap(({ type, extension, payload }) => [
        beginning(type, extension, payload.length),
        payload,
      ]),
    );
    const extension = first?.extension;
    return (ciphertext) => {
      const size = ciphertext.reduce((sum, part) => sum + part.length, 0);
      return concat(clear, beginning(FRAME, extension, size), ...ciphertext);
    };
  },
  unwrap(wire) {
    const found = obus(wire);
    if (!found) throw noCarrier("this is no AV1 temporal unit, or it was cut short");
    const frames = found.filter(({ type }) => type === FRAME);
    return only(
      frames.map(({ payload }) => payload),
      "an OBU_FRAME",
    );
  },
};
