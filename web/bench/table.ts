/**
 * What is made of timings.
 *
 * A page's clock ticks every 5 us, a fifth of a short frame, so what is called the middle is the mean
 * of the middle half and not a median. A busy machine holds up some frames of either side; the tail is
 * therefore the best of the 99th percentiles of all blocks.
 */

/** Milliseconds of each frame of a row. */
export interface Timing {
  readonly name: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

export interface Line {
  readonly name: string;
  /** Ours by theirs. */
  readonly middle: number;
  readonly tail: number;
  readonly words: string;
}

/** Ours is to take at most this much of what LiveKit's worker takes. */
export const BAR = 1.1;
/**
 * What fails a run. A machine that is busy with other things moves one row by a tenth and a tail by
 * half, in either direction, so a row has room, and tails are judged together.
 */
const GATES = { row: BAR / 0.75, middles: 1.2, tails: BAR / 0.75 };

const BLOCK = 200;

export function lineOf({ name, ours, theirs }: Timing): Line {
  const [a, b] = [summary(ours), summary(theirs)];
  const [middle, tail] = [a.middle / b.middle, a.tail / b.tail];
  const us = (ms: number) => `${(1_000 * ms).toFixed(0)} us`;
  const words =
    `${name}: middle ${us(a.middle)} against ${us(b.middle)} (${middle.toFixed(2)}), ` +
    `p99 ${us(a.tail)} against ${us(b.tail)} (${tail.toFixed(2)})`;
  return { name, middle, tail, words };
}

/** What is beyond its gate, in words; NaN is. */
export function failures(lines: readonly Line[]): string[] {
  const slow = lines.filter(({ middle }) => !(middle <= GATES.row)).map(({ words }) => words);
  const [middles, tails] = [mean(lines, "middle"), mean(lines, "tail")];
  if (!(middles <= GATES.middles)) slow.push(`all middles together: ${middles.toFixed(2)}`);
  if (!(tails <= GATES.tails)) slow.push(`all tails together: ${tails.toFixed(2)}`);
  return slow;
}

/** The geometric mean of all rows. */
export function mean(lines: readonly Line[], what: "middle" | "tail"): number {
  const logarithms = lines.map((line) => Math.log(line[what]));
  return Math.exp(logarithms.reduce((sum, part) => sum + part, 0) / lines.length);
}

function summary(times: readonly number[]): { middle: number; tail: number } {
  const sorted = ascending(times);
  const half = sorted.slice(sorted.length >> 2, sorted.length - (sorted.length >> 2));
  const middle = half.reduce((sum, time) => sum + time, 0) / half.length;
  const blocks = Array.from({ length: Math.floor(times.length / BLOCK) }, (_, i) =>
    ascending(times.slice(i * BLOCK, (i + 1) * BLOCK)),
  );
  const tails = blocks.map((block) => block[Math.ceil(0.99 * BLOCK) - 1] ?? Number.NaN);
  return { middle, tail: Math.min(...tails) };
}

function ascending(times: readonly number[]): number[] {
  return [...times].sort((a, b) => a - b);
}
