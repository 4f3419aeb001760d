/** What a page is told when nothing goes through a transform, from what the worker counts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { FromWorker, KeyEvent, Refused } from "../messages.js";
import { Flows } from "../page/flows.js";
import { encodeHeader, MemoryCounterPort } from "../sframe/index.js";
import { Parties } from "../worker/parties.js";
import { FrameTransform } from "../worker/transform.js";
import { random } from "./support.js";

/** A worker's transform that opens, and what the page makes of its counts, at a time of the test's. */
class Call {
  readonly parties = new Parties(new MemoryCounterPort());
  readonly seal: FrameTransform;
  readonly open: FrameTransform;
  readonly #flows = new Flows();
  #since: number | undefined;
  #now = 0;

  constructor() {
    const of = (id: string, operation: "seal" | "open") =>
      new FrameTransform({ id, operation, sender: "alice" }, this.parties, () => {});
    [this.seal, this.open] = [of("out", "seal"), of("in", "open")];
  }

  /** Installs a key for one way, in KID 7 if no other is named. */
  async install(baseKey: Uint8Array, mine: boolean, kid = 7n): Promise<void> {
    const copy = Uint8Array.from(baseKey);
    const event = { kind: "InstallKey", sender: "alice", suite: 4, kid, baseKey: copy, mine };
    await this.parties.handle(event as KeyEvent);
    if (mine) await this.parties.handle({ kind: "Use", sender: "alice", kid });
  }

  async put(through: FrameTransform, bytes: Uint8Array): Promise<Uint8Array | undefined> {
    let out: Uint8Array | undefined;
    const frame = { data: Uint8Array.from(bytes).buffer };
    await through.transform(frame, { enqueue: ({ data }) => (out = new Uint8Array(data)) });
    return out;
  }

  /** Frames that come, and half a second later what is told of them. */
  async come(frames: readonly Uint8Array[], after = 0.5): Promise<[string, string] | undefined> {
    for (const frame of frames) await this.put(this.open, frame);
    return this.told("in", this.open, after);
  }

  /** The kinds that four looks a second tell while such frames come, 50 a second, and soon after. */
  async kinds(frames: readonly Uint8Array[]): Promise<string[]> {
    const kinds: string[] = [];
    for (let at = 0; at < frames.length + 120; at += 12) {
      const told = await this.come(frames.slice(at, at + 12), 0.24);
      if (told) kinds.push(told[0]);
    }
    return kinds;
  }

