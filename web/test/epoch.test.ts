/** MLS epochs, RFC 9605 5.2: KIDs, who is heard, and what goes when. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { concat } from "../sframe/bytes.js";
import {
  BaseKey,
  encodeHeader,
  FrameKey,
  kidOfMember,
  MemoryCounterPort,
  MisuseError,
  Receiver,
  Sender,
} from "../sframe/index.js";
import { freshKey, random, vectors } from "./support.js";

const LAYOUT = { epochBits: 4, senderBits: 6 };
const figures = vectors<{ mls_kid: { rows: [number, number, number, string][] } }>("rfc9605.json");

/** An epoch's base_key, and frames of its members. */
async function epochOf(epoch: bigint, suite = 4) {
  const [base, port] = [await BaseKey.from(suite, random(32)), new MemoryCounterPort()];
  const seal = async (index: number, context = 0n) => {
    const kid = (context << 10n) | kidOfMember(epoch, index, 4);
    const sender = await Sender.create(await FrameKey.derive(base, kid), port);
    return sender.protect(Uint8Array.of(index));
  };
  return { base, seal };
}

async function reasonOf(receiver: Receiver, frame: Uint8Array): Promise<string> {
  const error = await receiver.unprotect(frame).catch((rejected) => rejected);
  return error.reason ?? "opened";
}

test("KIDs are those of the figure in RFC 9605 5.2", () => {
  let compared = 0;
  for (const [epoch, index, context, kid] of figures.mls_kid.rows) {
    const high = BigInt(context) << 10n;
    assert.equal(high | kidOfMember(BigInt(epoch), index, 4), BigInt(`0x${kid}`));
    compared++;
  }
  assert.equal(compared, 9);
});

test("the members of an epoch are heard, and nobody else", async () => {
  const { base, seal } = await epochOf(17n);
  const receiver = new Receiver(4);
  receiver.addEpoch(17n, base, { ...LAYOUT, senders: 5, except: 2 });
  for (const index of [0, 1, 3, 4]) {
    assert.deepEqual(await receiver.unprotect(await seal(index)), Uint8Array.of(index));
  }
  for (const stranger of [2, 5, 63]) {
    assert.equal(await reasonOf(receiver, await seal(stranger)), "keyID");
  }
  assert.equal(await reasonOf(receiver, await seal(0, 1n)), "keyID");
});

test("epochs overlap until one with the same low bits comes", async () => {
  const [old, next, same] = [await epochOf(1n), await epochOf(2n), await epochOf(17n)];
  const receiver = new Receiver(4);
  receiver.addEpoch(1n, old.base, { ...LAYOUT, senders: 3 });
  const late = await old.seal(1);
  receiver.addEpoch(2n, next.base, { ...LAYOUT, senders: 3 });
  assert.equal(await reasonOf(receiver, await next.seal(1)), "opened");
  assert.equal(await reasonOf(receiver, late), "opened");
  receiver.addEpoch(17n, same.base, { ...LAYOUT, senders: 3 });
  assert.equal(await reasonOf(receiver, await old.seal(1)), "authentication");
  assert.equal(await reasonOf(receiver, await same.seal(1)), "opened");
  assert.throws(() => receiver.addEpoch(1n, old.base, { ...LAYOUT, senders: 3 }), /only grow/);
  assert.equal(receiver.removeEpochOf(0x21n), true);
  assert.equal(await reasonOf(receiver, await same.seal(0)), "keyID");
  assert.equal(receiver.removeEpochOf(0x21n), false);
});

test("an epoch that comes again has a new roster, and keeps its replay windows", async () => {
  const { base, seal } = await epochOf(3n);
  const receiver = new Receiver(4);
  receiver.addEpoch(3n, base, { ...LAYOUT, senders: 2 });
  const frame = await seal(1);
  assert.equal(await reasonOf(receiver, frame), "opened");
  receiver.addEpoch(3n, base, { ...LAYOUT, senders: 2 });
  assert.equal(await reasonOf(receiver, frame), "replay");
  assert.equal(await reasonOf(receiver, await seal(2)), "keyID");
  receiver.addEpoch(3n, base, { ...LAYOUT, senders: 3 });
  assert.equal(await reasonOf(receiver, await seal(2)), "opened");
});

test("an epoch that went and comes again opens no frame twice", async () => {
  const { base, seal } = await epochOf(3n);
  const receiver = new Receiver(4);
  receiver.addEpoch(3n, base, { ...LAYOUT, senders: 3 });
  const [one, two] = [await seal(1), await seal(2)];
  assert.equal(await reasonOf(receiver, one), "opened");
  assert.equal(receiver.removeEpochOf(0x13n), true);
  receiver.addEpoch(3n, base, { ...LAYOUT, senders: 3 });
  // An epoch that goes before a key of it was derived loses none of its windows.
  const opening = reasonOf(receiver, one);
  receiver.removeEpochOf(0x13n);
  assert.equal(await opening, "replay");
  receiver.addEpoch(3n, base, { ...LAYOUT, senders: 3 });
  assert.equal(await reasonOf(receiver, one), "replay");
  assert.equal(await reasonOf(receiver, two), "opened");
});

test("forged KIDs derive each member's key once, and no more", async () => {
  const { base } = await epochOf(5n);
  const receiver = new Receiver(4);
  receiver.addEpoch(5n, base, { ...LAYOUT, senders: 4 });
  const derivations = mock.method(crypto.subtle, "deriveBits");
  try {
    for (let i = 0; i < 400; i++) {
      const kid = kidOfMember(5n, i % 64, 4) | (BigInt(i % 3) << 10n);
      await receiver.unprotect(concat(encodeHeader(kid, BigInt(i)), random(30))).catch(() => {});
    }
    assert.equal(derivations.mock.callCount(), 3 * 4);
  } finally {
    derivations.mock.restore();
  }
});

test("a frame that was being opened when its epoch went is not given out", async () => {
  const { base, seal } = await epochOf(6n);
  const receiver = new Receiver(4);
  receiver.addEpoch(6n, base, { ...LAYOUT, senders: 2 });
  const opening = reasonOf(receiver, await seal(1));
  receiver.removeEpochOf(6n);
  assert.equal(await opening, "keyID");
});

test("a group's epochs have a Receiver alone, one layout, and sane numbers", async () => {
  const { base } = await epochOf(1n);
  const receiver = new Receiver(4);
  receiver.addEpoch(1n, base, { ...LAYOUT, senders: 2 });
  const chain = { ratchetBits: 8 };
  const key = await freshKey(4, 9n);
  assert.throws(() => receiver.addKey(key), MisuseError);
  assert.throws(() => receiver.addSenderKey(1n, base, chain), MisuseError);
  const other = { epochBits: 4, senderBits: 7, senders: 2 };
  assert.throws(() => receiver.addEpoch(2n, base, other), /layout/);
  const single = new Receiver(4);
  single.addKey(key);
  assert.throws(() => single.addEpoch(1n, base, { ...LAYOUT, senders: 2 }), MisuseError);
  for (const wrong of [{ senders: 65 }, { senders: -1 }, { senderBits: 40 }, { epochBits: 0.5 }]) {
    const options = { ...LAYOUT, senders: 2, ...wrong };
    assert.throws(() => new Receiver(4).addEpoch(1n, base, options), MisuseError);
  }
});
