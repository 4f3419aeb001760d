/** docs/envelope.md: all of vectors/envelope.json, and whatever bytes a frame has. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { escapeNal, unescapeNal } from "../codecs/annexb.js";
import { BitReader, packed, ue } from "../codecs/bits.js";
import { Envelope, requireVersion, UNSAID, VERSION } from "../codecs/envelope.js";
import { concat, toHex } from "../sframe/bytes.js";
import { BaseKey, FrameKey, FrameRejected, MisuseError, Receiver } from "../sframe/index.js";
import { freshPair, hex, RUNS, requireSeen, senderAt, vectors } from "./support.js";

interface Wire {
  name: string;
  codec: string;
  wire: string;
}
interface Sealed extends Wire {
  kid: number;
  ctr: number;
  frame: string;
  ciphertext: string;
}
interface Vectors {
  version: number;
  versions: { key: { envelope?: unknown }; means: number | null }[];
  suite: number;
  base_key: string;
  frames: Sealed[];
  rewritten: (Wire & { frame: string })[];
  refused: Wire[];
}

const figures = vectors<Vectors>("envelope.json");
const base = await BaseKey.from(figures.suite, hex(figures.base_key));
const kids = [...new Set(figures.frames.map(({ kid }) => kid))];
const keys = await Promise.all(kids.map((kid) => FrameKey.derive(base, BigInt(kid))));
const VIDEO = ["VP8", "VP9", "H264", "H265", "AV1"];

function receiver(): Receiver {
  const made = new Receiver(figures.suite, { replayWindow: 0 });
  for (const key of keys) made.addKey(key);
  return made;
}

function open(codec: string, wire: Uint8Array, from = receiver()): Promise<Uint8Array> {
  return new Envelope(codec).open((ciphertext) => from.unprotect(ciphertext), wire);
}

test("there are frames of every codec", () => {
  assert.equal(figures.version, VERSION);
  const codecs = new Set(figures.frames.map(({ codec }) => codec.toUpperCase()));
  for (const codec of VIDEO) assert.ok(codecs.has(codec), codec);
  assert.ok(figures.rewritten.length > 3 && figures.refused.length > 10);
});

for (const { name, codec, kid, ctr, frame, ciphertext, wire } of figures.frames) {
  test(`sealed: ${name}`, async () => {
    const key = keys[kids.indexOf(kid)] as FrameKey;
    const sender = await senderAt(key, BigInt(ctr));
    let sealed: Uint8Array = new Uint8Array(0);
    const made = await new Envelope(codec).seal(async (plain) => {
      const parts = await sender.protectInParts(plain);
      sealed = concat(...parts);
      return parts;
    }, hex(frame));
    assert.equal(toHex(sealed), ciphertext);
    assert.equal(toHex(made), wire);
    assert.equal(toHex(await open(codec, made)), frame);
  });
}

for (const { name, codec, wire, frame } of figures.rewritten) {
  test(`rewritten on the way: ${name}`, async () => {
    assert.equal(toHex(await open(codec, hex(wire))), frame);
  });
}

for (const { name, codec, wire } of figures.refused) {
  test(`refused: ${name}`, async () => {
    const error = await open(codec, hex(wire)).catch((rejected) => rejected);
    assert.ok(error instanceof FrameRejected && error.reason === "syntax", String(error));
  });
}

test("an empty frame stays empty both ways, and reaches no cipher", async () => {
  const never = () => assert.fail("a cipher was asked");
  for (const codec of [...VIDEO, "audio/opus", "video/H266"]) {
    const envelope = new Envelope(codec);
    assert.equal((await envelope.seal(never, new Uint8Array(0))).length, 0);
    assert.equal((await envelope.open(never, new Uint8Array(0))).length, 0);
  }
});

test("a codec is named as metadata has it, or by its second half", () => {
  for (const name of ["video/VP8", "VIDEO/vp8", "vp8"])
    assert.equal(new Envelope(name).codec, "VP8");
  for (const name of ["audio/opus", "opus", "audio/red", "audio/new", "VP9", "video/AV1"]) {
    assert.equal(new Envelope(name).warning, null, name);
  }
});

test("an unknown video codec is sealed whole, and a warning says what is lost", async () => {
  const envelope = new Envelope("video/H266");
  assert.match(envelope.warning as string, /"video\/H266".*simulcast/);
  const sealed = Uint8Array.of(9, 9);
  assert.deepEqual(await envelope.seal(async () => [sealed], Uint8Array.of(1)), sealed);
  assert.ok((new Envelope("x".repeat(10_000)).warning as string).length < 500);
});

test("keys mean the version that the figures say", () => {
  for (const { key, means } of figures.versions) {
    if (!("envelope" in key)) assert.equal(UNSAID, means);
    if (means === VERSION) requireVersion(key.envelope);
    else assert.throws(() => requireVersion(key.envelope), MisuseError);
  }
});

test("an unknown version is refused in words", () => {
  requireVersion(1);
  for (const version of [0, 2, "1", null, 1n]) {
    assert.throws(() => requireVersion(version), MisuseError);
    assert.throws(() => requireVersion(version), /version 1 is known/);
  }
});

// ---- properties ----

/** Bytes with many zeros and ones, so that start codes and OBU headers come up. */
const byte = fc.oneof(fc.constantFrom(0, 0, 0, 1, 3, 0x65, 0x41, 0x12, 0x32, 0x80), fc.nat(255));
const bytes = fc.array(byte, { minLength: 1, maxLength: 90 }).map((list) => Uint8Array.from(list));
const codec = fc.constantFrom(...VIDEO, "audio/opus", "video/unknown");

