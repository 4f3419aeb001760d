/**
 * Where keys come from: the names of pysframe's KeySource.
 *
 * Whoever exchanges keys hands them over through this one seam. A source may live in the page, or in a
 * worker of its own that is given a key port (FrameWorker.keyPort); then keys never touch the page.
 */

import type { FrameCounts, KeyEvent } from "./messages.js";

/** Who is in the call now. */
export interface Roster {
  readonly kind: "Roster";
  readonly revision: number;
  readonly hash: Uint8Array;
  readonly members: readonly string[];
}

/** The closed list of what can be wrong. */
export type TroubleKind =
  | "missing key"
  | "wrong key"
  | "stale key"
  | "not SFrame"
  | "cannot seal"
  | "refused"
  | "source ended";

/** Something is wrong, and media is lost until it is put right. */
export interface Trouble {
  readonly kind: "Trouble";
  readonly trouble: TroubleKind;
  /** Whose media; "" when that is not known. */
  readonly sender: string;
  /** For a person; never part of a key. */
  readonly words: string;
}

export interface KeySource {
  events(): AsyncIterable<KeyEvent | Roster | Trouble>;
  /** What became of the frames of each transform, by its id. */
  report(flows: Readonly<Record<string, FrameCounts>>): Promise<void>;
  close(): Promise<void>;
}
