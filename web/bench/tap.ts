/**
 * When each frame enters and leaves the frame worker that is loaded after this module, by the counter
 * that the frame is sealed with.
 *
 * Rule: clocks are read before a counter is, so that reading it costs no frame a longer time.
 */

import { Envelope } from "../codecs/envelope.js";
import type { ToWorker, TransformOptions } from "../messages.js";
import { EMPTY } from "../sframe/bytes.js";
import { parseHeader } from "../sframe/index.js";
import type { Passage } from "./table.js";

declare const self: DedicatedWorkerGlobalScope;

type Frame = RTCEncodedAudioFrame | RTCEncodedVideoFrame;

/** Milliseconds on a clock that all workers of a page share. */
const clock = () => performance.timeOrigin + performance.now();

async function counterOf(frame: Frame): Promise<bigint | null> {
  let ctr: bigint | null = null;
  const read = async (ciphertext: Uint8Array) => {
    ctr = parseHeader(ciphertext).ctr;
    return EMPTY;
  };
  const { mimeType = "" } = frame.getMetadata() as { mimeType?: string };
  await new Envelope(mimeType).open(read, new Uint8Array(frame.data)).catch(() => {});
  return ctr;
}

function tap(note: (frame: Frame, at: number) => Promise<void>): TransformStream<Frame, Frame> {
  return new TransformStream({
    transform: async (frame, out) => {
      await note(frame, clock());
      out.enqueue(frame);
    },
  });
}

self.addEventListener("rtctransform", (event) => {
  event.stopImmediatePropagation();
  const { transformer } = event as RTCTransformEvent;
  const options = transformer.options as TransformOptions;
  const entered = new WeakMap<Frame, { at: number; ctr: bigint | null }>();
  const isOpening = options.operation === "open";
  const before = tap(async (frame, at) => {
    const ctr = isOpening ? await counterOf(frame) : null;
    entered.set(frame, { at, ctr });
  });
  const after = tap(async (frame, left) => {
    const { at = left, ctr = null } = entered.get(frame) ?? {};
    const counter = isOpening ? ctr : await counterOf(frame);
    const { id, operation } = options;
    if (counter !== null) {
      self.postMessage({ id, operation, ctr: counter, entered: at, left } satisfies Passage);
    }
  });
  after.readable.pipeTo(transformer.writable).catch(() => {});
  const readable = transformer.readable.pipeThrough(before);
  const data: ToWorker = { kind: "streams", options, readable, writable: after.writable };
  self.onmessage?.(new MessageEvent("message", { data }));
});
