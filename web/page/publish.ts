/**
 * Publishing a track so that it is never sent before its transform is known to run.
 *
 * Rule: the real track is given to a sender only after the worker has told that it sealed a frame of
 * this sender. Until then the sender has a placeholder: black or silent, whatever becomes of it.
 */

import type { TransformOptions } from "../messages.js";
import type { FrameWorker } from "./frame-worker.js";

/**
 * A track of the same kind and size that shows black or is silent: a clone that is not enabled, which
 * nobody else holds. It needs no AudioContext, which a page without a click may not start.
 */
export function placeholder(track: MediaStreamTrack): MediaStreamTrack {
  const empty = track.clone();
  empty.enabled = false;
  return empty;
}

export interface Published {
  readonly transceiver: RTCRtpTransceiver;
  /**
   * Resolves when the real track is sent. While it is pending nothing but the placeholder goes out;
   * that it stays pending means that the transform does not run, or has no key.
   */
  readonly live: Promise<void>;
}

/**
 * Adds a transceiver that sends `track` sealed. Negotiate afterwards, as after addTransceiver; `init`
 * is that of addTransceiver.
 */
export function publish(
  connection: RTCPeerConnection,
  track: MediaStreamTrack,
  frames: FrameWorker,
  options: Omit<TransformOptions, "operation">,
  init: RTCRtpTransceiverInit = {},
): Published {
  const empty = placeholder(track);
  const transceiver = connection.addTransceiver(empty, { direction: "sendonly", ...init });
  try {
    frames.attach(transceiver.sender, { ...options, operation: "seal" });
  } catch (error) {
    transceiver.stop();
    empty.stop();
    throw error;
  }
  const live = frames.running(options.id).then(async () => {
    await transceiver.sender.replaceTrack(track);
    empty.stop();
  });
  return { transceiver, live };
}
