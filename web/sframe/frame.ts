/**
 * What Sender and Receiver share: the shape of a frame on the wire, and its limits.
 *
 *     clear | header | ciphertext | tag        AAD = header || clear || metadata
 *
 * `clear` bytes are those that a codec or SFU must read; they are authenticated, not encrypted.
 */

import { EMPTY } from "./bytes.js";
import { MisuseError } from "./errors.js";
import { hasShortTag, type Suite } from "./suites.js";

export const MAX_FRAME = 16 << 20;

export interface FrameOptions {
  /** Authenticated, not sent. */
  readonly metadata?: Uint8Array;
  /** How many leading bytes stay clear. */
  readonly clear?: number;
}

export function splitOptions(options: FrameOptions): { metadata: Uint8Array; clear: number } {
  const { metadata = EMPTY, clear = 0 } = options;
  if (!Number.isInteger(clear) || clear < 0) throw new MisuseError("clear is a number of bytes");
  return { metadata, clear };
}

export function requireAllowed(suite: Suite, allowShortTags: boolean): void {
  if (hasShortTag(suite) && !allowShortTags) {
    throw new MisuseError(
      `${suite.name} has 4-byte tags: one forgery succeeds in 2^32 tries (RFC 9605 7.5); pass allowShortTags if that is meant`,
    );
  }
}
