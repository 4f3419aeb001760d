/** What is shipped: one small file, that runs, and lets no key out. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";
import { gzipSync } from "node:zlib";
import type { FromWorker, ToWorker } from "../messages.js";
import { MemoryCounterPort } from "../sframe/index.js";
import { random } from "./support.js";

const LARGEST = 14_000; // bytes, gzipped
const dist = (name: string) => readFileSync(new URL(`../../dist/${name}`, import.meta.url));

test(`frame-worker.js has at most ${LARGEST} bytes gzipped, and imports nothing`, (t) => {
  const worker = dist("frame-worker.js");
  const size = gzipSync(worker, { level: 9 }).length;
  t.diagnostic(`frame-worker.js: ${worker.length} bytes, ${size} gzipped`);
  assert.ok(size <= LARGEST, `${size} bytes`);
  assert.ok(!/\bimport\b|\brequire\(/.test(worker.toString()), "it imports something");
});

test("page.js exports what a page needs", async () => {
  const page = await import(new URL("../../dist/page.js", import.meta.url).href);
  const names = ["CounterStore", "FrameWorker", "attach", "follow", "placeholder", "publish"];
  assert.deepEqual(Object.keys(page).sort(), [...names, "serveCounters", "supported", "watch"]);
  assert.match(dist("types/page/attach.d.ts").toString(), /export declare function attach/);
});

/** The bundle in a realm of its own, with the parts of a worker that it uses. */
function start() {
  const told: FromWorker[] = [];
  const listeners = new Map<string, (event: unknown) => void>();
  const self = {
    postMessage: (message: FromWorker) => told.push(message),
    addEventListener: (name: string, f: (event: unknown) => void) => listeners.set(name, f),
    onmessage: undefined as unknown as (event: { data: ToWorker }) => void,
  };
  const { TransformStream, TextEncoder } = globalThis;
  const { setTimeout, clearTimeout, performance } = globalThis;
  const realm = {
    self,
    crypto,
    TransformStream,
    TextEncoder,
    setTimeout,
    clearTimeout,
    performance,
  };
  // Types of this realm, since WebCrypto looks at them.
  const types = { Uint8Array, Error };
  vm.runInNewContext(dist("frame-worker.js").toString(), { ...realm, ...types });
  return { self, told, transform: (event: unknown) => listeners.get("rtctransform")?.(event) };
}

async function until(done: () => unknown): Promise<void> {
  for (let turns = 0; turns < 1_000 && !done(); turns++) await new Promise((f) => setTimeout(f, 5));
  assert.ok(done(), "waited in vain");
}

/** A transform whose frames are put in by hand. */
function track(options: object) {
  const out: Uint8Array[] = [];
  let put: ReadableStreamDefaultController<{ data: ArrayBuffer }> | undefined;
  const readable = new ReadableStream({
    start: (controller) => {
      put = controller;
    },
  });
  const writable = new WritableStream({
    write: (frame: { data: ArrayBuffer }) => {
      out.push(new Uint8Array(frame.data));
    },
  });
  const send = (bytes: Uint8Array) => put?.enqueue({ data: Uint8Array.from(bytes).buffer });
  return { out, send, readable, writable, options };
}

test("the bundle seals and opens, by events and by streams, and tells no key", async () => {
  const { self, told, transform } = start();
  const [keys, leases] = [new MessageChannel(), new MessageChannel()];
  try {
    self.onmessage({ data: { kind: "keys", port: keys.port2 } });
    self.onmessage({ data: { kind: "counters", port: leases.port2 } });
    const [store, overKeyPort] = [new MemoryCounterPort(), [] as unknown[]];
    leases.port1.onmessage = async ({ data: { id, keyName, count } }) => {
      const lease = await store.lease(keyName, count);
      leases.port1.postMessage({ kind: "LeaseGiven", id, ...lease });
    };
    keys.port1.onmessage = ({ data }) => overKeyPort.push(data);
    const baseKey = random(16);
    const install = { kind: "InstallKey", sender: "a", suite: 4, kid: 5n, baseKey };
    keys.port1.postMessage({ ...install, mine: true });
    keys.port1.postMessage({ ...install, mine: false });
    keys.port1.postMessage({ kind: "Use", sender: "a", kid: 5n });
    keys.port1.postMessage({ kind: "Use", sender: "a", kid: 6n });
    await until(() => told.some((message) => message.kind === "trouble"));

    const sealing = track({ id: "out", operation: "seal", sender: "a" });
    transform({ transformer: sealing });
    const frame = random(64);
    sealing.send(frame);
    await until(() => sealing.out.length === 1);

    const opening = track({ id: "in", operation: "open", sender: "a" });
    const { readable, writable } = opening;
    const options = { id: "in", operation: "open", sender: "a" } as const;
    self.onmessage({ data: { kind: "streams", options, readable, writable } });
    opening.send(frame);
    opening.send(sealing.out[0] as Uint8Array);
    await until(() => opening.out.length === 1);
    assert.deepEqual(opening.out[0], frame);

    self.onmessage({ data: { kind: "report" } });
    const kinds = told.map((message) => message.kind);
    assert.deepEqual(kinds, ["ready", "trouble", "running", "running", "counts"]);
    assert.deepEqual(overKeyPort, []);
    const said = JSON.stringify(told);
    for (const secret of [baseKey, frame]) {
      assert.ok(!said.includes(Buffer.from(secret).toString("hex")));
      assert.ok(!said.includes(Array.from(secret).join(",")));
    }
  } finally {
    for (const channel of [keys, leases]) channel.port1.close();
  }
});
