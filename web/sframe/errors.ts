/**
 * What can go wrong, by name.
 *
 * `authentication`, `keyID` and `syntax` are the names of W3C's SFrame transform errors. A replay has
 * no name there; it has one of its own here, because a duplicated packet must not look like a wrong
 * key. Rule: no message holds a key, a frame, or a value that could be either.
 */

export const REASONS = ["authentication", "keyID", "syntax", "replay"] as const;
export type Reason = (typeof REASONS)[number];

/** The network's fault: the frame is dropped. */
export class FrameRejected extends Error {
  override readonly name = "FrameRejected";
  constructor(
    readonly reason: Reason,
    words: string,
    /** What the header says, where there is one; nobody vouches for it. */
    readonly kid?: bigint,
  ) {
    super(words);
  }
}

/** The caller's fault: nothing was sealed, opened or changed. */
export class MisuseError extends Error {
  override readonly name: string = "MisuseError";
}

/** No counter is left, or the next one would have been used before. */
export class CounterError extends MisuseError {
  override readonly name = "CounterError";
}
