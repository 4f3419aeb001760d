/**
 * Attaching a transform to a sender or receiver.
 *
 * Rule: attaching proves nothing. A transform that was set too late never runs and says no error; until
 * the worker has told `running` for its id, real media must not be sent: see publish().
 */

import type { ToWorker, TransformOptions } from "../messages.js";
import { type Support, supported } from "../supported.js";

interface WithStreams {
  createEncodedStreams(): { readable: ReadableStream; writable: WritableStream };
}

/**
 * Sends the frames of a sender or receiver through the worker. Call it in the task that created the
 * sender or receiver: later, Chromium does not run the transform and does not say so.
 *
 * `via`: "streams" asks for createEncodedStreams also where there is RTCRtpScriptTransform. Chromium
 * then wants `new RTCPeerConnection({ encodedInsertableStreams: true })`.
 */
export function attach(
  end: RTCRtpSender | RTCRtpReceiver,
  worker: Worker,
  options: TransformOptions,
  via: Support["transform"] = supported().transform,
): void {
  if (via === "script") {
    end.transform = new RTCRtpScriptTransform(worker, options);
  } else if (via === "streams") {
    const { readable, writable } = (end as unknown as WithStreams).createEncodedStreams();
    const message: ToWorker = { kind: "streams", options, readable, writable };
    worker.postMessage(message, [readable, writable]);
  } else {
    throw new Error(supported().words);
  }
}
