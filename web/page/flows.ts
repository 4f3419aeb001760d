/** What a worker's counts mean, report by report: the state of each key, and the trouble of each transform. */

import type { Trouble } from "../key-source.js";
import type { FrameCounts, FromWorker } from "../messages.js";
import { type KeyFlow, KeyFlowMonitor, type ReceiverStats } from "../sframe/key-flow.js";
import { troubleIn, troubleOut } from "./trouble.js";

/** What has become of frames, and why nothing goes through where nothing does. */
export interface Report {
  readonly transforms: Readonly<Record<string, FrameCounts>>;
  /** Of transforms through which nothing goes. */
  readonly troubles: Readonly<Record<string, Trouble>>;
  /** Of each sender whose frames are opened, by KID; under null what is not SFrame. */
  readonly flows: ReadonlyMap<string, ReadonlyMap<bigint | null, KeyFlow>>;
}

export class Flows {
  readonly #monitors = new Map<string, { monitor: KeyFlowMonitor; refused: number }>();
  #troubles: Readonly<Record<string, Trouble>> = {};

  /** `now`: seconds of a clock that does not jump. */
  judge(counted: Extract<FromWorker, { kind: "counts" }>, now: number): Report {
    const flows = new Map<string, ReadonlyMap<bigint | null, KeyFlow>>();
    for (const [sender, stats] of counted.receivers) {
      flows.set(sender, this.#monitorOf(sender, stats).poll(now, stats));
    }
    const troubles: Record<string, Trouble> = {};
    for (const [id, refused] of Object.entries(counted.refused)) {
      const theirs = flows.get(refused.sender) ?? new Map();
      const trouble =
        refused.operation === "seal"
          ? troubleOut(id, refused)
          : troubleIn(id, refused, theirs, this.#troubles[id]);
      if (trouble) troubles[id] = trouble;
    }
    this.#troubles = troubles;
    return { transforms: counted.transforms, troubles, flows };
  }

  /** A Receiver that had no key makes way for one of the first key's suite, which counts from 0. */
  #monitorOf(sender: string, { malformed, unknown }: ReceiverStats): KeyFlowMonitor {
    const before = this.#monitors.get(sender);
    const refused = malformed + unknown;
    const monitor = before && refused >= before.refused ? before.monitor : new KeyFlowMonitor();
    this.#monitors.set(sender, { monitor, refused });
    return monitor;
  }
}
