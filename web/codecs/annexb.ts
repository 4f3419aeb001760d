/**
 * Byte streams of NAL units: ITU-T H.264 7.4.1 and Annex B, the same in H.265.
 *
 * A NAL unit is found by the start code 00 00 01 before it, so the code must not occur inside: an
 * encoder inserts 03 after two zero bytes wherever a byte 00..03 follows them (emulation prevention).
 */

import type { Bytes } from "../sframe/bytes.js";

/** Four bytes: some packetizers know no other start code. */
export const START: Bytes = Uint8Array.of(0, 0, 0, 1);
const PREVENTION = 3;

/** The NAL units of a stream without zeros at their ends; none if it is no such stream. */
export function units(stream: Uint8Array): Uint8Array[] {
  const starts = startsOf(stream);
  const before = stream.subarray(0, starts[0] ?? 0);
  if (starts.length === 0 || before.some((byte) => byte !== 0)) return [];
  const unit = (start: number, i: number) => trimmed(stream.subarray(start + 3, starts[i + 1]));
  return starts.map(unit).filter(({ length }) => length > 0);
}

/** Where 00 00 01 begins. */
function startsOf(stream: Uint8Array): number[] {
  const starts: number[] = [];
  for (let one = stream.indexOf(1, 2); one >= 0; one = stream.indexOf(1, one + 1)) {
    if (stream[one - 1] === 0 && stream[one - 2] === 0) starts.push(one - 2);
  }
  return starts;
}

function trimmed(unit: Uint8Array): Uint8Array {
  let end = unit.length;
  while (end > 0 && unit[end - 1] === 0) end--;
  return unit.subarray(0, end);
}

/** With emulation prevention. */
export function escapeNal(data: Uint8Array): Bytes {
  const escaped = new Uint8Array(data.length + (data.length >> 1));
  let [size, zeros] = [0, 0];
  for (const byte of data) {
    if (zeros >= 2 && byte <= PREVENTION) {
      escaped[size++] = PREVENTION;
      zeros = 0;
    }
    escaped[size++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return escaped.slice(0, size);
}

/** Without emulation prevention. */
export function unescapeNal(data: Uint8Array): Bytes {
  const plain = new Uint8Array(data.length);
  let [size, zeros] = [0, 0];
  for (const byte of data) {
    const inserted = zeros >= 2 && byte === PREVENTION;
    if (!inserted) plain[size++] = byte;
    zeros = byte === 0 ? zeros + 1 : 0;
  }
  return plain.slice(0, size);
}
