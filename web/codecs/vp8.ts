/**
 * VP8 (RFC 6386 9.1): 1 byte in the clear before the ciphertext, or 10 on a key frame.
 *
 *     bit 0       0: a key frame         kept
 *     bits 1-3    version                kept
 *     bit 4       the frame is shown     kept
 *     bits 5-23   size of the first partition: set to zero; on delta frames only byte 0 is sent
 *     key frames: 9D 01 2A, then width and height with their scales, 2 bytes each    kept
 */

import { type Bytes, concat } from "../sframe/bytes.js";
import { type Codec, noCarrier } from "./carrier.js";

const KEY_SIZE = 10; // bytes in the clear
const DELTA_SIZE = 1;
const START_CODE = [0x9d, 0x01, 0x2a];
/** What is shown of bytes that are no VP8: an interframe that claims nothing. */
const UNREADABLE: Bytes = Uint8Array.of(1);

function shown(frame: Uint8Array): Bytes {
  const tag = (frame[0] as number) & 0x1f;
  if (tag & 1) return Uint8Array.of(tag);
  const readable = frame.length >= KEY_SIZE && START_CODE.every((byte, i) => frame[3 + i] === byte);
  return readable ? concat(Uint8Array.of(tag, 0, 0), frame.subarray(3, KEY_SIZE)) : UNREADABLE;
}

export const VP8: Codec = {
  wrapper(frame) {
    const clear = shown(frame);
    return (ciphertext) => concat(clear, ...ciphertext);
  },
  unwrap(wire) {
    const size = (wire[0] as number) & 1 ? DELTA_SIZE : KEY_SIZE;
    if (wire.length <= size) throw noCarrier("this VP8 frame ends in its own header");
    return wire.subarray(size);
  },
};
