/** Time per frame in the worker against LiveKit's worker (npm livekit-client), as a ratio. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { judged } from "../../bench/run.js";
import { BAR, isWithin, lineOf, mean } from "../../bench/table.js";

test(`a frame takes at most ${BAR} of its time in LiveKit's worker, middle and p99`, async (t) => {
  const lines = await judged();
  for (const { words } of lines) t.diagnostic(words);
  t.diagnostic(`together: ${mean(lines, "middle").toFixed(2)}, ${mean(lines, "tail").toFixed(2)}`);
  assert.equal(lines.length, 6);
  const beyond = lines.filter((line) => !isWithin(line)).map(({ words }) => words);
  assert.deepEqual(beyond, []);
});

test("a worker that is held up in each frame is beyond the bar in every row", async () => {
  const lines = await judged(0.8, 1);
  const unseen = lines.filter(({ middle }) => !(middle > BAR)).map(({ words }) => words);
  assert.equal(lines.length, 6);
  assert.deepEqual(unseen, []);
});

/** 4,000 frames of 20 to 30 us; one in fifty, at random, is held up by other processes. */
function busy(seed: number): number[] {
  let state = seed;
  const next = () => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state / 0x7fff_ffff;
  };
  return Array.from({ length: 4_000 }, () => (next() < 0.02 ? 2 * next() : 0.02 + 0.01 * next()));
}

test("what holds up one frame of twenty is beyond the bar, and a busy machine alone is not", () => {
  const [ours, theirs] = [busy(1), busy(2)];
  const late = ours.map((time, n) => (n % 20 === 0 ? time + 0.075 : time));
  const [now, then] = [ours, late].map((ours) => lineOf({ name: "row", ours, theirs }));
  assert.ok(now && isWithin(now), now?.words);
  assert.ok(then && then.tail > 2 && then.middle < BAR, then?.words);
});

test("a row without figures is not within the bar", () => {
  assert.ok(!isWithin(lineOf({ name: "none", ours: [], theirs: [] })));
});
