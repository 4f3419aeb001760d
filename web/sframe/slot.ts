/** A key, and what is remembered of the frames under it. */

import type { Epoch } from "./epoch.js";
import type { FrameKey } from "./frame-key.js";
import type { Chain } from "./ratchet.js";
import { ReplayWindow } from "./window.js";

/** What a derived key was derived from. */
export interface Origin {
  readonly chain?: Chain;
  readonly step?: number;
  readonly epoch?: Epoch;
}

export class Slot {
  readonly window: ReplayWindow;
  /** Tags that were wrong. */
  failures = 0;

  constructor(
    readonly key: FrameKey,
    replayWindow: number,
    readonly origin: Origin = {},
  ) {
    this.window = new ReplayWindow(replayWindow);
  }
}
