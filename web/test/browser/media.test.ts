/** Frames of real browsers: counters over one capture, placeholders, and transforms that do not run. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { Page } from "puppeteer-core";
import type { FrameCounts } from "../../messages.js";
import type { Fault } from "../../page.js";
import { launch, NAMES, type Name, opened } from "./browsers.js";
import { type Server, serve } from "./server.js";

/** What media-page.ts puts into the window. */
interface Scenarios {
  lives(label: string, key: string, lease: boolean): Promise<void>;
  withheld(): Promise<{ placeholder: number; live: boolean; real: number }>;
  call(
    via: "script" | "streams",
  ): Promise<Record<"before" | "keyless" | "opened", FrameCounts> & { told: Told[] } & Said>;
  clear(kind: "audio" | "video"): Promise<Told & { passed?: number }>;
  ended(): Promise<Told & { heard: number; afterwards: number }>;
  keyPort(): Promise<{ opened: FrameCounts } & Said>;
  readme(): Promise<{ events: number; errors: string[] }>;
  late(isSet: boolean): Promise<{ counted: number; words: string | null }>;
  mimeTypes(): Promise<{ codec: string; sender: string | null; receiver: string | null }[]>;
}
interface Told {
  readonly words: string;
  readonly fault: Fault | null;
}
interface Said {
  readonly said: string[];
}

declare const scenarios: Scenarios;

async function load(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await import(new URL("/build/browser/media-page.js", location.href).href);
  });
}

/** A browser with one page that has the scenarios. */
async function inBrowser<T>(
  name: Name,
  use: (page: Page, server: Server) => Promise<T>,
  path = "/",
): Promise<T> {
  const [server, browser] = [await serve(), await launch(name)];
  try {
    const page = await opened(browser, server, path);
    await load(page);
    return await use(page, server);
  } finally {
    await browser.close();
    await server.close();
  }
}

interface Capture {
  /** Frames by label, a tab and a worker: "tab-1:worker-1". */
  readonly frames: Map<string, number>;
  readonly clear: number;
  /** Counters a second time, by the way in which something started again. */
  readonly again: Readonly<Record<Way, number>>;
  readonly duplicates: number;
}

const WAYS = ["another worker", "another tab", "a reload", "inside a worker"] as const;
type Way = (typeof WAYS)[number];

function counted(lines: readonly string[]): Capture {
  const [frames, nonces] = [new Map<string, number>(), new Map<string, string[]>()];
  let clear = 0;
  for (const line of lines) {
    const [label = "", ...said] = line.split(" ");
    frames.set(label, (frames.get(label) ?? 0) + 1);
    if (said[0] === "clear") clear++;
    else nonces.set(label, [...(nonces.get(label) ?? []), said.join(" ")]);
  }
  const of = (label: string) => new Set(nonces.get(label));
  const both = (a: string, b: string) => [...of(a)].filter((nonce) => of(b).has(nonce)).length;
  const labels = [...nonces.keys()];
  const again = {
    "another worker": both("tab-1:worker-1", "tab-1:worker-2"),
    "another tab": both("tab-1:worker-1", "tab-2:worker-1"),
    "a reload": both("tab-1:worker-1", "reloaded:worker-1"),
    "inside a worker": labels.reduce((sum, label) => {
      return sum + (nonces.get(label) as string[]).length - of(label).size;
    }, 0),
  };
  const distinct = new Set([...nonces.values()].flat()).size;
  return { frames, clear, again, duplicates: lines.length - clear - distinct };
}

/** Two tabs at once, each with two workers, a key set twice and a renegotiation; then a reload. */
async function captureOf(page: Page, server: Server, lease: boolean): Promise<Capture> {
  const key = randomUUID();
  server.captured.length = 0;
  const play = (tab: Page, label: string) =>
    tab.evaluate((...args) => scenarios.lives(...args), label, key, lease);
  const other = await opened(page.browser(), server, "/");
  await load(other);
  await Promise.all([play(page, "tab-1"), play(other, "tab-2")]);
  await other.close();
  await page.reload();
  await load(page);
  await play(page, "reloaded");
  return counted(server.captured);
}

function tell(t: TestContext, what: string, { frames, again, duplicates, clear }: Capture): void {
  const all = [...frames.values()].reduce((a, b) => a + b, 0);
  const ways = WAYS.map((way) => `${way} ${again[way]}`).join(", ");
  t.diagnostic(
    `${what}: ${all} frames, ${duplicates} counters a second time (${ways}), ${clear} clear`,
  );
}

