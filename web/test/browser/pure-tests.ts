/**
 * The tests of all that is pure, in a browser's worker: the same files that Node runs.
 * With `planted` there are three more, which fail.
 */

import fc from "fast-check";
import "../bounds.test.js";
import "../counters.test.js";
import "../envelope.test.js";
import "../epoch.test.js";
import "../fuzz.test.js";
import "../key-flow.test.js";
import "../ratchet.test.js";
import "../receiver.test.js";
import "../trouble.test.js";
import "../vectors.test.js";
import "../worker.test.js";
import "../worker-fuzz.test.js";
import assert from "./shim/assert.js";
import { run, test } from "./shim/test.js";

self.onmessage = async ({ data: { planted } }: MessageEvent<{ planted: boolean }>) => {
  if (planted) {
    test("planted: one", () => assert.deepEqual(Uint8Array.of(1), Uint8Array.of(2)));
    test("planted: two", () => assert.rejects(Promise.resolve(1)));
    test("planted: three", () => fc.assert(fc.property(fc.nat(), (n) => n < 100)));
  }
  postMessage(await run());
};

// A message that came before this line would have been lost in Firefox.
postMessage("ready");