  told(id: string, transform: FrameTransform, after = 0.5): [string, string] | undefined {
    const { refused } = transform;
    this.#since = refused ? (this.#since ?? this.#now) : undefined;
    this.#now += after;
    // How long it lasts is the worker's clock's, which a test would have to wait for.
    const lasting = refused && { ...refused, seconds: this.#now - (this.#since ?? this.#now) };
    const counted: Extract<FromWorker, { kind: "counts" }> = {
      kind: "counts",
      transforms: { [id]: transform.counts },
      refused: (lasting ? { [id]: lasting } : {}) as Record<string, Refused>,
      receivers: new Map([["alice", this.parties.receiverOf("alice").stats]]),
    };
    const trouble = this.#flows.judge(counted, this.#now).troubles[id];
    return trouble && [trouble.trouble, trouble.words];
  }
}

const H264 = Uint8Array.of(0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21, ...new Uint8Array(80));
const many = (frame: Uint8Array, count = 15) => Array.from({ length: count }, () => frame);
const of = (kid: bigint, first: number, count = 15) =>
  Array.from({ length: count }, (_, n) =>
    Uint8Array.from([...encodeHeader(kid, BigInt(first + n)), ...random(40)]),
  );

test("a missing key and media in the clear are told apart before there is any key", async () => {
  const keyless = new Call();
  assert.deepEqual(await keyless.come(of(300n, 0, 5)), undefined);
  const [missing, words] = (await keyless.come(of(300n, 5))) ?? [];
  assert.equal(missing, "missing key");
  assert.equal(
    words,
    '"in" of alice: frames arrive under KID 0x12c, and its key has not come; nothing of it is decoded',
  );
  const clear = new Call();
  const [kind, why] = (await clear.come(many(H264))) ?? [];
  assert.equal(kind, "not SFrame");
  assert.match(
    why as string,
    /"in" of alice: frames arrive that are not SFrame: media in the clear/,
  );
});

for (const first of [0x0c, 0x58, 0x78, 0xfc]) {
  test(`clear Opus that begins with 0x${first.toString(16)} is never called a missing or wrong key`, async () => {
    for (const kid of [300n, 4n, 5n, 7n]) {
      const call = new Call();
      await call.install(random(16), false, kid);
      const frames = Array.from({ length: 150 }, () => Uint8Array.of(first, ...random(80)));
      const kinds = await call.kinds(frames);
      assert.ok(kinds.length > 5);
      assert.deepEqual([...new Set(kinds)], ["not SFrame"]);
    }
  });
}

test("a sender without its key is in one trouble over all its KIDs", async () => {
  const frames = [0, 1, 2, 3, 4].flatMap((n) => of(400n + BigInt(n), 30 * n, 30));
  const kinds = await new Call().kinds(frames);
  assert.ok(kinds.length > 9);
  assert.deepEqual([...new Set(kinds)], ["missing key"]);
});

test("a wrong key, media in the clear under its KID, and the right key at last", async () => {
  const [ours, theirs] = [new Call(), new Call()];
  const baseKey = random(16);
  await theirs.install(baseKey, true);
  await ours.install(random(16), false);
  const sealed = async (count = 15) => {
    const frames = Array.from({ length: count }, () => theirs.put(theirs.seal, random(30)));
    return (await Promise.all(frames)) as Uint8Array[];
  };
  assert.equal((await ours.come(await sealed()))?.[0], "wrong key");
  const opus = many(Uint8Array.of(0x78, ...random(40)), 60);
  assert.equal((await ours.come(opus))?.[0], "not SFrame");
  assert.equal((await ours.come([]))?.[0], "not SFrame", "silence takes nothing back");
  await ours.parties.handle({ kind: "Drop", sender: "alice", kid: 7n });
  await ours.install(baseKey, false);
  assert.equal(await ours.come(await sealed(1)), undefined);
});

test("a sender who is behind is told so, and one replay in a row of them", async () => {
  const [ours, theirs] = [new Call(), new Call()];
  const baseKey = random(16);
  await theirs.install(baseKey, true);
  await ours.install(baseKey, false);
  const frame = async () => (await theirs.put(theirs.seal, random(30))) as Uint8Array;
  const [first, ...more] = [await frame(), await frame(), await frame(), await frame()];
  assert.equal(await ours.come([first as Uint8Array, ...more]), undefined);
  assert.deepEqual((await ours.come(many(first as Uint8Array)))?.[0], "refused");
  assert.match((await ours.come([]))?.[1] as string, /refused as replay/);
  await ours.parties.handle({ kind: "Drop", sender: "alice", kid: 7n });
  const behind = await Promise.all(Array.from({ length: 15 }, frame));
  const [kind, words] = (await ours.come(behind)) ?? [];
  assert.equal(kind, "stale key");
  assert.match(words as string, /KID 0x7, whose key was dropped/);
});

test("nothing is sealed without a key, and it is told", async () => {
  const call = new Call();
  const fail = async () => assert.equal(await call.put(call.seal, random(30)), undefined);
  await fail();
  assert.deepEqual(call.told("out", call.seal), undefined, "one frame is no trouble");
  for (let n = 0; n < 10; n++) await fail();
  const [kind, words] = call.told("out", call.seal) ?? [];
  assert.equal(kind, "cannot seal");
  assert.equal(words, '"out" of alice is not sent: there is no key to seal with');
  await call.install(random(16), true);
  assert.ok(await call.put(call.seal, random(30)));
  assert.equal(call.told("out", call.seal), undefined);
});

test("a Receiver that made way for one of another suite starts its count anew", async () => {
  const call = new Call();
  await call.come(many(H264, 40));
  const baseKey = random(32);
  const event = { kind: "InstallKey", sender: "alice", suite: 5, kid: 9n, baseKey, mine: false };
  await call.parties.handle(event as KeyEvent);
  assert.equal((await call.come(of(301n, 0, 20)))?.[0], "missing key");
});
