/** What several tests need: vectors, keys, and a frame's way through a Sender. */

import { readFileSync } from "node:fs";
import type { Bytes } from "../sframe/bytes.js";
import { BaseKey, FrameKey, MemoryCounterPort, Receiver, Sender, SUITES } from "../sframe/index.js";

export const SUITE_IDS = SUITES.map((suite) => suite.id);
export const SHORT = { allowShortTags: true };

/** A browser repeats what Node has tried at length. */
const IN_NODE = typeof process !== "undefined";
export const RUNS = { numRuns: IN_NODE ? 1_000 : 100 };
/** Whether random input brought up all that it should; a short run may not have. */
export function requireSeen(seen: ReadonlySet<string>, ...names: string[]): void {
  const missing = names.filter((name) => !seen.has(name));
  if (IN_NODE && missing.length > 0) throw new Error(`never seen: ${missing.join(", ")}`);
}
export const FORGED = IN_NODE ? 100_000 : 2_000;

export function vectors<T>(name: string): T {
  return JSON.parse(
    readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), "utf8"),
  ) as T;
}

export function hex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function random(size: number): Bytes {
  const bytes = new Uint8Array(size);
  if (size > 0) crypto.getRandomValues(bytes);
  return bytes;
}

export async function freshKey(suite = 4, kid = 7n): Promise<FrameKey> {
  return FrameKey.derive(await BaseKey.from(suite, random(16)), kid);
}

export interface Pair {
  readonly sender: Sender;
  readonly receiver: Receiver;
}

/** A Sender and a Receiver under one fresh key. */
export async function freshPair(suite = 4, kid = 7n, replayWindow = 1024): Promise<Pair> {
  const key = await freshKey(suite, kid);
  const sender = await Sender.create(key, new MemoryCounterPort(), SHORT);
  const receiver = new Receiver(suite, { ...SHORT, replayWindow });
  receiver.addKey(key);
  return { sender, receiver };
}

/** A Sender whose next counter is `ctr`. */
export function senderAt(key: FrameKey, ctr: bigint): Promise<Sender> {
  const port = { lease: async () => ({ first: ctr, end: ctr + 1n }) };
  return Sender.create(key, port, SHORT);
}
