/**
 * What is said on the ports of the frame worker. Every key goes in; none comes out.
 *
 * The names are those of pysframe's KeySource. Whoever exchanges keys holds the other end of a *key
 * port*: the page now, a second worker later. Integers of 64 bits are bigints, keys are Uint8Array; the
 * worker wipes what it was sent, so transfer it.
 */

import type { Reason } from "./sframe/errors.js";
import type { ReceiverStats } from "./sframe/key-flow.js";

/** One key. `mine`: to seal with; else to open with. Never both: RFC 9605 4.4.1. */
export interface InstallKey {
  readonly kind: "InstallKey";
  /** Whose frames: the KID namespace that transforms name, too. */
  readonly sender: string;
  readonly suite: number;
  readonly kid: bigint;
  readonly baseKey: Uint8Array;
  readonly mine: boolean;
  /** The version of docs/envelope.md; 1 if it is left out. An unknown one is refused. */
  readonly envelope?: number;
  /** Suites 3 and 8 have 4-byte tags, forged once in 2^32 tries, and are refused without it. */
  readonly allowShortTags?: boolean;
}

/** A generation of a sender and one of its ratchet steps: RFC 9605 5.1. */
export interface InstallSenderKey {
  readonly kind: "InstallSenderKey";
  readonly sender: string;
  readonly suite: number;
  readonly generation: bigint;
  readonly step: number;
  readonly baseKey: Uint8Array;
  readonly mine: boolean;
  /** The version of docs/envelope.md; 1 if it is left out. An unknown one is refused. */
  readonly envelope?: number;
  /** Suites 3 and 8 have 4-byte tags, forged once in 2^32 tries, and are refused without it. */
  readonly allowShortTags?: boolean;
}

/** An epoch of a group: RFC 9605 5.2, E = 4. */
export interface InstallEpoch {
  readonly kind: "InstallEpoch";
  /** The group: the KID namespace that transforms name, too. */
  readonly sender: string;
  readonly epoch: bigint;
  readonly suite: number;
  readonly baseKey: Uint8Array;
  /** S: the same for the life of a group. */
  readonly senderBits: number;
  /** How many members there are. */
  readonly senders: number;
  /** The member that seals here, and is not listened to; null: nobody does. */
  readonly myIndex: number | null;
  readonly envelope?: number;
  readonly allowShortTags?: boolean;
}

/** Seal under this KID from now on. */
export interface Use {
  readonly kind: "Use";
  readonly sender: string;
  readonly kid: bigint;
}

/**
 * Forget this KID, on both sides. Of an epoch all of it goes, whichever member the KID is of; of
 * somebody's sender key the whole generation, and of one's own this step alone.
 */
export interface Drop {
  readonly kind: "Drop";
  readonly sender: string;
  readonly kid: bigint;
}

/** Events that bring a base_key. */
export type Install = InstallKey | InstallSenderKey | InstallEpoch;
export type KeyEvent = Install | Use | Drop;

/** The answer to LeaseWanted: counters first..end-1, which nobody else has been given. */
export interface LeaseGiven {
  readonly kind: "LeaseGiven";
  readonly id: number;
  readonly first: bigint;
  readonly end: bigint;
}

export interface LeaseRefused {
  readonly kind: "LeaseRefused";
  readonly id: number;
}

export interface LeaseWanted {
  readonly kind: "LeaseWanted";
  readonly id: number;
  /** Names the key and says nothing about it. */
  readonly keyName: string;
  readonly count: bigint;
}

/** To the worker itself. */
export type ToWorker =
  | { readonly kind: "keys"; readonly port: MessagePort }
  | { readonly kind: "counters"; readonly port: MessagePort }
  | { readonly kind: "report" }
  | {
      /** For browsers without RTCRtpScriptTransform: createEncodedStreams. */
      readonly kind: "streams";
      readonly options: TransformOptions;
      readonly readable: ReadableStream;
      readonly writable: WritableStream;
    };

/** What a transform is made with: new RTCRtpScriptTransform(worker, options). */
export interface TransformOptions {
  readonly id: string;
  readonly operation: "seal" | "open";
  readonly sender: string;
  /** Such as "video/VP8"; for browsers whose frames' metadata does not say it. */
  readonly codec?: string;
}

/** Frames of one transform; the first three are W3C's names. */
export interface FrameCounts {
  authentication: number;
  keyID: number;
  syntax: number;
  replay: number;
  /** DTX, and padding that a browser invents: no bytes, which pass as they are. */
  empty: number;
  /** Anything else that went wrong; the frame was dropped as well. */
  failed: number;
  passed: number;
}

/** The frames of a transform that were dropped since the last one that went through. */
export interface Refused {
  readonly sender: string;
  readonly operation: TransformOptions["operation"];
  readonly frames: number;
  /** Since the first of them came. */
  readonly seconds: number;
  /** Of the latest one. */
  readonly why: Reason | "failed";
  /** What its header says. */
  readonly kid: bigint | undefined;
}

/** From the worker itself. */
export type FromWorker =
  | { readonly kind: "ready" }
  /** The first frame went through: only now is the transform known to run. */
  | { readonly kind: "running"; readonly id: string }
  /** Of a transform whose codec has no envelope: what an SFU cannot do then. */
  | { readonly kind: "warning"; readonly id: string; readonly words: string }
  /** The answer to "report". `refused`: of transforms through which the last frame did not go. */
  | {
      readonly kind: "counts";
      readonly transforms: Readonly<Record<string, FrameCounts>>;
      readonly refused: Readonly<Record<string, Refused>>;
      /** Of each sender whose frames are opened: what a KeyFlowMonitor judges. */
      readonly receivers: ReadonlyMap<string, ReceiverStats>;
    }
  | { readonly kind: "trouble"; readonly words: string };
