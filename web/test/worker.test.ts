/** The rooms of the frame worker: key events, leases over a port, and frames that fail. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  FromWorker,
  InstallKey,
  KeyEvent,
  LeaseWanted,
  TransformOptions,
} from "../messages.js";
import { CounterError, MemoryCounterPort, parseHeader } from "../sframe/index.js";
import { LeasePort, type Port } from "../worker/lease-port.js";
import { Parties } from "../worker/parties.js";
import { FrameTransform, type MediaFrame } from "../worker/transform.js";
import { random } from "./support.js";

const key = (kid: bigint, baseKey: Uint8Array, mine: boolean): KeyEvent => ({
  kind: "InstallKey",
  sender: "alice",
  suite: 4,
  kid,
  baseKey: Uint8Array.from(baseKey),
  mine,
});
const use = (kid: bigint): KeyEvent => ({ kind: "Use", sender: "alice", kid });
const drop = (kid: bigint): KeyEvent => ({ kind: "Drop", sender: "alice", kid });

/** A transform, what it let through, and how often it said that it runs. */
function transforming(
  parties: Parties,
  operation: TransformOptions["operation"],
  more: Partial<TransformOptions> = {},
) {
  const passed: ArrayBuffer[] = [];
  const told: FromWorker[] = [];
  const options: TransformOptions = { id: "t", operation, sender: "alice", ...more };
  const transform = new FrameTransform(options, parties, (message) => told.push(message));
  const put = async (bytes: Uint8Array, as: object = {}): Promise<Uint8Array | undefined> => {
    const before = passed.length;
    const frame: MediaFrame = { data: Uint8Array.from(bytes).buffer, ...as };
    await transform.transform(frame, { enqueue: (out) => passed.push(out.data) });
    const out = passed[before];
    return out && new Uint8Array(out);
  };
  const running = () => told.filter(({ kind }) => kind === "running").length;
  const warnings = () => told.flatMap((said) => (said.kind === "warning" ? [said.words] : []));
  return { put, transform, running, warnings };
}

test("frames go through under keys that are set, used, rotated and dropped", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const [seal, open] = [transforming(parties, "seal"), transforming(parties, "open")];
  const [one, two, frame] = [random(16), random(16), random(50)];
  assert.equal(await seal.put(frame), undefined);
  assert.equal(seal.running(), 0);
  for (const event of [key(1n, one, true), key(1n, one, false), use(1n)]) parties.handle(event);
  await parties.handle(key(2n, two, true));
  const sealed = (await seal.put(frame)) as Uint8Array;
  assert.equal(parseHeader(sealed).kid, 1n);
  assert.deepEqual(await open.put(sealed), frame);
  assert.deepEqual([seal.running(), open.running()], [1, 1]);

  await parties.handle(use(2n));
  const next = (await seal.put(frame)) as Uint8Array;
  assert.equal(await open.put(next), undefined);
  await parties.handle(key(2n, two, false));
  assert.deepEqual(await open.put(next), frame);
  await parties.handle(drop(2n));
  assert.equal(await open.put(next), undefined);
  assert.equal(await seal.put(frame), undefined);
  assert.equal(seal.running(), 1);
});

test("Use and Drop reach the keys of the sender that they name, alone", async () => {
  const { parties, seal, open } = await pair();
  const frame = random(50);
  for (const kind of ["Use", "Drop"] as const) {
    const said = parties.handle({ kind, sender: "bob", kid: 1n });
    if (kind === "Use") await assert.rejects(said, /not installed/);
    else await said;
    assert.deepEqual(await open.put((await seal.put(frame)) as Uint8Array), frame);
  }
});

test("what fails is dropped, counted by its name, and never enqueued", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const [seal, open] = [transforming(parties, "seal"), transforming(parties, "open")];
  const baseKey = random(16);
  await parties.handle(key(1n, baseKey, true));
  await parties.handle(use(1n));
  const sealed = (await seal.put(random(20))) as Uint8Array;
  assert.equal(await open.put(sealed), undefined);
  await parties.handle(key(1n, baseKey, false));
  const forged = Uint8Array.from(sealed);
  forged[8] = (forged[8] as number) ^ 1;
  for (const bad of [forged, sealed.subarray(0, 5)]) {
    assert.equal(await open.put(bad), undefined);
  }
  assert.ok(await open.put(sealed));
  assert.equal(await open.put(sealed), undefined);
  const none = {
    authentication: 1,
    keyID: 1,
    syntax: 1,
    replay: 1,
    empty: 0,
    failed: 0,
    passed: 1,
  };
  assert.deepEqual(open.transform.counts, none);
});

