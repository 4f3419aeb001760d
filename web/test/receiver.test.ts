/** What a Receiver accepts, what it refuses and under which name. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BaseKey,
  FrameKey,
  FrameRejected,
  MemoryCounterPort,
  MisuseError,
  type Reason,
  Receiver,
  Sender,
} from "../sframe/index.js";
import { freshKey, freshPair, random, SHORT, SUITE_IDS, senderAt } from "./support.js";

async function refused(opening: Promise<unknown>, reason: Reason): Promise<void> {
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof FrameRejected, String(error));
    assert.equal(error.reason, reason);
    return true;
  });
}

for (const suite of SUITE_IDS) {
  test(`suite ${suite}: every byte that is altered is seen`, async () => {
    const { sender, receiver } = await freshPair(suite, 300n);
    const frame = random(20);
    const options = { metadata: random(3), clear: 4 };
    const sealed = await sender.protect(frame, options);
    for (let at = 0; at < sealed.length; at++) {
      const altered = Uint8Array.from(sealed);
      altered[at] = (altered[at] as number) ^ 1;
      await assert.rejects(receiver.unprotect(altered, options), FrameRejected);
    }
    await refused(receiver.unprotect(sealed, { clear: 4 }), "authentication");
    assert.deepEqual(await receiver.unprotect(sealed, options), frame);
    assert.equal(receiver.counts.opened, 1);
    assert.deepEqual(sealed.subarray(0, 4), frame.subarray(0, 4));
  });

  test(`suite ${suite}: an empty frame is a frame`, async () => {
    const { sender, receiver } = await freshPair(suite);
    assert.equal((await receiver.unprotect(await sender.protect(random(0)))).length, 0);
  });
}

test("a frame that is cut off or has no header is of wrong syntax", async () => {
  const { sender, receiver } = await freshPair();
  const sealed = await sender.protect(random(0));
  for (let size = 0; size < sealed.length; size++) {
    await refused(receiver.unprotect(sealed.subarray(0, size)), "syntax");
  }
  await refused(receiver.unprotect(sealed, { clear: sealed.length }), "syntax");
  await refused(receiver.unprotect(new Uint8Array((16 << 20) + 34)), "syntax");
  assert.equal(receiver.counts.syntax, sealed.length + 2);
});

test("a frame opens once, also when it comes twice at the same moment", async () => {
  const { sender, receiver } = await freshPair();
  const sealed = await sender.protect(random(9));
  const both = await Promise.allSettled([receiver.unprotect(sealed), receiver.unprotect(sealed)]);
  assert.deepEqual(both.map((one) => one.status).sort(), ["fulfilled", "rejected"]);
  await refused(receiver.unprotect(sealed), "replay");
  assert.deepEqual(receiver.counts, {
    opened: 1,
    replay: 2,
    authentication: 0,
    keyID: 0,
    syntax: 0,
  });
});

test("the window: what is overtaken opens, what is too old does not", async () => {
  const key = await freshKey();
  const receiver = new Receiver(4, { replayWindow: 8 });
  receiver.addKey(key);
  const sealed: Uint8Array[] = [];
  const sender = await Sender.create(key, new MemoryCounterPort());
  for (let i = 0; i < 10; i++) sealed.push(await sender.protect(random(1)));
  await receiver.unprotect(sealed[9] as Uint8Array);
  await receiver.unprotect(sealed[2] as Uint8Array);
  await refused(receiver.unprotect(sealed[1] as Uint8Array), "replay");
  await refused(receiver.unprotect(sealed[2] as Uint8Array), "replay");
});

test("a forged frame far ahead does not move the window", async () => {
  const key = await freshKey();
  const receiver = new Receiver(4);
  receiver.addKey(key);
  const sealed = await (await senderAt(key, 5n)).protect(random(4));
  const ahead = await (await senderAt(key, 1n << 40n)).protect(random(4));
  ahead[ahead.length - 1] = (ahead.at(-1) as number) ^ 1;
  await refused(receiver.unprotect(ahead), "authentication");
  await receiver.unprotect(sealed);
});

test("without a window every counter opens, in any order and again", async () => {
  const key = await freshKey();
  const receiver = new Receiver(4, { replayWindow: 0 });
  receiver.addKey(key);
  const early = await (await senderAt(key, 0n)).protect(random(4));
  const late = await (await senderAt(key, (1n << 64n) - 2n)).protect(random(4));
  for (const sealed of [late, early, late, early]) await receiver.unprotect(sealed);
});

test("keys come, are rotated and go", async () => {
  const [one, two] = [await freshPair(4, 1n), await freshKey(4, 2n)];
  const { receiver, sender } = one;
  const next = await Sender.create(two, new MemoryCounterPort());
  await refused(receiver.unprotect(await next.protect(random(4))), "keyID");
  receiver.addKey(two);
  await receiver.unprotect(await next.protect(random(4)));
  await receiver.unprotect(await sender.protect(random(4)));
  assert.deepEqual(receiver.kids, [1n, 2n]);
  assert.equal(receiver.removeKey(1n), true);
  assert.equal(receiver.removeKey(1n), false);
  await refused(receiver.unprotect(await sender.protect(random(4))), "keyID");
});

test("the same key again keeps its window; another one under its KID is refused", async () => {
  const base = await BaseKey.from(4, random(16));
  const receiver = new Receiver(4);
  receiver.addKey(await FrameKey.derive(base, 3n));
  const sealed = await (await senderAt(await FrameKey.derive(base, 3n), 0n)).protect(random(4));
  await receiver.unprotect(sealed);
  receiver.addKey(await FrameKey.derive(base, 3n));
  await refused(receiver.unprotect(sealed), "replay");
  await assert.rejects(async () => receiver.addKey(await freshKey(4, 3n)), MisuseError);
});

test("a key that goes and comes again keeps its window, and the latest 256 windows are kept", async () => {
  const receiver = new Receiver(4);
  const base = await BaseKey.from(4, random(16));
  const of = (kid: number) => FrameKey.derive(base, BigInt(kid));
  const opened: Uint8Array[] = [];
  for (let kid = 0; kid <= 256; kid++) {
    const key = await of(kid);
    const sealed = await (await senderAt(key, 5n)).protect(random(4));
    receiver.addKey(key);
    await receiver.unprotect(sealed);
    receiver.removeKey(BigInt(kid));
    opened.push(sealed);
  }
  // A key under which nothing was opened takes no place.
  receiver.addKey(await of(1_000));
  receiver.removeKey(1_000n);
  for (const kid of [1, 256]) {
    receiver.addKey(await of(kid));
    await refused(receiver.unprotect(opened[kid] as Uint8Array), "replay");
    await receiver.unprotect(await (await senderAt(await of(kid), 6n)).protect(random(4)));
    receiver.removeKey(BigInt(kid));
    receiver.addKey(await of(kid));
    await refused(receiver.unprotect(opened[kid] as Uint8Array), "replay");
  }
  receiver.addKey(await of(0)); // of 257 windows the oldest went
  await receiver.unprotect(opened[0] as Uint8Array);
  // Another key under the same KID has a window of its own.
  receiver.removeKey(256n);
  const other = await freshKey(4, 256n);
  receiver.addKey(other);
  await receiver.unprotect(await (await senderAt(other, 5n)).protect(random(4)));
});

test("a key that is removed while a frame is opened opens nothing", async () => {
  const { sender, receiver } = await freshPair(1);
  const opening = receiver.unprotect(await sender.protect(random(4)));
  receiver.removeKey(7n);
  await refused(opening, "keyID");
});

test("a buffer that changes while it is opened is opened as it was", async () => {
  for (const suite of SUITE_IDS) {
    const { sender, receiver } = await freshPair(suite);
    const frame = random(100);
    const sealed = await sender.protect(frame);
    const opening = receiver.unprotect(sealed);
    sealed.fill(0);
    assert.deepEqual(await opening, frame);
    const sealing = sender.protect(frame);
    const was = Uint8Array.from(frame);
    frame.fill(0);
    assert.deepEqual(await receiver.unprotect(await sealing), was);
  }
});

test("4-byte tags are opt-in, and a key with them closes itself after 4096 forgeries", async () => {
  assert.throws(() => new Receiver(3), MisuseError);
  await assert.rejects(Sender.create(await freshKey(8), new MemoryCounterPort()), MisuseError);
  const { sender, receiver } = await freshPair(3, 7n, 0);
  const good = await sender.protect(random(4));
  const forged = Uint8Array.from(good);
  forged[5] = (forged[5] as number) ^ 1;
  for (let i = 0; i < 4095; i++) await receiver.unprotect(forged).catch(() => {});
  await receiver.unprotect(good);
  await receiver.unprotect(forged).catch(() => {});
  await refused(receiver.unprotect(await sender.protect(random(4))), "authentication");
});

test("wrong arguments are refused in words", async () => {
  assert.throws(() => new Receiver(9), MisuseError);
  assert.throws(() => new Receiver(4, { replayWindow: -1 }), MisuseError);
  await assert.rejects(BaseKey.from(4, random(15)), MisuseError);
  await assert.rejects(BaseKey.from(0, random(16)), MisuseError);
  const base = await BaseKey.from(4, random(16));
  await assert.rejects(FrameKey.derive(base, 1n << 64n), MisuseError);
  await assert.rejects(base.forSsrc(2 ** 32), MisuseError);
  const other = await freshKey(5);
  assert.throws(() => new Receiver(4, SHORT).addKey(other), MisuseError);
});

test("what a caller does to bytes that were handed over changes nothing, in any suite", async () => {
  for (const suite of SUITE_IDS) {
    const { sender, receiver } = await freshPair(suite);
    const [frame, original] = [random(3_000), new Uint8Array(3_000)];
    original.set(frame);
    const sealing = sender.protect(frame);
    frame.fill(0);
    const ciphertext = await sealing;
    const opening = receiver.unprotect(ciphertext);
    ciphertext.fill(0);
    assert.deepEqual(await opening, original);
  }
});
