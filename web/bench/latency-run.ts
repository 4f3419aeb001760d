/**
 * Latencies of a call in Chromium, both ends in one page; reported, no bar. They say little without the
 * load of the machine, which is told with them: how many processes ran or waited, of a minute.
 *
 *     node build/bench/latency-run.js [--json]
 */

import { cpus, loadavg } from "node:os";
import { launch, opened } from "../test/browser/browsers.js";
import { serve } from "../test/browser/server.js";
import type { Latencies } from "./latency.js";

declare const latencies: (tones: number) => Promise<Latencies>;

const TONES = 30;

async function measured(tones: number): Promise<Latencies> {
  const [server, browser] = [await serve(), await launch("chromium")];
  try {
    const page = await opened(browser, server, "/");
    return await page.evaluate(async (tones) => {
      await import(new URL("/build/browser/latency.js", location.href).href);
      return latencies(tones);
    }, tones);
  } finally {
    await browser.close();
    await server.close();
  }
}

interface Row {
  readonly name: string;
  /** Milliseconds. */
  readonly median: number;
  readonly p99: number;
  readonly of: number;
}

function row(name: string, figures: readonly number[], toMs: number): Row {
  const sorted = figures.map((figure) => figure * toMs).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
  return { name, median: at(0.5), p99: at(0.99), of: sorted.length };
}

const load = () => loadavg()[0] as number;
const before = load();
const { sealed, plain, frames } = await measured(TONES);
const rows = [
  row("mouth to ear, sealed", sealed, 1_000),
  row("mouth to ear, plain", plain, 1_000),
  row("in the sealing transform", frames.seal, 1),
  row("in the opening transform", frames.open, 1),
  row("transform in to transform out", frames.all, 1),
];
if (process.argv.includes("--json")) {
  process.stdout.write(JSON.stringify({ rows, load: [before, load()], cores: cpus().length }));
} else {
  for (const { name, median, p99, of } of rows) {
    const [middle, tail] = [median.toFixed(2), p99.toFixed(2)];
    process.stdout.write(`${name}: median ${middle} ms, p99 ${tail} ms, of ${of}\n`);
  }
  const loads = `${before.toFixed(1)} before, ${load().toFixed(1)} after`;
  process.stdout.write(`load of the machine: ${loads}, on ${cpus().length} cores\n`);
}
if (sealed.length === 0 || plain.length === 0 || frames.all.length === 0) process.exitCode = 1;