const video = (mimeType?: string) => ({ type: "delta", getMetadata: () => ({ mimeType }) });

/** Both ways of a transform under one key. */
async function pair(more: Partial<TransformOptions> = {}) {
  const parties = new Parties(new MemoryCounterPort());
  const baseKey = random(16);
  for (const mine of [true, false]) await parties.handle(key(1n, baseKey, mine));
  await parties.handle(use(1n));
  return {
    parties,
    baseKey,
    seal: transforming(parties, "seal", more),
    open: transforming(parties, "open", more),
  };
}

test("frames of no bytes pass as such, prove nothing, and take no counter", async () => {
  const { seal, open } = await pair();
  for (const { put, transform, running } of [seal, open]) {
    assert.deepEqual(await put(random(0)), random(0));
    assert.deepEqual([transform.counts.empty, transform.counts.passed, running()], [1, 0, 0]);
  }
  assert.equal(parseHeader((await seal.put(random(4))) as Uint8Array).ctr, 0n);
});

test("the envelope is that of the frame's codec, else that of the options", async () => {
  const { seal, open } = await pair({ codec: "video/AV1" });
  const frame = Uint8Array.of(0xb1, 2, 3);
  for (const [as, first] of [
    [video("video/VP8"), 0x11], // what is shown of a VP8 frame
    [video("video/VP9"), 0x19], // KID 1, and a counter of 2 bytes
    [video(), 0x32], // an OBU_FRAME with a size
    [{}, 0x32],
  ] as const) {
    const wire = (await seal.put(frame, as)) as Uint8Array;
    assert.equal((wire[0] as number) & 0xf7, first & 0xf7);
    assert.deepEqual(await open.put(wire, as), frame);
  }
  assert.deepEqual([...seal.warnings(), ...open.warnings()], []);
});

test("a codec without an envelope is warned of once, and shows nothing", async () => {
  const { seal, open } = await pair();
  const frame = random(40);
  for (const as of [video("video/H266"), video("video/H266"), video(), {}]) {
    const wire = (await seal.put(frame, as)) as Uint8Array;
    assert.equal(parseHeader(wire).kid, 1n);
    assert.deepEqual(await open.put(wire, as), frame);
  }
  for (const said of [seal.warnings(), open.warnings()]) {
    assert.equal(said.length, 2);
    assert.match(said[0] as string, /H266/);
    assert.match(said[1] as string, /video\/unknown/);
  }
});

test("a key of an unknown envelope version is refused in words, and wiped", async () => {
  const parties = new Parties(new MemoryCounterPort());
  for (const envelope of [2, null]) {
    const event = { ...key(1n, random(16), true), envelope } as KeyEvent & { baseKey: Uint8Array };
    await assert.rejects(parties.handle(event), /version 1 is known/);
    assert.ok(event.baseKey.every((byte) => byte === 0));
  }
  await assert.rejects(parties.handle(use(1n)), /not installed/);
  await parties.handle({ ...key(1n, random(16), true), envelope: 1 } as KeyEvent);
});

test("a store of counters that fails drops frames, and none is sealed", async () => {
  let broken = false;
  const memory = new MemoryCounterPort();
  const parties = new Parties({
    lease: (name) => (broken ? Promise.reject(new Error("gone")) : memory.lease(name, 1n)),
  });
  const seal = transforming(parties, "seal");
  await parties.handle(key(1n, random(16), true));
  await parties.handle(use(1n));
  broken = true;
  assert.ok(await seal.put(random(4)));
  assert.equal(await seal.put(random(4)), undefined);
  assert.equal(seal.transform.counts.failed, 1);
});

test("a key that is set twice goes on with counters of its own", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const seal = transforming(parties, "seal");
  const baseKey = random(16);
  const ctrs = new Set<bigint>();
  for (let times = 0; times < 5; times++) {
    await parties.handle(key(1n, baseKey, true));
    if (times === 0) await parties.handle(use(1n));
    for (let i = 0; i < 3; i++)
      ctrs.add(parseHeader((await seal.put(random(4))) as Uint8Array).ctr);
  }
  assert.equal(ctrs.size, 15);
});

test("sender keys ratchet", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const [seal, open] = [transforming(parties, "seal"), transforming(parties, "open")];
  const event = { kind: "InstallSenderKey", sender: "alice", suite: 5, generation: 3n } as const;
  const baseKey = random(32);
  await parties.handle({ ...event, step: 0, baseKey: Uint8Array.from(baseKey), mine: true });
  await parties.handle({ ...event, step: 0, baseKey: Uint8Array.from(baseKey), mine: false });
  await parties.handle(use(0x300n));
  const frame = random(9);
  const sealed = (await seal.put(frame)) as Uint8Array;
  assert.deepEqual(await open.put(sealed), frame);
  await parties.handle(drop(0x300n));
  assert.equal(await open.put(sealed), undefined);
});

