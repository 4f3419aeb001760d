/** What the codecs of this folder have in common. */

import type { Bytes, Parts } from "../sframe/bytes.js";
import { FrameRejected } from "../sframe/errors.js";

/** How one codec's ciphertexts are dressed. */
export interface Codec {
  /**
   * How the ciphertext of a frame is made its wire frame. It takes any bytes for a frame: what it
   * cannot read, it does not show. What is shown is read at once, so that the frame need not last.
   */
  wrapper(frame: Uint8Array): (ciphertext: Parts) => Bytes;
  /** The ciphertext of a wire frame of one byte or more; throws FrameRejected("syntax"). */
  unwrap(wire: Uint8Array): Uint8Array;
}

/** Nothing in a wire frame can hold a ciphertext; the words say why. */
export function noCarrier(words: string): FrameRejected {
  return new FrameRejected("syntax", words);
}

/** The one ciphertext of a wire frame. */
export function only(carriers: readonly Uint8Array[], name: string): Uint8Array {
  const [carrier, ...others] = carriers;
  if (!carrier) {
    throw noCarrier(`no ${name} that could carry a ciphertext; is this media in the clear?`);
  }
  if (others.length > 0) throw noCarrier(`${name} more than once: several frames were joined`);
  return carrier;
}
