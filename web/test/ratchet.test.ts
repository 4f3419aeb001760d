/** Generations and ratchet steps, as a Receiver meets them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BaseKey,
  FrameKey,
  FrameRejected,
  kidOfStep,
  MisuseError,
  Receiver,
} from "../sframe/index.js";
import { random, senderAt } from "./support.js";

const R = { ratchetBits: 5 };

/** The base_keys of steps 0..count-1 of one generation. */
async function steps(count: number): Promise<BaseKey[]> {
  const bases = [await BaseKey.from(4, random(16))];
  while (bases.length < count) bases.push(await (bases.at(-1) as BaseKey).ratchet());
  return bases;
}

async function frameOf(bases: BaseKey[], generation: bigint, step: number, ctr = 0n) {
  const kid = kidOfStep(generation, step, R.ratchetBits);
  const key = await FrameKey.derive(bases[step] as BaseKey, kid);
  return (await senderAt(key, ctr)).protect(random(5));
}

async function isKnown(receiver: Receiver, frame: Uint8Array): Promise<boolean> {
  try {
    await receiver.unprotect(frame);
    return true;
  } catch (error) {
    assert.ok(error instanceof FrameRejected && error.reason === "keyID", String(error));
    return false;
  }
}

test("a receiver follows the steps, and lets overtaken frames of the last two through", async () => {
  const [bases, receiver] = [await steps(40), new Receiver(4)];
  receiver.addSenderKey(1n, bases[0] as BaseKey, R);
  for (const step of [0, 1, 2, 3, 5]) {
    assert.ok(await isKnown(receiver, await frameOf(bases, 1n, step)), `step ${step}`);
  }
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 4, 1n)));
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 3, 1n)));
  assert.ok(!(await isKnown(receiver, await frameOf(bases, 1n, 2, 1n))));
  for (let step = 6; step < 40; step++) {
    assert.ok(await isKnown(receiver, await frameOf(bases, 1n, step)), `step ${step}`);
  }
});

test("a generation that goes and comes again, and a step that lies behind, open no frame twice", async () => {
  const [bases, receiver] = [await steps(10), new Receiver(4)];
  const frames: Uint8Array[] = [];
  for (const step of [0, 1, 2, 9]) frames.push(await frameOf(bases, 1n, step));
  receiver.addSenderKey(1n, bases[0] as BaseKey, R);
  for (const frame of frames) assert.ok(await isKnown(receiver, frame));
  assert.equal(receiver.removeSenderKey(1n), true);
  receiver.addSenderKey(1n, bases[0] as BaseKey, R);
  for (const frame of frames) {
    await assert.rejects(receiver.unprotect(frame), { reason: "replay" });
  }
});

test("steps that were skipped open afterwards; those before them are gone", async () => {
  const [bases, receiver] = [await steps(10), new Receiver(4)];
  receiver.addSenderKey(1n, bases[0] as BaseKey, R);
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 9)));
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 8)));
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 7)));
  assert.ok(!(await isKnown(receiver, await frameOf(bases, 1n, 6))));
});

test("no more than maxSteps ahead", async () => {
  const [bases, receiver] = [await steps(6), new Receiver(4)];
  receiver.addSenderKey(1n, bases[0] as BaseKey, { ...R, maxSteps: 4 });
  assert.ok(!(await isKnown(receiver, await frameOf(bases, 1n, 5))));
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 4)));
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 5, 1n)));
});

test("a forged KID of a far step moves nothing", async () => {
  const [bases, receiver] = [await steps(12), new Receiver(4)];
  receiver.addSenderKey(1n, bases[0] as BaseKey, R);
  const forged = await frameOf(bases, 1n, 11);
  forged[forged.length - 1] = (forged.at(-1) as number) ^ 1;
  await assert.rejects(receiver.unprotect(forged), { reason: "authentication" });
  assert.ok(await isKnown(receiver, await frameOf(bases, 1n, 0)));
});

test("of the generations before the confirmed one the last is kept", async () => {
  const receiver = new Receiver(4);
  const generations = [await steps(1), await steps(1), await steps(1)];
  for (const [number, bases] of generations.entries()) {
    receiver.addSenderKey(BigInt(number), bases[0] as BaseKey, R);
  }
  const frames = await Promise.all(generations.map((bases, g) => frameOf(bases, BigInt(g), 0)));
  const again = await Promise.all(generations.map((bases, g) => frameOf(bases, BigInt(g), 0, 1n)));
  assert.ok(await isKnown(receiver, frames[0] as Uint8Array));
  assert.ok(await isKnown(receiver, frames[2] as Uint8Array));
  assert.ok(!(await isKnown(receiver, again[0] as Uint8Array)));
  assert.ok(await isKnown(receiver, again[1] as Uint8Array));
  assert.equal(receiver.removeSenderKey(1n), true);
  assert.ok(!(await isKnown(receiver, again[1] as Uint8Array)));
});

test("first frames of one step at the same moment share its key and window", async () => {
  const [bases, receiver] = [await steps(4), new Receiver(4)];
  receiver.addSenderKey(1n, bases[0] as BaseKey, R);
  const frame = await frameOf(bases, 1n, 3);
  const opened = await Promise.allSettled(
    Array.from({ length: 8 }, () => receiver.unprotect(frame)),
  );
  assert.equal(opened.filter((one) => one.status === "fulfilled").length, 1);
  assert.equal(receiver.counts.replay, 7);
});

test("layouts and KIDs that contradict each other are refused", async () => {
  const [[base], receiver] = [(await steps(1)) as [BaseKey], new Receiver(4)];
  receiver.addSenderKey(1n, base, R);
  receiver.addSenderKey(1n, base, R);
  const inside = await FrameKey.derive(base, 0x3fn);
  assert.throws(() => receiver.addKey(inside), MisuseError);
  assert.throws(() => receiver.addSenderKey(2n, base, { ratchetBits: 6 }), MisuseError);
  assert.throws(() => receiver.addSenderKey(1n << 60n, base, R), MisuseError);
  assert.throws(() => receiver.addSenderKey(2n, base, { ...R, maxSteps: 1025 }), MisuseError);
  assert.throws(() => new Receiver(4).addSenderKey(2n, base, { ratchetBits: 0 }), MisuseError);
});