for (const name of NAMES) {
  test(`${name}: one capture of five ways to start again has no counter twice`, async (t) => {
    const [leased, forgetful] = await inBrowser(name, async (page, server) => [
      await captureOf(page, server, true),
      await captureOf(page, server, false),
    ]);
    tell(t, "with leases", leased);
    tell(t, "without", forgetful);
    for (const { frames, clear } of [leased, forgetful]) {
      assert.equal(frames.size, 6);
      for (const [label, count] of frames) assert.ok(count >= 40, `${label}: ${count}`);
      assert.equal(clear, 0);
    }
    assert.equal(leased.duplicates, 0);
    // Without a store each way to start again is seen to repeat counters, but for those that are no new
    // start: a renegotiation makes no Sender, and a worker in which a key is set twice knows how far
    // the key was used, whatever it is told (counters.test.ts: a lease that goes back is refused).
    for (const way of WAYS) {
      const isStart = way !== "inside a worker";
      assert.equal(forgetful.again[way] > 0, isStart, `${way}: ${forgetful.again[way]}`);
    }
  });

  test(`${name}: without its transform a track stays silent`, async (t) => {
    const { placeholder, live, real } = await inBrowser(name, (page) =>
      page.evaluate(() => scenarios.withheld()),
    );
    t.diagnostic(`energy of the placeholder ${placeholder}, of the microphone ${real}`);
    assert.equal(live, false);
    assert.ok(placeholder < real / 1_000 && real > 0);
  });

  const ways = name === "chromium" ? (["script", "streams"] as const) : (["script"] as const);
  for (const via of ways) {
    test(`${name}: a call by ${via} is heard when there are keys, and not before`, async () => {
      const { before, keyless, opened, told, said } = await inBrowser(name, (page) =>
        page.evaluate((via) => scenarios.call(via), via),
      );
      assert.equal(before.passed, 0);
      assert.equal(keyless.passed, 0);
      assert.equal(opened.authentication, 0);
      assert.deepEqual(said, []);
      assert.deepEqual(
        told.map(({ fault }) => fault),
        ["missing key", null],
      );
      assert.match(told[0]?.words as string, /KID 0x12c, and its key has not come/);
    });
  }

  test(`${name}: a page is told of media in the clear, and none of it is let through`, async (t) => {
    const rows = await inBrowser(name, async (page) => [
      await page.evaluate(() => scenarios.clear("audio")),
      await page.evaluate(() => scenarios.clear("video")),
    ]);
    for (const { fault, words, passed } of rows) {
      t.diagnostic(words);
      assert.equal(fault, "not SFrame");
      assert.match(words, /media in the clear/);
      assert.equal(passed, 0);
    }
  });

  test(`${name}: a page is told when its worker is gone, and nothing is heard any more`, async (t) => {
    const { fault, words, heard, afterwards } = await inBrowser(name, (page) =>
      page.evaluate(() => scenarios.ended()),
    );
    t.diagnostic(`energy with the worker ${heard}, of 50 packets without ${afterwards}`);
    assert.equal(fault, "no answer");
    assert.match(words, /the frame worker of "in" does not answer: it was ended or has crashed/);
    assert.ok(heard > 0 && afterwards < heard / 1_000);
  });

  test(`${name}: a worker that holds a key port gives the keys, and the page none`, async () => {
    const { opened, said } = await inBrowser(name, (page) =>
      page.evaluate(() => scenarios.keyPort()),
    );
    assert.equal(opened.authentication, 0);
    assert.deepEqual(said, []);
  });

  test(`${name}: the example of the README runs, also when a track is taken up again`, async () => {
    const { events, errors } = await inBrowser(
      name,
      (page) => page.evaluate(() => scenarios.readme()),
      "/example/",
    );
    assert.equal(events, 2);
    assert.deepEqual(errors, []);
  });

  test(`${name}: both ends say the codec of a frame, and the right one`, async (t) => {
    const rows = await inBrowser(name, (page) => page.evaluate(() => scenarios.mimeTypes()));
    assert.equal(rows.length, 2);
    for (const { codec, sender, receiver } of rows) {
      t.diagnostic(`${codec}: the sender's frames say ${sender}, the receiver's ${receiver}`);
      for (const said of [sender, receiver]) assert.equal(said?.toLowerCase(), codec.toLowerCase());
    }
  });

  test(`${name}: the watchdog names a transform that does not run`, async (t) => {
    const [never, late] = await inBrowser(name, async (page) => [
      await page.evaluate(() => scenarios.late(false)),
      await page.evaluate(() => scenarios.late(true)),
    ]);
    assert.equal(never.counted, 0);
    assert.match(never.words as string, /"late" does not run/);
    // Firefox runs a transform that comes late; Chromium does not, and says nothing.
    t.diagnostic(late.words ?? `${late.counted} frames went through one that was set late`);
    if (late.counted === 0) assert.match(late.words as string, /"late" does not run/);
    else assert.equal(late.words, null);
  });
}