test("base_keys are wiped, also when they are refused", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const [good, bad] = [key(1n, random(16), true), key(2n, random(8), true)];
  await parties.handle(good);
  await assert.rejects(parties.handle(bad));
  for (const event of [good, bad]) {
    assert.ok("baseKey" in event && event.baseKey.every((byte) => byte === 0));
  }
  await assert.rejects(parties.handle(use(9n)), /not installed/);
  await assert.rejects(parties.handle({ kind: "Guess" } as unknown as KeyEvent), /unknown kind/);
});

test("leases over a port: given, refused, too late, twice", async () => {
  const wanted: LeaseWanted[] = [];
  const port: Port = { postMessage: (m) => wanted.push(m as LeaseWanted), onmessage: null };
  const answer = (data: object) => port.onmessage?.({ data } as MessageEvent);
  const leases = new LeasePort(50);
  await assert.rejects(leases.lease("k", 8n), CounterError);
  leases.connect(port);

  const given = leases.lease("k", 8n);
  const { id } = wanted[0] as LeaseWanted;
  answer({ kind: "LeaseGiven", id, first: 8n, end: 16n });
  answer({ kind: "LeaseGiven", id, first: 16n, end: 24n });
  assert.deepEqual(await given, { first: 8n, end: 16n });

  const refusing = leases.lease("k", 8n);
  answer({ kind: "LeaseRefused", id: (wanted[1] as LeaseWanted).id });
  await assert.rejects(refusing, /refuses/);
  await assert.rejects(leases.lease("k", 8n), /silent/);
});

test("4-byte tags are for whoever asks for them, each time", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const [seal, open] = [transforming(parties, "seal"), transforming(parties, "open")];
  for (const suite of [3, 8]) {
    const kid = BigInt(suite);
    for (const mine of [true, false]) {
      const event = { ...key(kid, random(16), mine), suite } as InstallKey;
      for (const allowShortTags of [false, undefined, "yes"] as unknown as boolean[]) {
        const asked = { ...event, allowShortTags } as InstallKey;
        await assert.rejects(parties.handle(asked), /4-byte tags.*allowShortTags/);
        assert.ok(event.baseKey.every((byte) => byte === 0));
      }
    }
  }
  const [baseKey, frame] = [random(16), random(9)];
  for (const mine of [true, false]) {
    await parties.handle({
      ...key(3n, baseKey, mine),
      suite: 3,
      allowShortTags: true,
    } as InstallKey);
  }
  await parties.handle(use(3n));
  assert.deepEqual(await open.put((await seal.put(frame)) as Uint8Array), frame);
  const again = { ...key(4n, random(16), false), suite: 3 } as InstallKey;
  await assert.rejects(parties.handle(again), /allowShortTags/);
  const epoch = { kind: "InstallEpoch", sender: "group", epoch: 1n, suite: 8 } as const;
  const group = { ...epoch, baseKey: random(32), senderBits: 4, senders: 2, myIndex: null };
  await assert.rejects(parties.handle(group), /allowShortTags/);
});

test("a base_key is for one way, or for one sender's frames", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const of = (sender: string, baseKey: Uint8Array, mine: boolean, kid = 1n) =>
    parties.handle({ ...key(kid, baseKey, mine), sender } as InstallKey);
  const [mine, theirs, room] = [random(16), random(16), random(32)];
  await of("me", mine, true);
  await of("me", mine, false); // one's own frames, heard again
  await of("bob", theirs, false);
  await of("carol", theirs, false, 2n); // a key of theirs; nothing is sealed here
  for (const kid of [1n, 2n]) {
    await assert.rejects(of("bob", mine, false, kid), /seals another sender's frames.*4\.4\.1/);
    await assert.rejects(of("me", theirs, true, kid), /opens another sender's frames.*4\.4\.1/);
  }
  // What has been dropped was used all the same.
  await parties.handle({ kind: "Drop", sender: "bob", kid: 1n });
  await parties.handle({ kind: "Drop", sender: "me", kid: 1n });
  await assert.rejects(of("bob", mine, false), /seals/);
  await assert.rejects(of("me", theirs, true), /opens/);
  // Also under another kind of key, and of a group, which is both ways under its own name.
  const chain = { kind: "InstallSenderKey", suite: 4, generation: 1n, step: 0 } as const;
  const asChain = { ...chain, sender: "bob", baseKey: Uint8Array.from(mine), mine: false };
  await assert.rejects(parties.handle(asChain), /seals/);
  const epoch = { kind: "InstallEpoch", sender: "group", epoch: 1n, suite: 4 } as const;
  const members = { senderBits: 4, senders: 2, myIndex: 1 };
  for (let times = 0; times < 2; times++) {
    await parties.handle({ ...epoch, ...members, baseKey: Uint8Array.from(room) });
  }
  for (const way of [true, false]) await assert.rejects(of("bob", room, way), /4\.4\.1/);
  const stolen = { ...epoch, ...members, baseKey: Uint8Array.from(theirs) };
  await assert.rejects(parties.handle(stolen), /opens/);
});

test("a refused key changes nothing: it is free for whoever it belongs to", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const baseKey = random(16);
  const wrong = { ...key(1n, baseKey, true), envelope: 7, sender: "bob" } as KeyEvent;
  await assert.rejects(parties.handle(wrong), /version/);
  await parties.handle(key(1n, baseKey, false));
  await assert.rejects(parties.handle({ ...key(1n, random(16), false), suite: 5 } as KeyEvent));
  await parties.handle({ ...key(2n, random(16), false), sender: "bob", suite: 5 } as KeyEvent);
});

