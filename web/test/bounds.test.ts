/** What the network sends does not make the state grow, nor derive keys without end. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { concat } from "../sframe/bytes.js";
import { BaseKey, encodeHeader, kidOfStep, Receiver } from "../sframe/index.js";
import { FORGED, freshPair, random } from "./support.js";

test(`${FORGED} forged KIDs: nothing is kept, nothing derived, genuine frames open`, async () => {
  const { sender, receiver } = await freshPair(4, 7n);
  const base = await BaseKey.from(4, random(16));
  receiver.addSenderKey(1n, base, { ratchetBits: 8, maxSteps: 4 });
  const tail = random(30);
  const derivations = mock.method(crypto.subtle, "deriveBits");
  try {
    for (let i = 0; i < FORGED; i++) {
      const kid = BigInt(i) * 0x1_0001n + 0x200n;
      const rejected = await receiver
        .unprotect(concat(encodeHeader(kid, 1n), tail))
        .catch((e) => e);
      assert.equal(rejected.reason, "keyID");
    }
    assert.equal(derivations.mock.callCount(), 0);
  } finally {
    derivations.mock.restore();
  }
  assert.deepEqual(receiver.kids, [7n]);
  assert.equal(receiver.counts.keyID, FORGED);
  await receiver.unprotect(await sender.protect(random(4)));
});

test("forged ratchet steps derive each reachable key once", async () => {
  const receiver = new Receiver(4);
  receiver.addSenderKey(1n, await BaseKey.from(4, random(16)), { ratchetBits: 8, maxSteps: 16 });
  const derivations = mock.method(crypto.subtle, "deriveBits");
  try {
    const forge = (step: number, ctr: number) => {
      const header = encodeHeader(kidOfStep(1n, step, 8), BigInt(ctr));
      return receiver.unprotect(concat(header, random(30))).catch(() => {});
    };
    // One after the other, and many at the same moment.
    for (let i = 0; i < 1_000; i++) await forge(i % 8, i);
    for (let round = 0; round < 8; round++) {
      await Promise.all(Array.from({ length: 512 }, (_, i) => forge(i % 256, i)));
    }
    // 16 ratchets, and a key, a salt and a name for each of 17 steps.
    assert.equal(derivations.mock.callCount(), 16 + 3 * 17);
  } finally {
    derivations.mock.restore();
  }
  assert.equal(receiver.kids.length, 17);
});
