/** Why a Receiver is silent: the states of vectors/, which hold pysframe to the same. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Envelope } from "../codecs/envelope.js";
import { WORDS } from "../page/trouble.js";
import {
  BaseKey,
  encodeHeader,
  FrameKey,
  type KeyFlow,
  KeyFlowMonitor,
  kidOfStep,
  MemoryCounterPort,
  Receiver,
  type ReceiverStats,
  Sender,
} from "../sframe/index.js";
import { freshKey, hex, random, senderAt, vectors } from "./support.js";

type States = Record<string, string>;
type Key = [number, number, number, number, number, boolean];

interface Poll {
  readonly now: number;
  readonly malformed: number;
  readonly unknown: number;
  readonly strangers: Record<string, [number, number]>;
  readonly keys: Record<string, Key>;
  readonly states: States;
}

interface Stream {
  readonly name: string;
  readonly codec: string | null;
  readonly keys: readonly (readonly number[])[];
  readonly states: States;
  readonly frames: readonly (readonly [number, number, string])[];
}

const STATES = vectors<{ cases: { name: string; polls: Poll[] }[] }>("key_flow_states.json");
const CLEAR = vectors<{ words: States; seconds: number; streams: Stream[] }>("media_in_clear.json");

/** As the files name them: "" for null, and pysframe's names of the words. */
function named(flows: ReadonlyMap<bigint | null, KeyFlow>): States {
  const rows = [...flows].map(([kid, { state }]) => {
    return [kid === null ? "" : `${kid}`, state.toUpperCase().replaceAll(" ", "_")] as const;
  });
  return Object.fromEntries(rows.sort());
}

function sorted(states: States): States {
  return Object.fromEntries(Object.entries(states).sort());
}

function told({ malformed, unknown, strangers, keys }: Poll): ReceiverStats {
  const rows = Object.entries(keys).map(([kid, [opened, failed, again, old, advanced, closed]]) => {
    const counts = { opened, failed, replayed: again + old, advanced };
    return { kid: BigInt(kid), ...counts, provisional: false, closed };
  });
  const others = Object.entries(strangers).map(([kid, [frames, advanced]]) => {
    return [BigInt(kid), { frames, advanced, stale: false }] as const;
  });
  return { malformed, unknown, strangers: new Map(others), keys: rows };
}

for (const { name, polls } of STATES.cases) {
  test(`key flow: ${name}`, () => {
    const monitor = new KeyFlowMonitor();
    for (const poll of polls) {
      assert.deepEqual(named(monitor.poll(poll.now, told(poll))), sorted(poll.states));
    }
  });
}

/** What a Receiver with keys for these KIDs calls a stream, polled once a second. */
async function judged(stream: Stream, kids: readonly number[], codec: string | null) {
  const [receiver, monitor] = [new Receiver(4), new KeyFlowMonitor()];
  for (const kid of kids) receiver.addKey(await freshKey(4, BigInt(kid)));
  const envelope = codec === null ? undefined : new Envelope(codec);
  const unprotect = (ciphertext: Uint8Array) => receiver.unprotect(ciphertext);
  let flows = monitor.poll(0, receiver.stats);
  let frame = 0;
  for (let now = 1; now <= CLEAR.seconds; now++) {
    for (; (stream.frames[frame]?.[0] ?? Number.POSITIVE_INFINITY) < 1_000 * now; frame++) {
      const [, size, head] = stream.frames[frame] as Stream["frames"][number];
      const wire = new Uint8Array(size);
      wire.set(hex(head));
      const opening = envelope ? envelope.open(unprotect, wire) : unprotect(wire);
      assert.equal(await opening.catch(() => "refused"), "refused");
    }
    flows = monitor.poll(now, receiver.stats);
  }
  return named(new Map([...flows].filter(([, { state }]) => state !== "waiting")));
}

for (const stream of CLEAR.streams) {
  test(`${stream.name}: called what it is, in its envelope or not`, async () => {
    for (const kids of stream.keys) {
      for (const codec of stream.codec === null ? [null] : [null, stream.codec]) {
        assert.deepEqual(await judged(stream, kids, codec), stream.states);
      }
    }
  });
}

