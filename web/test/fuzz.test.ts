/** Properties over random input; a failure prints its seed and the smallest case. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  BaseKey,
  encodeHeader,
  FrameKey,
  FrameRejected,
  parseHeader,
  Receiver,
} from "../sframe/index.js";
import { ReplayWindow } from "../sframe/window.js";
import { freshPair, RUNS, requireSeen, SHORT, SUITE_IDS, senderAt } from "./support.js";

const U64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 2n });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

test("a header that parses is the one that would be made", () => {
  let parsed = 0;
  fc.assert(
    fc.property(bytes(20), (random) => {
      try {
        const { kid, ctr, size } = parseHeader(random);
        assert.deepEqual(encodeHeader(kid, ctr), random.slice(0, size));
        parsed++;
      } catch (error) {
        assert.ok(error instanceof FrameRejected && error.reason === "syntax");
      }
    }),
    RUNS,
  );
  requireSeen(new Set(parsed > 50 ? ["parsed"] : []), "parsed");
});

test("every header comes back", () => {
  fc.assert(
    fc.property(U64, U64, (kid, ctr) => {
      const encoded = encodeHeader(kid, ctr);
      assert.deepEqual(parseHeader(encoded), { kid, ctr, size: encoded.length });
    }),
    RUNS,
  );
});

test("every frame of every suite comes back", async () => {
  const suite = fc.constantFrom(...SUITE_IDS);
  const baseKey = fc.uint8Array({ minLength: 16, maxLength: 80 });
  const what = fc.record({
    suite,
    baseKey,
    kid: U64,
    ctr: U64,
    frame: bytes(300),
    extra: bytes(40),
  });
  await fc.assert(
    fc.asyncProperty(what, fc.nat(), async ({ suite, baseKey, kid, ctr, frame, extra }, n) => {
      const key = await FrameKey.derive(await BaseKey.from(suite, baseKey), kid);
      const options = { metadata: extra, clear: n % (frame.length + 1) };
      const sealed = await (await senderAt(key, ctr)).protect(frame, options);
      const receiver = new Receiver(suite, SHORT);
      receiver.addKey(key);
      assert.deepEqual(await receiver.unprotect(sealed, options), new Uint8Array(frame));
    }),
    RUNS,
  );
});

test("whatever comes is refused under a name, and the next genuine frame opens", async () => {
  const { sender, receiver } = await freshPair(4, 7n);
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(bytes(60), fc.boolean(), fc.nat(80), async (garbage, ours, at) => {
      const sealed = await sender.protect(garbage);
      const forged = ours ? Uint8Array.from(sealed) : garbage;
      if (ours) forged[at % forged.length] = (forged[at % forged.length] as number) ^ 0x10;
      const error = await receiver.unprotect(forged).catch((rejected) => rejected);
      assert.ok(error instanceof FrameRejected, "a forged frame was opened");
      seen.add(error.reason);
      assert.deepEqual(await receiver.unprotect(sealed), new Uint8Array(garbage));
    }),
    RUNS,
  );
  requireSeen(seen, "authentication", "keyID", "syntax");
});

test("the window is that of a list of all counters", () => {
  const counters = fc.array(fc.bigInt({ min: 0n, max: 60n }), { maxLength: 80 });
  fc.assert(
    fc.property(counters, fc.nat(20), (ctrs, size) => {
      const [window, opened] = [new ReplayWindow(size), new Set<bigint>()];
      let top = -1n;
      for (const ctr of ctrs) {
        const fresh = size === 0 || (!opened.has(ctr) && top - ctr < BigInt(size));
        assert.equal(window.accepts(ctr), fresh);
        if (!fresh) continue;
        window.mark(ctr);
        opened.add(ctr);
        if (ctr > top) top = ctr;
      }
    }),
    RUNS,
  );
});
