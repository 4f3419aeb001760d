/**
 * The frame worker: seals and opens the frames of all transforms of a page.
 *
 * Theory of operation. A transform comes as an `rtctransform` event (RTCRtpScriptTransform) or, where a
 * browser has createEncodedStreams only, as a message with its two streams. Keys come over a port of
 * their own, so that another worker can hold the other end, and never leave. Counters are leased over
 * a third port. What the worker tells is: that it is ready, that a transform runs, how many frames
 * were dropped under which name and why, and trouble in words that hold no secret.
 */

import type {
  FrameCounts,
  FromWorker,
  KeyEvent,
  Refused,
  ToWorker,
  TransformOptions,
} from "./messages.js";
import { MisuseError } from "./sframe/errors.js";
import type { ReceiverStats } from "./sframe/index.js";
import { LeasePort } from "./worker/lease-port.js";
import { Parties } from "./worker/parties.js";
import { FrameTransform } from "./worker/transform.js";

declare const self: DedicatedWorkerGlobalScope;

const counters = new LeasePort();
const parties = new Parties(counters);
const transforms = new Map<string, FrameTransform>();

function tell(message: FromWorker): void {
  self.postMessage(message);
}

/** Only words of our own are passed on: nobody knows what is in another error. */
function trouble(error: unknown): void {
  const words = error instanceof MisuseError ? error.message : "the frame worker failed";
  tell({ kind: "trouble", words });
}

function run(options: TransformOptions, readable: ReadableStream, writable: WritableStream): void {
  const { id } = options;
  const frames = new FrameTransform(options, parties, tell);
  transforms.set(id, frames);
  const stream = new TransformStream({ transform: (frame, sink) => frames.transform(frame, sink) });
  const ended = () => {
    if (transforms.get(id) === frames) transforms.delete(id);
  };
  // A track that ends closes or breaks its streams; neither is trouble.
  readable.pipeThrough(stream).pipeTo(writable).then(ended, ended);
}

function report(): void {
  const [rows, dropped]: [Record<string, FrameCounts>, Record<string, Refused>] = [{}, {}];
  const receivers = new Map<string, ReceiverStats>();
  for (const [id, { counts, refused, options }] of transforms) {
    const { sender, operation } = options;
    rows[id] = { ...counts };
    if (refused) dropped[id] = refused;
    if (operation === "open") receivers.set(sender, parties.receiverOf(sender).stats);
  }
  tell({ kind: "counts", transforms: rows, refused: dropped, receivers });
}

self.addEventListener("rtctransform", (event) => {
  const { transformer } = event as RTCTransformEvent;
  run(transformer.options as TransformOptions, transformer.readable, transformer.writable);
});

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.kind) {
    case "keys":
      data.port.onmessage = (event: MessageEvent<KeyEvent>) => {
        parties.handle(event.data).catch(trouble);
      };
      break;
    case "counters":
      counters.connect(data.port);
      break;
    case "streams":
      run(data.options, data.readable, data.writable);
      break;
    case "report":
      report();
      break;
    default:
      trouble(new MisuseError("a message of an unknown kind"));
  }
};

tell({ kind: "ready" });
