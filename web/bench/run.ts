/** The frame worker and LiveKit's in Chromium, frame by frame in turns. */

import { launch, opened, until } from "../test/browser/browsers.js";
import { serve } from "../test/browser/server.js";
import type { Timing } from "./table.js";

type Answer = { timings: Timing[] } | { error: string };

declare global {
  interface Window {
    timed?: Answer;
  }
}

/** `slower`: ours is held up by that many of their medians, for a test of the gate. */
export async function timings(rounds: number, slower = 0): Promise<Timing[]> {
  const [server, browser] = [await serve(), await launch("chromium")];
  try {
    const page = await opened(browser, server, "/");
    await page.evaluate(
      (asked) => {
        const worker = new Worker("/build/browser/frames.js", { type: "module" });
        worker.onerror = ({ message }) => {
          window.timed = { error: message || "the worker did not start" };
        };
        worker.onmessage = ({ data }) => {
          if (data === "ready") worker.postMessage(asked);
          else if (data.timings || data.error) window.timed = data;
        };
      },
      { rounds, slower },
    );
    const answer = await until(() => page.evaluate(() => window.timed));
    if ("error" in answer) throw new Error(answer.error);
    return answer.timings;
  } finally {
    await browser.close();
    await server.close();
  }
}
