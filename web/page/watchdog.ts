/**
 * Finding a receiver whose transform does not run.
 *
 * A transform that is set too late is ignored without an error: the decoder is fed ciphertext, or media
 * that nobody authenticated. The browser counts what reaches a receiver, and the worker what it was
 * given; the first without the second is the fault.
 */

import type { FrameCounts } from "../messages.js";
import type { FrameWorker } from "./frame-worker.js";

/** Frames that may be on their way to the worker when both counts are read. */
const ENOUGH = 20;
const EVERY_MS = 1_000;

/** The verdict from counts alone. */
export class Passage {
  #seen = 0;
  #receivedThen: number | undefined;

  /** Totals so far. True: frames come, and the worker is given none of them. */
  bypassed(received: number, seen: number): boolean {
    if (this.#receivedThen === undefined || seen > this.#seen || received < this.#receivedThen) {
      this.#seen = seen;
      this.#receivedThen = received;
      return false;
    }
    return received - this.#receivedThen >= ENOUGH;
  }
}

/**
 * Calls `notRunning` once, in words, when frames reach this receiver and not the transform named `id`.
 * Answers a function that ends the watch.
 */
export function watch(
  receiver: RTCRtpReceiver,
  id: string,
  frames: FrameWorker,
  notRunning: (words: string) => void,
  every = EVERY_MS,
): () => void {
  const passage = new Passage();
  let over = false;
  const look = async () => {
    const received = framesOf(await receiver.getStats());
    const counts = (await frames.counts())[id];
    if (over) return;
    if (passage.bypassed(received, counts ? seenBy(counts) : 0)) {
      over = true;
      notRunning(
        `the transform of ${JSON.stringify(id)} does not run: frames reach the decoder without it; ` +
          "attach it in the task that creates the receiver",
      );
    } else {
      setTimeout(look, every);
    }
  };
  look();
  return () => {
    over = true;
  };
}

/** All that the worker was given, whatever became of it. */
export function seenBy(counts: FrameCounts): number {
  return Object.values(counts).reduce((sum: number, count: number) => sum + count, 0);
}

/** What is read of a row of statistics. */
interface Inbound {
  readonly type: string;
  readonly kind?: string;
  readonly packetsReceived?: number;
  readonly framesReceived?: number;
  readonly framesDecoded?: number;
}

/** Video: frames, since packets may be padding. Audio: packets, each of which is a frame. */
function framesOf(stats: RTCStatsReport): number {
  let frames = 0;
  stats.forEach((row: Inbound) => {
    if (row.type !== "inbound-rtp") return;
    const pictures = row.framesReceived ?? row.framesDecoded;
    frames += (row.kind === "video" ? pictures : row.packetsReceived) ?? 0;
  });
  return frames;
}
