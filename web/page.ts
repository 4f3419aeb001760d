/**
 * The page's side of the frame worker: whether a browser can, and attaching transforms.
 *
 * Rule: attach() proves nothing. A transform that was set too late never runs and says no error; until
 * the worker has told `running` for its id, real media must not be sent.
 */

import type { ToWorker, TransformOptions } from "./messages.js";
import { supported } from "./supported.js";

export type * from "./messages.js";
export { type Scope, type Support, supported } from "./supported.js";

interface WithStreams {
  createEncodedStreams(): { readable: ReadableStream; writable: WritableStream };
}

/**
 * Sends the frames of a sender or receiver through the worker. Call it in the task that created the
 * sender or receiver: later, Chromium does not run the transform and does not say so.
 */
export function attach(
  end: RTCRtpSender | RTCRtpReceiver,
  worker: Worker,
  options: TransformOptions,
): void {
  const { transform, words } = supported();
  if (transform === "script") {
    end.transform = new RTCRtpScriptTransform(worker, options);
  } else if (transform === "streams") {
    const { readable, writable } = (end as unknown as WithStreams).createEncodedStreams();
    const message: ToWorker = { kind: "streams", options, readable, writable };
    worker.postMessage(message, [readable, writable]);
  } else {
    throw new Error(words);
  }
}
