/** A counter never comes twice, whoever ends, starts again, or asks at the same moment. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../sframe/bytes.js";
import { type CounterPort, Counters, type Lease, MemoryCounterPort } from "../sframe/counters.js";
import { CounterError, MisuseError, parseHeader, Sender } from "../sframe/index.js";
import { freshKey, random } from "./support.js";

const name = () => toHex(random(8));

async function take(counters: Counters, count: number): Promise<bigint[]> {
  return Promise.all(Array.from({ length: count }, () => counters.take()));
}

test("a restart, a second tab and a key set twice go on past what was leased", async () => {
  const [port, key] = [new MemoryCounterPort(), name()];
  const seen: bigint[] = [];
  for (let life = 0; life < 20; life++) {
    const [tab, other] = [await Counters.open(port, key, 8n), await Counters.open(port, key, 8n)];
    seen.push(...(await take(tab, 21)), ...(await take(other, 5)), ...(await take(tab, 3)));
  }
  assert.equal(seen.length, 20 * 29);
  assert.equal(new Set(seen).size, seen.length);
});

test("without a store the same restarts would repeat: the detector detects", async () => {
  const seen: bigint[] = [];
  for (let life = 0; life < 2; life++) {
    const forgetful = await Counters.open(new MemoryCounterPort(), `${life}${name()}`, 8n);
    seen.push(...(await take(forgetful, 5)));
  }
  assert.ok(new Set(seen).size < seen.length);
});

test("frames under way at once have counters of their own", async () => {
  const sender = await Sender.create(await freshKey(), new MemoryCounterPort(), { leaseSize: 4n });
  const frames = await Promise.all(Array.from({ length: 500 }, () => sender.protect(random(3))));
  const ctrs = frames.map((frame) => parseHeader(frame).ctr);
  assert.equal(new Set(ctrs).size, 500);
});

test("the next lease is asked for before the last counter is gone", async () => {
  let leases = 0;
  const port = new MemoryCounterPort();
  const counting: CounterPort = {
    lease: (key, count) => {
      leases++;
      return port.lease(key, count);
    },
  };
  const counters = await Counters.open(counting, name(), 10n);
  await take(counters, 4);
  assert.equal(leases, 1);
  await take(counters, 1);
  assert.equal(leases, 2);
  await take(counters, 4);
  assert.equal(leases, 2);
});

test("a lease that goes back, also to another Counters, is refused", async () => {
  const key = name();
  const same = { lease: async () => ({ first: 100n, end: 200n }) };
  const counters = await Counters.open(same, key, 100n);
  assert.equal((await take(counters, 100)).at(-1), 199n);
  await assert.rejects(counters.take(), CounterError);
  await assert.rejects(Counters.open(same, key, 100n), CounterError);
});

for (const [words, lease] of Object.entries({
  empty: { first: 5n, end: 5n },
  backwards: { first: 5n, end: 4n },
  negative: { first: -1n, end: 4n },
  "of numbers": { first: 0, end: 9 } as unknown as Lease,
  "past the last counter": { first: (1n << 64n) - 2n, end: 1n << 64n },
})) {
  test(`a lease that is ${words} is refused`, async () => {
    await assert.rejects(Counters.open({ lease: async () => lease }, name()), CounterError);
  });
}

test("a store that fails makes take() fail, and works again when it does", async () => {
  let broken = false;
  const memory = new MemoryCounterPort();
  const port: CounterPort = {
    lease: (key, count) => (broken ? Promise.reject(new Error("gone")) : memory.lease(key, count)),
  };
  const counters = await Counters.open(port, name(), 2n);
  broken = true;
  await take(counters, 2);
  await assert.rejects(counters.take(), /gone/);
  broken = false;
  assert.equal(await counters.take(), 2n);
});

test("what is refused takes no counter", async () => {
  const sender = await Sender.create(await freshKey(), new MemoryCounterPort());
  await assert.rejects(sender.protect(random(4), { clear: 5 }), MisuseError);
  await assert.rejects(sender.protect(random(4), { clear: -1 }), MisuseError);
  await assert.rejects(sender.protect(new Uint8Array((16 << 20) + 1)), MisuseError);
  assert.equal(parseHeader(await sender.protect(random(4))).ctr, 0n);
  sender.close();
  await assert.rejects(sender.protect(random(4)), MisuseError);
});
