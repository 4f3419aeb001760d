/** Time per frame in the worker against LiveKit's worker (npm livekit-client), as a ratio. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { timings } from "../../bench/run.js";
import { BAR, failures, lineOf, mean } from "../../bench/table.js";

const ROUNDS = 1_600;

test(`a frame takes about as long as in LiveKit's worker; the bar is ${BAR}`, async (t) => {
  const lines = (await timings(ROUNDS)).map(lineOf);
  for (const { words } of lines) t.diagnostic(words);
  t.diagnostic(`together: ${mean(lines, "middle").toFixed(2)}, ${mean(lines, "tail").toFixed(2)}`);
  assert.equal(lines.length, 6);
  assert.deepEqual(failures(lines), []);
});

test("a worker that takes twice as long is beyond the gate in every row", async () => {
  const lines = (await timings(ROUNDS / 4, 1)).map(lineOf);
  assert.ok(failures(lines).length > lines.length, failures(lines).join("\n"));
  assert.equal(failures([]).length, 2);
});
