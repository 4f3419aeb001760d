/**
 * Media frames through a Sender or Receiver in the envelope of their codec, fail closed.
 *
 * Rules:
 *   1. A frame is enqueued only when it was sealed or opened, or has no bytes. Whatever else happens,
 *      it is dropped and counted; no branch enqueues bytes as they came.
 *   2. No error leaves a transform: it would end the track without a word.
 *   3. A transform says once that it runs, when its first frame has been sealed or opened.
 */

import { Envelope } from "../codecs/envelope.js";
import type { FrameCounts, FromWorker, Refused, TransformOptions } from "../messages.js";
import type { Bytes } from "../sframe/bytes.js";
import { FrameRejected } from "../sframe/errors.js";
import type { Parties } from "./parties.js";

/** What RTCEncodedAudioFrame and RTCEncodedVideoFrame have in common. */
export interface MediaFrame {
  data: ArrayBuffer;
  /** Of video frames only: "key", "delta" or "empty". */
  readonly type?: string;
  getMetadata?(): { readonly mimeType?: string | undefined };
}

export interface Sink {
  enqueue(frame: MediaFrame): void;
}

/** Seconds of a clock that never jumps. */
function now(): number {
  return performance.now() / 1_000;
}

/** A stream changes its codec now and then, never this often. */
const MOST_CODECS = 16;

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
  readonly #envelopes = new Map<string, Envelope>();
  /** Of the frames since the last one that went through. */
  #refused: Pick<Refused, "frames" | "why" | "kid"> | undefined;
  #since = 0;

  constructor(
    readonly options: TransformOptions,
    private readonly parties: Parties,
    private readonly tell: (message: FromWorker) => void,
  ) {}

  /** For a TransformStream. */
  async transform(frame: MediaFrame, sink: Sink): Promise<void> {
    try {
      const bytes = new Uint8Array(frame.data);
      if (bytes.length > 0) frame.data = (await this.#through(frame, bytes)).buffer;
      sink.enqueue(frame);
      if (bytes.length === 0) this.counts.empty++;
      else this.#passed();
    } catch (error) {
      this.#drop(error);
    }
  }

  /** Undefined: the last frame went through. */
  get refused(): Refused | undefined {
    const { sender, operation } = this.options;
    const seconds = now() - this.#since;
    return this.#refused && { ...this.#refused, sender, operation, seconds };
  }

  #passed(): void {
    this.#refused = undefined;
    if (++this.counts.passed === 1) this.tell({ kind: "running", id: this.options.id });
  }

  #drop(error: unknown): void {
    const rejected = error instanceof FrameRejected ? error : undefined;
    const why = rejected?.reason ?? "failed";
    this.counts[why]++;
    if (!this.#refused) this.#since = now();
    this.#refused = { frames: (this.#refused?.frames ?? 0) + 1, why, kid: rejected?.kid };
  }

  #through(frame: MediaFrame, bytes: Uint8Array): Promise<Bytes> {
    const { operation, sender } = this.options;
    const envelope = this.#envelopeOf(frame);
    if (operation === "seal") {
      const sealing = this.parties.senderOf(sender);
      if (!sealing) throw new FrameRejected("keyID", "no key to seal with");
      return envelope.seal((plain) => sealing.protectInParts(plain), bytes);
    }
    const opening = this.parties.receiverOf(sender);
    return envelope.open((ciphertext) => opening.unprotect(ciphertext), bytes);
  }

  /** What the browser says of this frame comes first, since a stream may change its codec. */
  #envelopeOf(frame: MediaFrame): Envelope {
    const kind = "type" in frame ? "video/unknown" : "audio/unknown";
    const codec = frame.getMetadata?.().mimeType || this.options.codec || kind;
    const known = this.#envelopes.get(codec);
    return known ?? this.#remember(codec, new Envelope(codec));
  }

  #remember(codec: string, envelope: Envelope): Envelope {
    const { id } = this.options;
    if (envelope.warning) this.tell({ kind: "warning", id, words: envelope.warning });
    if (this.#envelopes.size >= MOST_CODECS) this.#envelopes.clear();
    this.#envelopes.set(codec, envelope);
    return envelope;
  }
}