test("the words for a person are those of pysframe", () => {
  assert.deepEqual(sorted(WORDS as States), sorted(CLEAR.words));
});

test("media in the clear beside a stream that flows, and one after it under the same KID", async () => {
  const [key, monitor, receiver] = [await freshKey(4, 7n), new KeyFlowMonitor(), new Receiver(4)];
  receiver.addKey(key);
  const sender = await Sender.create(key, new MemoryCounterPort());
  const clear = CLEAR.streams.find(({ name }) => name.includes("mostly KID 7")) as Stream;
  monitor.poll(0, receiver.stats);
  for (let now = 1; now <= 2; now++) {
    for (const [at, size, head] of clear.frames.slice(0, 100)) {
      if (at < 1_000) await receiver.unprotect(await sender.protect(random(9)));
      const wire = new Uint8Array(size);
      wire.set(hex(head));
      await receiver.unprotect(wire).catch(() => {});
    }
    assert.deepEqual(named(monitor.poll(now, receiver.stats)), { "": "NOT_SFRAME", 7: "FLOWING" });
  }
});

test("a key that was dropped, and steps that lie behind, are stale", async () => {
  const [monitor, receiver] = [new KeyFlowMonitor(), new Receiver(4)];
  const key = await freshKey(4, 9n);
  receiver.addKey(key);
  const sender = await Sender.create(key, new MemoryCounterPort());
  for (let n = 0; n < 10; n++) await receiver.unprotect(await sender.protect(random(9)));
  assert.deepEqual(named(monitor.poll(0, receiver.stats)), { 9: "FLOWING" });
  receiver.removeKey(9n);
  const base = await BaseKey.from(4, random(16));
  receiver.addSenderKey(2n, base, { ratchetBits: 8, step: 40 });
  for (let n = 0; n < 20; n++) {
    await receiver.unprotect(await sender.protect(random(9))).catch(() => {});
    const behind = encodeHeader(kidOfStep(2n, 30, 8), BigInt(n));
    const ahead = encodeHeader(kidOfStep(2n, 140, 8), BigInt(n));
    for (const header of [behind, ahead]) {
      await receiver.unprotect(Uint8Array.from([...header, ...random(30)])).catch(() => {});
    }
  }
  const [stale, missing] = ["STALE_KEY", "MISSING_KEY"];
  const expected = {
    9: stale,
    [`${kidOfStep(2n, 30, 8)}`]: stale,
    [`${kidOfStep(2n, 140, 8)}`]: missing,
  };
  assert.deepEqual(named(monitor.poll(1, receiver.stats)), sorted(expected));
});

test("a derived key is shown when its frames fail or open, not because a header named it", async () => {
  const [monitor, receiver] = [new KeyFlowMonitor(), new Receiver(4)];
  const base = await BaseKey.from(4, random(16));
  receiver.addSenderKey(1n, base, { ratchetBits: 8 });
  assert.deepEqual(named(monitor.poll(0, receiver.stats)), {});
  const kid = kidOfStep(1n, 0, 8);
  const mine = await FrameKey.derive(base, kid);
  const forged = Uint8Array.from([...encodeHeader(kid, 0n), ...random(30)]);
  await receiver.unprotect(forged).catch(() => {});
  assert.equal(receiver.stats.keys[0]?.provisional, true);
  for (let ctr = 0n; ctr < 6n; ctr++) {
    await receiver.unprotect(await (await senderAt(mine, ctr)).protect(random(4)));
  }
  assert.equal(receiver.stats.keys[0]?.provisional, false);
  assert.deepEqual(named(monitor.poll(1, receiver.stats)), { [`${kid}`]: "FLOWING" });
});

test("of any number of unknown KIDs sixteen are kept", async () => {
  const receiver = new Receiver(4);
  for (let n = 0; n < 2_000; n++) {
    const header = encodeHeader(BigInt(n) << 20n, BigInt(n));
    await receiver.unprotect(Uint8Array.from([...header, ...random(30)])).catch(() => {});
  }
  assert.equal(receiver.stats.strangers.size, 16);
  assert.equal(receiver.stats.unknown, 2_000);
});
