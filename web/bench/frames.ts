/**
 * A worker that times frames through the frame worker and through LiveKit's, on the same frames in
 * turns: both are loaded into this realm, and are given tracks of our own.
 *
 * Rules: everything is timed from putting a frame in to taking it out. Every frame is opened once and
 * compared after the clock has stopped; one that differs, or does not come out, ends the run.
 */

import type { LeaseWanted, ToWorker } from "../messages.js";
import { MemoryCounterPort } from "../sframe/counters.js";
import type { Timing } from "./table.js";

declare const self: DedicatedWorkerGlobalScope;

type Handler = (event: { data: unknown }) => void;

interface Frame {
  data: ArrayBuffer;
  readonly type?: string;
  readonly timestamp: number;
  getMetadata(): { mimeType: string; synchronizationSource: number; payloadType: number };
}

/** What is timed: a size of Opus or VP8. */
interface Row {
  readonly name: string;
  readonly size: number;
  readonly mimeType: string;
}

const ROWS: readonly Row[] = [
  { name: "Opus, 80 B", size: 80, mimeType: "audio/opus" },
  { name: "VP8, 1200 B", size: 1_200, mimeType: "video/VP8" },
  { name: "VP8, 20 kB", size: 20_000, mimeType: "video/VP8" },
];
const KEY_BYTES = 16;
const WARM = 400;

interface Asked {
  readonly frames: number;
  /** Of the rows that are wanted, as their timings are called; none means all. */
  readonly names: readonly string[];
  /** Ours is held up by that many of their medians. */
  readonly slower: number;
}

/** The onmessage of a worker's script. */
async function handlerOf(path: string): Promise<Handler> {
  await import(new URL(path, self.location.href).href);
  return self.onmessage as unknown as Handler;
}

/** A transform between two streams; one frame is in it at a time. */
class Track {
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
  #put: ReadableStreamDefaultController<Frame> | undefined;
  #out: (frame: Frame) => void = () => {};

