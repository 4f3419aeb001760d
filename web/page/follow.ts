/** From a KeySource to a frame worker. */

import type { KeySource, Roster, Trouble } from "../key-source.js";
import type { FrameWorker } from "./frame-worker.js";

/** Hands the source's keys to the worker until the source ends; the rest goes to `tell`. */
export async function follow(
  source: KeySource,
  frames: FrameWorker,
  tell: (event: Roster | Trouble) => void = () => {},
): Promise<void> {
  for await (const event of source.events()) {
    if (event.kind === "Roster" || event.kind === "Trouble") tell(event);
    else frames.handle(event);
  }
}
