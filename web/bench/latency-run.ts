/**
 * Latencies of a call in Chromium, both ends in one page; reported, no bar.
 *
 *     node build/bench/latency-run.js [tones]
 */

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

function line(name: string, figures: readonly number[], toMs: number): string {
  const sorted = figures.map((figure) => figure * toMs).sort((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN).toFixed(2);
  return `${name}: median ${at(0.5)} ms, p99 ${at(0.99)} ms, of ${sorted.length}\n`;
}

const tones = Number(process.argv[2] ?? TONES);
const { sealed, plain, frames } = await measured(tones);
const all = [
  line("mouth to ear, sealed", sealed, 1_000),
  line("mouth to ear, plain", plain, 1_000),
  line("in the sealing transform", frames.seal, 1),
  line("in the opening transform", frames.open, 1),
  line("transform in to transform out", frames.all, 1),
];
process.stdout.write(all.join(""));
if (sealed.length === 0 || plain.length === 0 || frames.all.length === 0) process.exitCode = 1;
