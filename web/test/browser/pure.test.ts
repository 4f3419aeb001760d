/** web/sframe, web/codecs and web/worker in real browsers, on all vectors. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { launch, NAMES, type Name, opened, until } from "./browsers.js";
import { serve } from "./server.js";
import type { Outcome } from "./shim/test.js";

declare global {
  interface Window {
    outcomes?: Outcome[];
  }
}

async function outcomesIn(name: Name, planted: boolean): Promise<Outcome[]> {
  const [server, browser] = [await serve(), await launch(name)];
  try {
    const page = await opened(browser, server, "/");
    await page.evaluate((planted) => {
      const worker = new Worker("/build/browser/pure-tests.js", { type: "module" });
      worker.onerror = ({ message }) => {
        window.outcomes = [{ name: "the worker starts", error: message || "it did not" }];
      };
      worker.onmessage = ({ data }) => {
        if (data === "ready") worker.postMessage({ planted });
        else window.outcomes = data;
      };
    }, planted);
    return await until(() => page.evaluate(() => window.outcomes));
  } finally {
    await browser.close();
    await server.close();
  }
}

for (const name of NAMES) {
  test(`the tests of the pure part pass in ${name}, and those that must fail do`, async (t) => {
    const outcomes = await outcomesIn(name, true);
    const failed = outcomes.filter(({ error }) => error !== null);
    t.diagnostic(`${name}: ${outcomes.length} tests`);
    const planted = failed.filter(({ name }) => name.startsWith("planted: "));
    const words = failed.map(({ name, error }) => `${name}: ${error}`).join("\n");
    assert.equal(failed.length, planted.length, words);
    assert.equal(planted.length, 3);
    assert.ok(outcomes.length > 120, `only ${outcomes.length} tests ran`);
  });
}