test("whatever bytes a frame has, it comes back, and what has no envelope is plain SFrame", async () => {
  const { sender, receiver: theirs } = await freshPair(4, 7n, 0);
  await fc.assert(
    fc.asyncProperty(codec, bytes, async (name, frame) => {
      const envelope = new Envelope(name);
      const wire = await envelope.seal((plain) => sender.protectInParts(plain), frame);
      assert.deepEqual(await open(name, wire, theirs), frame);
      if (["VP9", "audio/opus", "video/unknown"].includes(name)) {
        assert.deepEqual(await theirs.unprotect(wire), frame);
      }
    }),
    RUNS,
  );
});

test("whatever comes from the network is opened, or refused under a name", async () => {
  const { sender, receiver: theirs } = await freshPair(4, 7n, 0);
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(codec, bytes, bytes, fc.nat(), async (name, frame, noise, n) => {
      const envelope = new Envelope(name);
      const wire = await envelope.seal((plain) => sender.protectInParts(plain), frame);
      const at = n % (wire.length + 1);
      const bad = [
        noise,
        wire.subarray(0, at),
        concat(wire, wire),
        concat(wire.subarray(0, at), noise, wire.subarray(at)),
      ][n % 4] as Uint8Array;
      const result = await open(name, bad, theirs).catch((rejected) => rejected);
      if (result instanceof FrameRejected) {
        seen.add(result.reason);
      } else if (bad.length > 0) {
        // What a server adds beside the ciphertext may be anything; the frame is the one sealed.
        assert.deepEqual(result, frame);
        seen.add("opened");
      }
    }),
    RUNS,
  );
  requireSeen(seen, "syntax", "authentication", "keyID", "opened");
});

test("no start code occurs where emulation prevention ran, and it can be undone", () => {
  fc.assert(
    fc.property(bytes, (data) => {
      const escaped = escapeNal(data);
      for (let i = 2; i < escaped.length; i++) {
        const zeros = escaped[i - 1] === 0 && escaped[i - 2] === 0;
        assert.ok(!zeros || (escaped[i] as number) >= 3);
      }
      assert.deepEqual(unescapeNal(escaped), new Uint8Array(data));
    }),
    RUNS,
  );
});

test("Exp-Golomb codes come back, and none is read past the end", () => {
  for (const value of [0, 1, 2, 7, 62, 63, 255, 256, 65_535, 2 ** 32]) {
    const bits = new BitReader(packed(ue(value)));
    assert.equal(bits.ue(), value);
    assert.equal(bits.bytesRead, Math.ceil(ue(value).length / 8));
  }
  assert.equal(new BitReader(new Uint8Array(0)).ue(), null);
  assert.equal(new BitReader(new Uint8Array(16)).ue(), null);
  assert.equal(new BitReader(Uint8Array.of(0x01)).ue(), null);
});
