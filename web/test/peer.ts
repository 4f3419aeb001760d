/**
 * The TypeScript side as a process, for tests/browser: a request a line in, an answer a line out, both JSON.
 *
 * Byte strings are hex, and numbers of 64 bits are decimal strings.
 */

import { createInterface } from "node:readline";
import { Envelope } from "../codecs/envelope.js";
import { toHex } from "../sframe/bytes.js";
import {
  BaseKey,
  FrameKey,
  FrameRejected,
  KeyFlowMonitor,
  type KeyStats,
  Receiver,
} from "../sframe/index.js";
import { Strangers } from "../sframe/strangers.js";
import { hex, SHORT, senderAt } from "./support.js";

/** A receiver's counters at one poll. */
interface Poll {
  now: number;
  malformed: number;
  unknown: number;
  /** KID, frames, those that followed others, whether the KID is of the past. */
  strangers: [string, number, number, boolean][];
  keys: (Omit<KeyStats, "kid"> & { kid: string })[];
}

/** What one monitor makes of poll after poll: KID ("" of what is not SFrame), state, opened, refused. */
interface Judging {
  op: "judge";
  polls: Poll[];
}

/** Frames under unknown KIDs; what is counted of them. */
interface Straying {
  op: "stray";
  frames: [string, string][];
}

interface Request {
  op: "seal" | "open";
  suite: number;
  base_key: string;
  /** Ratchet steps taken before the key is used. */
  steps: number;
  /** Null: the key is not one of an RTP stream. */
  ssrc: number | null;
  kid: string;
  ctr: string;
  metadata: string;
  clear: number;
  /** Null: SFrame alone; else in this codec's envelope. */
  codec: string | null;
  data: string;
}

async function answer(request: Request): Promise<{ data: string } | { rejected: string }> {
  const key = await keyOf(request);
  const options = { metadata: hex(request.metadata), clear: request.clear };
  const [data, envelope] = [hex(request.data), request.codec && new Envelope(request.codec)];
  if (request.op === "seal") {
    const sender = await senderAt(key, BigInt(request.ctr));
    const protect = (frame: Uint8Array) => sender.protectInParts(frame, options);
    const sealed = envelope ? envelope.seal(protect, data) : sender.protect(data, options);
    return { data: toHex(await sealed) };
  }
  const receiver = new Receiver(request.suite, SHORT);
  receiver.addKey(key);
  const unprotect = (ciphertext: Uint8Array) => receiver.unprotect(ciphertext, options);
  try {
    return { data: toHex(await (envelope ? envelope.open(unprotect, data) : unprotect(data))) };
  } catch (error) {
    if (error instanceof FrameRejected) return { rejected: error.reason };
    throw error;
  }
}

function judged({ polls }: Judging): unknown {
  const monitor = new KeyFlowMonitor();
  return polls.map(({ now, malformed, unknown, strangers, keys }) => {
    const others = strangers.map(([kid, frames, advanced, stale]) => {
      return [BigInt(kid), { frames, advanced, stale }] as const;
    });
    const known = keys.map((key) => ({ ...key, kid: BigInt(key.kid) }));
    const stats = { malformed, unknown, strangers: new Map(others), keys: known };
    return [...monitor.poll(now, stats)].map(([kid, { state, opened, refused }]) => {
      return [kid === null ? "" : `${kid}`, state, opened, refused];
    });
  });
}

function strayed({ frames }: Straying): unknown {
  const strangers = new Strangers();
  for (const [kid, ctr] of frames) strangers.note(BigInt(kid), BigInt(ctr));
  const counted = strangers.stats(() => false);
  return [...counted].map(([kid, { frames, advanced }]) => [`${kid}`, frames, advanced]);
}

async function keyOf({ suite, base_key, steps, ssrc, kid }: Request): Promise<FrameKey> {
  let base = await BaseKey.from(suite, hex(base_key));
  if (ssrc !== null) base = await base.forSsrc(ssrc);
  for (let step = 0; step < steps; step++) base = await base.ratchet();
  return FrameKey.derive(base, BigInt(kid));
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request | Judging | Straying;
  const flow =
    request.op === "judge" ? judged(request) : request.op === "stray" && strayed(request);
  const said = flow || (await answer(request as Request));
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
