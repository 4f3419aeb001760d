/** All of vectors/ that is SFrame: RFC 9605, suites 6-8, the ratchet, keys per SSRC. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { aeadOf } from "../sframe/aead.js";
import { toHex } from "../sframe/bytes.js";
import {
  BaseKey,
  encodeHeader,
  FrameKey,
  parseHeader,
  Receiver,
  suiteOf,
} from "../sframe/index.js";
import {
  deriveKey,
  deriveRatchet,
  deriveSalt,
  deriveStream,
  importBaseKey,
} from "../sframe/key-schedule.js";
import { hex, SHORT, senderAt, vectors } from "./support.js";

interface AeadCase {
  suite: number;
  key: string;
  nonce: string;
  aad: string;
  pt: string;
  ct: string;
}
interface FrameCase extends AeadCase {
  kid: string;
  ctr: string;
  base_key: string;
  salt: string;
  metadata: string;
}
interface Rfc {
  header: [string, string, string][];
  ctr_hmac: AeadCase[];
  sframe: FrameCase[];
}
interface Derived {
  ratchet: { steps: string[]; [mistake: `step1_${string}`]: string }[];
  ssrc: { ssrc: string; key: string }[];
}

const rfc = vectors<Rfc>("rfc9605.json");
const derived = vectors<Derived>("ratchet_and_ssrc.json");
const BASE_KEY = hex("000102030405060708090a0b0c0d0e0f");

test(`${rfc.header.length} headers, both ways`, () => {
  assert.equal(rfc.header.length, 289);
  for (const [kidHex, ctrHex, encoded] of rfc.header) {
    const [kid, ctr] = [BigInt(`0x${kidHex}`), BigInt(`0x${ctrHex}`)];
    assert.equal(toHex(encodeHeader(kid, ctr)), encoded);
    assert.deepEqual(parseHeader(hex(encoded)), { kid, ctr, size: encoded.length / 2 });
  }
});

test("AES-CTR with HMAC alone, suites 1-3 and 6-8", async () => {
  assert.deepEqual(new Set(rfc.ctr_hmac.map((row) => row.suite)), new Set([1, 2, 3, 6, 7, 8]));
  for (const row of rfc.ctr_hmac) {
    const aead = await aeadOf(suiteOf(row.suite), hex(row.key));
    const [nonce, aad, ct] = [hex(row.nonce), hex(row.aad), hex(row.ct)];
    assert.equal(toHex(await aead.seal(nonce, aad, hex(row.pt))), row.ct);
    assert.equal(toHex((await aead.open(nonce, aad, ct)) as Uint8Array), row.pt);
  }
});

for (const row of rfc.sframe) {
  test(`a whole frame, suite ${row.suite}`, async () => {
    const [kid, ctr] = [BigInt(`0x${row.kid}`), BigInt(`0x${row.ctr}`)];
    const suite = suiteOf(row.suite);
    const hkdf = await importBaseKey(hex(row.base_key));
    assert.equal(toHex(await deriveKey(suite, hkdf, kid)), row.key);
    assert.equal(toHex(await deriveSalt(suite, hkdf, kid)), row.salt);

    const key = await FrameKey.derive(await BaseKey.from(row.suite, hex(row.base_key)), kid);
    const metadata = hex(row.metadata);
    const sender = await senderAt(key, ctr);
    assert.equal(toHex(await sender.protect(hex(row.pt), { metadata })), row.ct);
    const receiver = new Receiver(row.suite, SHORT);
    receiver.addKey(key);
    assert.equal(toHex(await receiver.unprotect(hex(row.ct), { metadata })), row.pt);
  });
}

test("all eight suites have a frame", () => {
  assert.deepEqual(
    rfc.sframe.map((row) => row.suite),
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
});

test("the ratchet, and none of the known mistakes", async () => {
  for (const [at, suite] of [suiteOf(4), suiteOf(5)].entries()) {
    const row = derived.ratchet[at] as Derived["ratchet"][0];
    assert.equal(row.steps.length, 3);
    let base = await importBaseKey(BASE_KEY);
    for (const [number, step] of row.steps.entries()) {
      const next = await deriveRatchet(suite, base);
      assert.equal(toHex(next), step);
      if (number === 0) {
        const mistakes = Object.entries(row).filter(([name]) => name.startsWith("step1_"));
        assert.equal(mistakes.length, 3);
        for (const [, wrong] of mistakes) assert.notEqual(toHex(next), wrong);
      }
      base = await importBaseKey(next);
    }
  }
});

test("keys per SSRC", async () => {
  for (const [at, suite] of [suiteOf(4), suiteOf(5)].entries()) {
    const row = derived.ssrc[at] as Derived["ssrc"][0];
    const stream = await deriveStream(
      suite,
      await importBaseKey(BASE_KEY),
      Number(`0x${row.ssrc}`),
    );
    assert.equal(toHex(stream), row.key);
  }
});
