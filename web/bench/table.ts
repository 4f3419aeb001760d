/**
 * What is made of timings, and the rule by which a row passes.
 *
 * A page's clock ticks every 5 us, a fifth of a short frame, so what is called the middle of a block is
 * the mean of its middle half, and its tail is its 99th percentile. Whoever else uses the machine can
 * only add time, and a block takes a few milliseconds, so some run undisturbed; code that is slow is
 * slow in every block. A side is therefore judged by its best quarter of all blocks, the mean of them
 * because of the clock. That quarter shows what delays two frames of a hundred, and may miss what
 * delays one. The 99th percentile of all frames is told as well, and judges nothing: on a machine with
 * neighbours it is mostly theirs.
 */

/** Milliseconds of each frame of a row. */
export interface Timing {
  readonly name: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** A frame's way through a transform, in milliseconds of one clock. */
export interface Passage {
  readonly id: string;
  readonly operation: "seal" | "open";
  readonly ctr: bigint;
  readonly entered: number;
  readonly left: number;
}

/** Of one side, in milliseconds. */
export interface Summary {
  readonly middle: number;
  readonly tail: number;
  readonly p99: number;
}

export interface Line {
  readonly name: string;
  readonly ours: Summary;
  readonly theirs: Summary;
  /** Ours by theirs. */
  readonly middle: number;
  readonly tail: number;
  readonly words: string;
}

/** Ours is to take at most this much of what LiveKit's worker takes, in each row. */
export const BAR = 1.1;
export const BLOCK = 100;

export function lineOf({ name, ours, theirs }: Timing): Line {
  const [a, b] = [summary(ours), summary(theirs)];
  const [middle, tail] = [a.middle / b.middle, a.tail / b.tail];
  const us = (ms: number) => `${(1_000 * ms).toFixed(1)} us`;
  const words =
    `${name}: middle ${us(a.middle)} against ${us(b.middle)} (${middle.toFixed(2)}), ` +
    `tail ${us(a.tail)} against ${us(b.tail)} (${tail.toFixed(2)}); ` +
    `p99 of all frames ${us(a.p99)} against ${us(b.p99)} (${(a.p99 / b.p99).toFixed(2)})`;
  return { name, ours: a, theirs: b, middle, tail, words };
}

/** NaN, as of a row that was not measured, is within no bar. */
export function isWithin({ middle, tail }: Line): boolean {
  return middle <= BAR && tail <= BAR;
}

/** The geometric mean of all rows. */
export function mean(lines: readonly Line[], what: "middle" | "tail"): number {
  const logarithms = lines.map((line) => Math.log(line[what]));
  return Math.exp(logarithms.reduce((sum, part) => sum + part, 0) / lines.length);
}

function summary(times: readonly number[]): Summary {
  const blocks = Array.from({ length: Math.floor(times.length / BLOCK) }, (_, i) =>
    ascending(times.slice(i * BLOCK, (i + 1) * BLOCK)),
  );
  const middles = blocks.map((block) => average(block.slice(BLOCK >> 2, BLOCK - (BLOCK >> 2))));
  const tails = blocks.map(percentile99);
  const p99 = percentile99(ascending(times));
  return { middle: bestQuarter(middles), tail: bestQuarter(tails), p99 };
}

function percentile99(sorted: readonly number[]): number {
  return sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Number.NaN;
}

function bestQuarter(figures: readonly number[]): number {
  return average(ascending(figures).slice(0, Math.ceil(figures.length / 4)));
}

function average(figures: readonly number[]): number {
  return figures.reduce((sum, figure) => sum + figure, 0) / figures.length;
}

function ascending(figures: readonly number[]): number[] {
  return [...figures].sort((a, b) => a - b);
}