test("frames under a key that was dropped and installed again open once", async () => {
  const { parties, seal, open, baseKey } = await pair();
  const old = (await seal.put(random(9))) as Uint8Array;
  const next = (await seal.put(random(9))) as Uint8Array;
  assert.ok(await open.put(old));
  await parties.handle(drop(1n));
  await parties.handle(key(1n, baseKey, false));
  assert.equal(await open.put(old), undefined);
  assert.equal(open.transform.counts.replay, 1);
  assert.ok(await open.put(next));
});

test("before its first key a sender's frames are counted, and those of any suite open then", async () => {
  const [ours, parties] = [
    new Parties(new MemoryCounterPort()),
    new Parties(new MemoryCounterPort()),
  ];
  const [seal, open] = [transforming(ours, "seal"), transforming(parties, "open")];
  const baseKey = random(32);
  const of = (mine: boolean) => ({ ...key(9n, baseKey, mine), suite: 5 }) as KeyEvent;
  await ours.handle(of(true));
  await ours.handle(use(9n));
  for (let n = 0; n < 12; n++) await open.put((await seal.put(random(30))) as Uint8Array);
  const { strangers, unknown } = parties.receiverOf("alice").stats;
  assert.deepEqual([unknown, strangers.get(9n)?.frames], [12, 12]);
  assert.deepEqual([open.transform.refused?.frames, open.transform.refused?.kid], [12, 9n]);
  await parties.handle(of(false));
  assert.ok(await open.put((await seal.put(random(30))) as Uint8Array));
  assert.equal(open.transform.refused, undefined);
});

test("an epoch installs all members, and oneself to seal", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const [seal, open] = [transforming(parties, "seal"), transforming(parties, "open")];
  const epoch = { kind: "InstallEpoch", sender: "alice", epoch: 18n, suite: 4 } as const;
  const [baseKey, more] = [random(32), { senderBits: 6, senders: 3 }];
  const install = (myIndex: number | null) =>
    parties.handle({ ...epoch, ...more, myIndex, baseKey: Uint8Array.from(baseKey) });
  await assert.rejects(install(3), /no member/);
  await install(1);
  await parties.handle(use(0x12n));
  const sealed = (await seal.put(random(9))) as Uint8Array;
  assert.equal(parseHeader(sealed).kid, 0x12n);
  assert.equal(await open.put(sealed), undefined); // one's own voice
  const theirs = new Parties(new MemoryCounterPort());
  await theirs.handle({ ...epoch, ...more, myIndex: null, baseKey: Uint8Array.from(baseKey) });
  assert.ok(await transforming(theirs, "open").put(sealed));
  await theirs.handle(drop(0x12n));
  assert.equal(await transforming(theirs, "open").put(sealed), undefined);
});

test("a Drop that names any member of an epoch ends one's own sealing, too", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const seal = transforming(parties, "seal");
  const more = { senderBits: 6, senders: 3, myIndex: 1, suite: 4 };
  for (const epoch of [18n, 19n]) {
    const event = { kind: "InstallEpoch", sender: "alice", epoch, baseKey: random(32) } as const;
    await parties.handle({ ...event, ...more });
  }
  await parties.handle(use(0x12n));
  assert.ok(await seal.put(random(9)));
  await parties.handle(drop(0x03n)); // of the other epoch
  await assert.rejects(parties.handle(use(0x13n)), /not installed/);
  assert.ok(await seal.put(random(9)));
  await parties.handle(drop(0x02n));
  assert.equal(await seal.put(random(9)), undefined);
  assert.equal(seal.transform.counts.keyID, 1);
});

