/**
 * Telling a page in words why nothing of a track goes through.
 *
 * Three faults say nothing by themselves. A transform that is set too late is ignored without an error:
 * the decoder is fed ciphertext, or media that nobody authenticated. The browser counts what reaches a
 * receiver, and the worker what it was given; the first without the second is the fault. A worker that was
 * ended answers no more. And frames that do not open are dropped; the worker knows why.
 */

import type { TroubleKind } from "../key-source.js";
import type { FrameCounts } from "../messages.js";
import type { Report } from "./flows.js";
import type { FrameWorker } from "./frame-worker.js";

/** Frames that may be on their way to the worker when both counts are read. */
const ENOUGH = 20;

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

/** What can be wrong with a track: of the worker's troubles, and what only the page can see. */
export type Fault = TroubleKind | "not running" | "no answer";

/** `fault` is null when what was told last is over. */
export type Tell = (words: string, fault: Fault | null) => void;

export interface WatchOptions {
  /** Milliseconds between two looks. */
  readonly every?: number;
  /** Milliseconds after which a worker that does not answer is said to have ended. */
  readonly patience?: number;
}

interface Verdict {
  readonly fault: Fault;
  readonly words: string;
}

/**
 * Calls `tell` when the fault of the transform named `id` changes: it does not run, its worker is gone, or
 * nothing goes through it. Answers a function that ends the watch; frames.close() ends it, too.
 */
export function watch(
  end: RTCRtpReceiver | RTCRtpSender,
  id: string,
  frames: FrameWorker,
  tell: Tell,
  { every = 1_000, patience = 10_000 }: WatchOptions = {},
): () => void {
  const passage = new Passage();
  const name = JSON.stringify(id);
  let [over, said]: [boolean, Fault | null] = [false, null];
  let asked: Promise<Report> | undefined;

  const look = async (): Promise<Verdict | null> => {
    const received = framesOf(await end.getStats());
    // A worker that is gone is asked once: the question stays, should it answer after all.
    asked ??= frames.report();
    const report = await within(patience, asked);
    if (!report) return { fault: "no answer", words: noAnswer(name) };
    asked = undefined;
    const counts = report.transforms[id];
    if (passage.bypassed(received, counts ? seenBy(counts) : 0)) {
      return { fault: "not running", words: notRunning(name) };
    }
    const trouble = report.troubles[id];
    return trouble ? { fault: trouble.trouble, words: trouble.words } : null;
  };

  const lookOn = async () => {
    while (!over) {
      const verdict = await look();
      const fault = verdict?.fault ?? null;
      if (!over && fault !== said) {
        said = fault;
        tell(verdict?.words ?? `nothing is wrong with ${name} any more`, fault);
      }
      await new Promise((then) => setTimeout(then, every));
    }
  };

  lookOn().catch((error: unknown) => {
    // Closing is what the page wanted; anything else must not end the watch without a word.
    if (!over && !frames.closed) throw error;
  });
  return () => {
    over = true;
  };
}

function notRunning(name: string): string {
  return (
    `the transform of ${name} does not run: frames reach the decoder without it; ` +
    "attach it in the task that creates the receiver"
  );
}

function noAnswer(name: string): string {
  return (
    `the frame worker of ${name} does not answer: it was ended or has crashed, or the machine is very ` +
    "busy; nothing is sealed or opened by it"
  );
}

async function within<T>(ms: number, answer: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
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

/** Video: frames, since packets may be padding. Audio: packets, each of which is a frame. Of a sender: none. */
function framesOf(stats: RTCStatsReport): number {
  let frames = 0;
  stats.forEach((row: Inbound) => {
    if (row.type !== "inbound-rtp") return;
    const pictures = row.framesReceived ?? row.framesDecoded;
    frames += (row.kind === "video" ? pictures : row.packetsReceived) ?? 0;
  });
  return frames;
}