  constructor() {
    this.readable = new ReadableStream({
      start: (put) => {
        this.#put = put;
      },
    });
    this.writable = new WritableStream({ write: (frame: Frame) => this.#out(frame) });
  }

  /** Milliseconds from in to out, and in them `delay`; the frame is changed in place. */
  async through(frame: Frame, delay: number): Promise<number> {
    const out = new Promise<Frame>((resolve) => {
      this.#out = resolve;
    });
    const start = performance.now();
    while (performance.now() < start + delay);
    this.#put?.enqueue(frame);
    await out;
    return performance.now() - start;
  }
}

interface Side {
  readonly seal: Track;
  readonly open: Track;
}

function frameOf(row: Row, bytes: Uint8Array, timestamp: number): Frame {
  const metadata = { mimeType: row.mimeType, synchronizationSource: 1, payloadType: 96 };
  const type = row.mimeType.startsWith("video") ? { type: "delta" } : {};
  const data = Uint8Array.from(bytes).buffer;
  return { data, timestamp, getMetadata: () => metadata, ...type };
}

/** Bytes that no row has twice; bit 0 says that a VP8 frame is no key frame. */
function content(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  crypto.getRandomValues(bytes);
  bytes[0] = (bytes[0] as number) | 1;
  return bytes;
}

function ourSide(handle: Handler, row: Row): Side {
  const [seal, open] = [new Track(), new Track()];
  for (const [operation, track] of [
    ["seal", seal],
    ["open", open],
  ] as const) {
    const options = { id: `${row.name} ${operation}`, operation, sender: "alice" };
    const { readable, writable } = track;
    const message: ToWorker = { kind: "streams", options, readable, writable };
    handle({ data: message });
  }
  return { seal, open };
}

function theirSide(handle: Handler, row: Row): Side {
  const [seal, open] = [new Track(), new Track()];
  for (const [kind, track] of [
    ["encode", seal],
    ["decode", open],
  ] as const) {
    const data = {
      participantIdentity: "alice",
      trackId: `${row.name} ${kind}`,
      readableStream: track.readable,
      writableStream: track.writable,
      codec: row.mimeType === "video/VP8" ? "vp8" : undefined,
      hasPacketTrailer: false,
    };
    handle({ data: { kind, data } });
  }
  return { seal, open };
}

async function ourKeys(handle: Handler): Promise<void> {
  const [keys, counters] = [new MessageChannel(), new MessageChannel()];
  const store = new MemoryCounterPort();
  counters.port1.onmessage = async ({ data }: MessageEvent<LeaseWanted>) => {
    const lease = await store.lease(data.keyName, data.count);
    counters.port1.postMessage({ kind: "LeaseGiven", id: data.id, ...lease });
  };
  handle({ data: { kind: "counters", port: counters.port2 } });
  handle({ data: { kind: "keys", port: keys.port2 } });
  const key = { sender: "alice", suite: 4, kid: 300n };
  const baseKey = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  for (const mine of [true, false]) {
    keys.port1.postMessage({ kind: "InstallKey", ...key, mine, baseKey });
  }
  keys.port1.postMessage({ kind: "Use", ...key });
}

async function theirKeys(handle: Handler): Promise<void> {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const key = await crypto.subtle.importKey("raw", bytes, "HKDF", false, [
    "deriveBits",
    "deriveKey",
  ]);
  const keyProviderOptions = {
    sharedKey: false,
    ratchetSalt: "LKFrameEncryptionKey",
    ratchetWindowSize: 8,
    failureTolerance: 10,
    keyringSize: 16,
    keySize: 128,
  };
  const participantIdentity = "alice";
  handle({ data: { kind: "init", data: { keyProviderOptions, loglevel: "silent" } } });
  handle({ data: { kind: "enable", data: { participantIdentity, enabled: true } } });
  handle({ data: { kind: "setKey", data: { participantIdentity, key, keyIndex: 0 } } });
}

async function roundTrip(
  side: Side,
  row: Row,
  bytes: Uint8Array,
  n: number,
  delay: number,
): Promise<number[]> {
  const frame = frameOf(row, bytes, 960 * n);
  const sealed = await side.seal.through(frame, delay);
  const size = frame.data.byteLength;
  const opened = await side.open.through(frame, delay);
  const same = new Uint8Array(frame.data).every((byte, i) => byte === bytes[i]);
  if (!same || frame.data.byteLength !== bytes.length || size <= bytes.length) {
    throw new Error(`${row.name}: a frame came back another one`);
  }
  return [sealed, opened];
}

async function timed(row: Row, ours: Side, theirs: Side, frames: number, delay: number) {
  const [mine, other]: number[][][] = [
    [[], []],
    [[], []],
  ];
  for (let n = 0; n < frames; n++) {
    const bytes = content(row.size);
    for (const side of n % 2 ? [ours, theirs] : [theirs, ours]) {
      const times = await roundTrip(side, row, bytes, n, side === ours ? delay : 0);
      times.forEach((time, i) => {
        (side === ours ? mine : other)?.[i]?.push(time);
      });
    }
  }
  return ["seal", "open"].map((what, i) => ({
    name: `${row.name}, ${what}`,
    ours: mine?.[i] as number[],
    theirs: other?.[i] as number[],
  }));
}

async function run({ frames, names, slower }: Asked): Promise<Timing[]> {
  const ours = await handlerOf("/dist/frame-worker.js");
  const theirs = await handlerOf("/livekit.js");
  self.onmessage = null;
  await ourKeys(ours);
  await theirKeys(theirs);
  await new Promise((f) => setTimeout(f, 500)); // keys are derived
  const timings: Timing[] = [];
  const isAsked = (row: Row) => names.some((name) => name.startsWith(`${row.name}, `));
  for (const row of names.length > 0 ? ROWS.filter(isAsked) : ROWS) {
    const [a, b] = [ourSide(ours, row), theirSide(theirs, row)];
    const [warm] = await timed(row, a, b, WARM, 0);
    const sorted = [...(warm?.theirs ?? [])].sort((x, y) => x - y);
    const delay = slower * (sorted[sorted.length >> 1] ?? 0);
    timings.push(...(await timed(row, a, b, frames, delay)));
  }
  return timings;
}

self.onmessage = ({ data }: MessageEvent<Asked>) => {
  run(data).then(
    (timings) => self.postMessage({ timings }),
    (error) => self.postMessage({ error: String(error) }),
  );
};
self.postMessage("ready");
