/** A key, and what is remembered of the frames under it. */

import type { Epoch } from "./epoch.js";
import type { FrameKey } from "./frame-key.js";
import type { KeyStats } from "./key-flow.js";
import type { Chain } from "./ratchet.js";
import { hasShortTag } from "./suites.js";
import { Trail } from "./trail.js";
import type { ReplayWindow } from "./window.js";

/** Failures after which a key with a 4-byte tag closes itself: they leave a forger 2^-20. */
const SHORT_TAG_FAILURES = 1 << 12;

/** What a derived key was derived from. */
export interface Origin {
  readonly chain?: Chain;
  readonly step?: number;
  readonly epoch?: Epoch;
}

export class Slot {
  /** Frames. */
  opened = 0;
  replayed = 0;
  /** Tags that were wrong. */
  failures = 0;
  readonly refused = new Trail();

  constructor(
    readonly key: FrameKey,
    readonly window: ReplayWindow,
    readonly origin: Origin = {},
  ) {}

  get isClosed(): boolean {
    return hasShortTag(this.key.suite) && this.failures >= SHORT_TAG_FAILURES;
  }

  get stats(): KeyStats {
    const { opened, failures: failed, replayed, isClosed: closed } = this;
    const derived = Boolean(this.origin.chain || this.origin.epoch);
    const provisional = derived && opened === 0;
    const { advanced } = this.refused;
    return { kid: this.key.kid, opened, failed, replayed, advanced, provisional, closed };
  }
}
