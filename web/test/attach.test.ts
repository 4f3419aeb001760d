/** Attaching through a FrameWorker: one name for each end, and nothing past the worker. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransformOptions } from "../messages.js";
import { FrameWorker } from "../page/frame-worker.js";
import { MemoryCounterPort } from "../sframe/index.js";

/** A sender or receiver, for which Node has no name, and whether its track was stopped. */
class End {
  transform: unknown = null;
  stopped = 0;
  readonly track = { stop: () => this.stopped++ };
}

function page(closing: { after(done: () => void): void }) {
  const ports: MessagePort[] = [];
  const worker = {
    addEventListener: () => {},
    postMessage: (_: object, sent: MessagePort[]) => ports.push(...sent),
    terminate: () => {},
  };
  const frames = new FrameWorker(worker as unknown as Worker, {
    counters: new MemoryCounterPort(),
  });
  closing.after(() => {
    frames.close();
    for (const port of ports) port.close();
  });
  const attach = (end: End, more: Partial<TransformOptions> = {}) => {
    const options = { id: "one", operation: "open", sender: "bob", ...more } as const;
    return frames.attach(end as unknown as RTCRtpReceiver, options, "script");
  };
  return { attach };
}

test("an end without a transform is stopped when none can be attached", (t) => {
  Object.assign(globalThis, { RTCRtpScriptTransform: class {} });
  const { attach } = page(t);
  const [one, twin, other] = [new End(), new End(), new End()];
  assert.equal(attach(one), true);
  assert.equal(attach(one), false);
  assert.throws(() => attach(twin), /an id of its own/);
  assert.deepEqual([one.stopped, twin.stopped, twin.transform], [0, 1, null]);
  // Its transform is there, and goes on.
  assert.throws(() => attach(one, { sender: "carol" }), /an id of its own/);
  assert.equal(one.stopped, 0);
  Object.defineProperty(other, "transform", {
    set() {
      throw new TypeError("taken");
    },
  });
  assert.throws(() => attach(other, { id: "other" }), /taken/);
  assert.equal(other.stopped, 1);
});
