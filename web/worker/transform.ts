/**
 * Media frames through a Sender or Receiver, fail closed.
 *
 * Rules:
 *   1. A frame is enqueued only when it was sealed or opened. Whatever else happens, it is dropped and
 *      counted; no branch enqueues a frame as it came.
 *   2. No error leaves a transform: it would end the track without a word.
 *   3. A transform says once that it runs, when its first frame has gone through.
 */

import type { FrameCounts, TransformOptions } from "../messages.js";
import { FrameRejected } from "../sframe/errors.js";
import type { Parties } from "./parties.js";

/** What RTCEncodedAudioFrame and RTCEncodedVideoFrame have in common. */
export interface MediaFrame {
  data: ArrayBuffer;
}

export interface Sink {
  enqueue(frame: MediaFrame): void;
}

export class FrameTransform {
  readonly counts: FrameCounts = {
    authentication: 0,
    keyID: 0,
    syntax: 0,
    replay: 0,
    empty: 0,
    failed: 0,
    passed: 0,
  };

  constructor(
    private readonly options: TransformOptions,
    private readonly parties: Parties,
    private readonly running: () => void,
  ) {}

  /** For a TransformStream. */
  async transform(frame: MediaFrame, sink: Sink): Promise<void> {
    try {
      frame.data = await this.#through(new Uint8Array(frame.data));
      sink.enqueue(frame);
    } catch (error) {
      this.#count(error);
      return;
    }
    if (++this.counts.passed === 1) this.running();
  }

  async #through(bytes: Uint8Array): Promise<ArrayBuffer> {
    const { operation, sender } = this.options;
    if (operation === "seal") {
      const sealing = this.parties.senderOf(sender);
      if (!sealing) throw new FrameRejected("keyID", "no key to seal with");
      return (await sealing.protect(bytes)).buffer;
    }
    // Browsers hand over padding as frames of no bytes, which nobody sent.
    if (bytes.length === 0) throw new EmptyFrame();
    const opening = this.parties.receiverOf(sender);
    if (!opening) throw new FrameRejected("keyID", "no key to open with");
    return (await opening.unprotect(bytes)).buffer;
  }

  #count(error: unknown): void {
    if (error instanceof FrameRejected) this.counts[error.reason]++;
    else if (error instanceof EmptyFrame) this.counts.empty++;
    else this.counts.failed++;
  }
}

class EmptyFrame extends Error {}