test("an epoch replaces the one whose KIDs it has, also where one's own index is another", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const seal = transforming(parties, "seal");
  const more = { senderBits: 6, senders: 4, suite: 4 };
  const install = (epoch: bigint, myIndex: number) => {
    const event = { kind: "InstallEpoch", sender: "alice", epoch, myIndex } as const;
    return parties.handle({ ...event, ...more, baseKey: random(32) });
  };
  await install(1n, 2);
  await parties.handle(use(0x21n));
  assert.ok(await seal.put(random(9)));
  await install(17n, 3);
  assert.equal(await seal.put(random(9)), undefined);
  await assert.rejects(parties.handle(use(0x21n)), /not installed/);
  await parties.handle(use(0x31n));
  assert.ok(await seal.put(random(9)));
  await install(33n, 3); // the same KID: what was in use is the new one now
  assert.ok(await seal.put(random(9)));
});

test("a frame that waits for a counter is not sealed under a key that was dropped meanwhile", async () => {
  const memory = new MemoryCounterPort();
  let giving: () => void = () => {};
  let given = Promise.resolve();
  const parties = new Parties({
    lease: async (name) => {
      await given;
      return memory.lease(name, 1n);
    },
  });
  const seal = transforming(parties, "seal");
  await parties.handle(key(1n, random(16), true));
  await parties.handle(use(1n));
  given = new Promise((resolve) => {
    giving = resolve;
  });
  assert.ok(await seal.put(random(9)));
  const waiting = seal.put(random(9));
  await parties.handle(drop(1n));
  giving();
  assert.equal(await waiting, undefined);
  assert.equal(seal.transform.counts.failed, 1);
});

test("an epoch that opens is in use, though its own counters did not come", async () => {
  const memory = new MemoryCounterPort();
  let broken = true;
  const parties = new Parties({
    lease: (...of) => (broken ? Promise.reject(new CounterError("gone")) : memory.lease(...of)),
  });
  const baseKey = random(32);
  const epoch = { kind: "InstallEpoch", sender: "group", epoch: 1n, suite: 4 } as const;
  const event = { ...epoch, senderBits: 6, senders: 3, myIndex: 1 };
  const install = () => parties.handle({ ...event, baseKey: Uint8Array.from(baseKey) });
  await assert.rejects(install(), CounterError);
  broken = false;
  await assert.rejects(parties.handle(key(1n, baseKey, true)), /opens another sender's frames/);
  await install();
});

test("an event of the wrong shape is refused in words that name the field, and its key is wiped", async () => {
  const parties = new Parties(new MemoryCounterPort());
  const good = { ...key(7n, random(16), true) };
  const chain = { ...good, kind: "InstallSenderKey", generation: 1n, step: 0 };
  const epoch = { ...good, kind: "InstallEpoch", epoch: 1n, senderBits: 4, senders: 2, myIndex: 1 };
  const wrong: [object, RegExp][] = [
    [{ ...good, kid: 7 }, /^MisuseError: kid of InstallKey is a bigint, such as 7n$/],
    [{ ...good, mine: "no" }, /^MisuseError: mine of InstallKey is true or false$/],
    [{ ...good, mine: undefined }, /^MisuseError: mine/],
    [{ ...good, sender: "" }, /^MisuseError: sender of InstallKey is a name$/],
    [{ ...good, suite: "4" }, /^MisuseError: suite of InstallKey is a whole number$/],
    [{ ...chain, step: -1 }, /^MisuseError: step of InstallSenderKey/],
    [
      { ...epoch, myIndex: undefined },
      /^MisuseError: myIndex of InstallEpoch is a whole number, or null$/,
    ],
    [{ kind: "Drop", sender: "alice" }, /^MisuseError: kid of Drop/],
    [{ kind: "toString" }, /unknown kind/],
    [null as unknown as object, /unknown kind/],
  ];
  for (const [event, words] of wrong) {
    const sent = "baseKey" in (event ?? {}) ? { ...event, baseKey: random(32) } : event;
    await assert.rejects(parties.handle(sent as KeyEvent), words);
    if (sent && "baseKey" in sent) assert.deepEqual(sent.baseKey, new Uint8Array(32));
  }
  for (const baseKey of [random(32).buffer, Array.from(random(32)), new Uint16Array(32)]) {
    const event = { ...good, baseKey } as unknown as KeyEvent;
    await assert.rejects(parties.handle(event), /^MisuseError: baseKey of InstallKey/);
  }
});
