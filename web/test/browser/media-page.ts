/**
 * A page with both ends of a call: it publishes a fake microphone and camera through dist/page.js and
 * dist/frame-worker.js, and receives them with whatever a test puts there.
 */

import type * as Product from "../../page.js";
import { MemoryCounterPort } from "../../sframe/counters.js";

// As a user's page has them: the built files, by their address.
const product: typeof Product = await import(new URL("/dist/page.js", location.href).href);
const { attach, CounterStore, FrameWorker, publish, watch } = product;

const worker = (path: string) => new Worker(path, { type: "module" });

export interface Ends {
  readonly from: RTCPeerConnection;
  readonly to: RTCPeerConnection;
}

function connect(config: RTCConfiguration = {}): Ends {
  const [from, to] = [new RTCPeerConnection(config), new RTCPeerConnection(config)];
  from.onicecandidate = ({ candidate }) => to.addIceCandidate(candidate ?? undefined);
  to.onicecandidate = ({ candidate }) => from.addIceCandidate(candidate ?? undefined);
  return { from, to };
}

async function negotiate({ from, to }: Ends): Promise<void> {
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription as RTCSessionDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription as RTCSessionDescription);
}

async function tracks(): Promise<MediaStreamTrack[]> {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  return media.getTracks();
}

const CODECS: Record<string, string> = { audio: "audio/opus", video: "video/VP8" };

function preferVP8(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === "video/VP8"));
}

function frameWorker(lease: boolean, said: string[]) {
  const counters = lease ? new CounterStore() : new MemoryCounterPort();
  const onTrouble = (words: string) => said.push(words);
  return new FrameWorker(worker("/dist/frame-worker.js"), { counters, onTrouble });
}

function install(frames: Product.FrameWorker, key: string, mine = true): void {
  const baseKey = new TextEncoder().encode(key);
  frames.handle({ kind: "InstallKey", sender: "alice", suite: 4, kid: 300n, baseKey, mine });
  if (mine) frames.handle({ kind: "Use", sender: "alice", kid: 300n });
}

/** Takes frames off the wire; `more` waits for that many more, and has them posted. */
function capturing(to: RTCPeerConnection, label: string) {
  const capture = worker("/build/browser/capture-worker.js");
  to.addEventListener("track", ({ receiver, track }) => {
    const codec = CODECS[track.kind] as string;
    receiver.transform = new RTCRtpScriptTransform(capture, { label, codec });
  });
  const heard = (wanted: (data: unknown) => boolean) =>
    new Promise<void>((resolve) => {
      const listener = ({ data }: MessageEvent) => {
        if (!wanted(data)) return;
        capture.removeEventListener("message", listener);
        resolve();
      };
      capture.addEventListener("message", listener);
    });
  let total = 0;
  capture.addEventListener("message", ({ data }) => {
    if (typeof data === "number") total = data;
  });
  return async (count: number) => {
    const goal = total + count;
    await heard((data) => typeof data === "number" && data >= goal);
    const flushed = heard((data) => data === "flushed");
    capture.postMessage("flush");
    await flushed;
  };
}

/** Publishes under a key, with a capture at the other end; each life has connections of its own. */
async function life(label: string, key: string, lease: boolean) {
  const [ends, said] = [connect(), [] as string[]];
  const frames = frameWorker(lease, said);
  const more = capturing(ends.to, label);
  install(frames, key);
  const published = (await tracks()).map((track) => {
    const options = { id: track.kind, sender: "alice", codec: CODECS[track.kind] as string };
    return publish(ends.from, track, frames, options);
  });
  for (const { transceiver } of published) {
    if (transceiver.sender.track?.kind === "video") preferVP8(transceiver);
  }
  await negotiate(ends);
  await Promise.all(published.map(({ live }) => live));
  const end = () => {
    frames.close();
    ends.from.close();
    ends.to.close();
  };
  return { ends, frames, more, end };
}

const FEW = 40; // frames of each way in which counters could start again

/** One page's part of a capture: a worker that ends, a key set twice, and a renegotiation. */
async function lives(label: string, key: string, lease: boolean): Promise<void> {
  const first = await life(`${label}:worker-1`, key, lease);
  await first.more(FEW);
  first.end();
  const second = await life(`${label}:worker-2`, key, lease);
  await second.more(FEW);
  install(second.frames, key);
  await second.more(FEW);
  second.ends.from.addTransceiver("audio", { direction: "recvonly" });
  second.ends.from.restartIce();
  await negotiate(second.ends);
  await second.more(FEW);
  second.end();
}

/** The totals of what was received: packets or frames, and how loud it was. */
async function received(receiver: RTCRtpReceiver): Promise<{ count: number; energy: number }> {
  let [count, energy] = [0, 0];
  for (const row of (await receiver.getStats()).values()) {
    if (row.type !== "inbound-rtp") continue;
    count = row.framesDecoded ?? row.packetsReceived ?? 0;
    energy = row.totalAudioEnergy ?? 0;
  }
  return { count, energy };
}

async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((f) => setTimeout(f, 100));
  }
}

/** The receiver of the microphone, played, since what nobody plays is not decoded. */
function listening(to: RTCPeerConnection, prepare: (receiver: RTCRtpReceiver) => void = () => {}) {
  return new Promise<RTCRtpReceiver>((resolve) => {
    to.addEventListener("track", ({ receiver, track }) => {
      prepare(receiver);
      const player = new Audio();
      player.srcObject = new MediaStream([track]);
      player.play();
      resolve(receiver);
    });
  });
}

/** What a page is told of a transform; a busy machine may take its time to answer. */
function watching(
  end: RTCRtpReceiver,
  id: string,
  frames: Product.FrameWorker,
  patience = 600_000,
) {
  const told: { words: string; fault: Product.Fault | null }[] = [];
  watch(end, id, frames, (words, fault) => told.push({ words, fault }), { every: 100, patience });
  return told;
}

/** The counts of a transform, when more than so many frames have this name. */
function counted(
  frames: Product.FrameWorker,
  id: string,
  name: keyof Product.FrameCounts,
  above = 30,
) {
  return until(async () => {
    const counts = (await frames.counts())[id];
    return counts && counts[name] > above ? counts : undefined;
  });
}

async function microphone(): Promise<MediaStreamTrack> {
  return (await tracks()).find(({ kind }) => kind === "audio") as MediaStreamTrack;
}

/** How loud a track is that is sent in the clear, because its transform is withheld. */
async function withheld(): Promise<{ placeholder: number; live: boolean; real: number }> {
  const ends = connect();
  const frames = frameWorker(true, []);
  install(frames, "sixteen bytes or more");
  frames.attach = () => false;
  const track = await microphone();
  const hearing = listening(ends.to);
  const { transceiver, live } = publish(ends.from, track, frames, { id: "a", sender: "alice" });
  let isLive = false;
  live.then(() => {
    isLive = true;
  });
  await negotiate(ends);
  const receiver = await hearing;
  const enough = async (above: number) => {
    const { count, energy } = await received(receiver);
    return count > above ? { count, energy } : undefined;
  };
  const { count, energy } = await until(() => enough(200));
  const [placeholder, wasLive] = [energy, isLive];
  await transceiver.sender.replaceTrack(track);
  const { energy: real } = await until(() => enough(count + 200));
  ends.from.close();
  return { placeholder, live: wasLive, real };
}

/** A call that is sealed and opened: whether it is heard, before and after there is a key. */
async function call(via: "script" | "streams") {
  const config = via === "streams" ? { encodedInsertableStreams: true } : {};
  const [ends, said] = [connect(config as RTCConfiguration), [] as string[]];
  const [mine, theirs] = [frameWorker(true, said), frameWorker(true, said)];
  const hearing = listening(ends.to, (receiver) => {
    theirs.attach(receiver, { id: "in", operation: "open", sender: "alice" }, via);
  });
  const attachMine = mine.attach.bind(mine);
  mine.attach = (end, options) => attachMine(end, options, via);
  const published = publish(ends.from, await microphone(), mine, { id: "out", sender: "alice" });
  await negotiate(ends);
  const receiver = await hearing;
  const told = watching(receiver, "in", theirs);
  const before = await counted(mine, "out", "keyID");
  install(mine, "sixteen bytes or more");
  await published.live;
  const keyless = await counted(theirs, "in", "keyID");
  await until(() => told.at(-1));
  install(theirs, "sixteen bytes or more", false);
  const opened = await counted(theirs, "in", "passed");
  await until(() => told.find(({ fault }) => fault === null));
  ends.from.close();
  return { before, keyless, opened, told, said };
}

/** What a page is told of media that is sent to it in the clear, and how many frames got through. */
async function clear(kind: "audio" | "video") {
  const [ends, frames] = [connect(), frameWorker(true, [])];
  install(frames, "sixteen bytes or more", false);
  const receiving = new Promise<RTCRtpReceiver>((resolve) => {
    ends.to.addEventListener("track", ({ receiver }) => {
      frames.attach(receiver, { id: "in", operation: "open", sender: "alice" });
      resolve(receiver);
    });
  });
  const track = (await tracks()).find((track) => track.kind === kind) as MediaStreamTrack;
  const transceiver = ends.from.addTransceiver(track, { direction: "sendonly" });
  if (kind === "video") preferVP8(transceiver);
  await negotiate(ends);
  const told = watching(await receiving, "in", frames);
  const first = await until(() => told.at(-1));
  const { in: counts } = await frames.counts();
  ends.from.close();
  return { ...first, passed: counts?.passed };
}

/** What a page is told when the worker of a call that flows is ended, and what is heard after that. */
async function ended() {
  const [ends, said] = [connect(), [] as string[]];
  const [mine, theirs] = [frameWorker(true, said), frameWorker(true, said)];
  const hearing = listening(ends.to, (receiver) => {
    theirs.attach(receiver, { id: "in", operation: "open", sender: "alice" });
  });
  publish(ends.from, await microphone(), mine, { id: "out", sender: "alice" });
  install(mine, "sixteen bytes or more");
  install(theirs, "sixteen bytes or more", false);
  await negotiate(ends);
  const receiver = await hearing;
  await counted(theirs, "in", "passed");
  const { energy: heard } = await received(receiver);
  theirs.worker.terminate();
  const told = watching(receiver, "in", theirs, 2_000);
  const first = await until(() => told.at(-1));
  const { count, energy: then } = await received(receiver);
  const more = async () => {
    const now = await received(receiver);
    return now.count > count + 50 ? now.energy : undefined;
  };
  const afterwards = (await until(more)) - then;
  ends.from.close();
  return { ...first, heard, afterwards };
}

/** A worker that has the keys, and a port to the frame worker: they never touch the page. */
async function keyPort() {
  const [ends, said] = [connect(), [] as string[]];
  const [mine, theirs] = [frameWorker(true, said), frameWorker(true, said)];
  for (const [frames, isMine] of [
    [mine, true],
    [theirs, false],
  ] as const) {
    const port = frames.keyPort();
    worker("/build/browser/key-worker.js").postMessage({ port, isMine }, [port]);
  }
  ends.to.addEventListener("track", ({ receiver }) => {
    theirs.attach(receiver, { id: "in", operation: "open", sender: "alice" });
  });
  publish(ends.from, await microphone(), mine, { id: "out", sender: "alice" });
  await negotiate(ends);
  const opened = await counted(theirs, "in", "passed");
  ends.from.close();
  return { opened, said };
}

/** The example of web/README.md as it stands there, with bob at the other end of its connection. */
async function readme() {
  const [{ from, to }, errors] = [connect(), [] as string[]];
  addEventListener("error", ({ message }) => errors.push(message));
  const far = frameWorker(true, errors);
  const keyOf = (name: string) => new TextEncoder().encode(`sixteen bytes of ${name}`);
  const forFar = { kind: "InstallKey", suite: 4 } as const;
  far.handle({ ...forFar, sender: "alice", kid: 7n, baseKey: keyOf("alice"), mine: false });
  far.handle({ ...forFar, sender: "bob", kid: 8n, baseKey: keyOf("bob"), mine: true });
  far.handle({ kind: "Use", sender: "bob", kid: 8n });
  from.addEventListener("track", ({ receiver }) => {
    far.attach(receiver, { id: "alice's camera", operation: "open", sender: "alice" });
  });
  let events = 0;
  to.addEventListener("track", () => {
    events++;
  });
  const camera = (await tracks()).find(({ kind }) => kind === "video");
  const given = { connection: to, camera, baseKey: keyOf("alice"), bobsKey: keyOf("bob") };
  Object.assign(window, given);
  const { frames, live } = await import(new URL("readme.js", location.href).href);
  await negotiate({ from: to, to: from });
  await live;
  await counted(far, "alice's camera", "passed");

  const bob = publish(from, await microphone(), far, { id: "bob's voice", sender: "bob" });
  await negotiate({ from, to });
  await bob.live;
  const heard = to.getTransceivers().find(({ receiver }) => receiver.track.kind === "audio");
  const id = `received ${heard?.mid}`;
  const { passed } = await counted(frames, id, "passed");
  for (const direction of ["inactive", "sendonly"] as const) {
    bob.transceiver.direction = direction;
    await negotiate({ from, to });
  }
  await until(() => (events === 2 ? true : undefined));
  await counted(frames, id, "passed", passed + 30);
  from.close();
  return { events, errors };
}

/**
 * What the watchdog says of a transform that is set when frames have long been flowing, or is never
 * set at all.
 */
async function late(isSet: boolean): Promise<{ counted: number; words: string | null }> {
  const [ends, frames] = [connect(), frameWorker(true, [])];
  ends.to.addTransceiver("audio", { direction: "recvonly" });
  const track = await microphone();
  const hearing = listening(ends.to);
  ends.from.addTransceiver(track, { direction: "sendonly" });
  await negotiate(ends);
  const receiver = await hearing;
  await until(async () => ((await received(receiver)).count > 50 ? true : undefined));
  if (isSet) attach(receiver, frames.worker, { id: "late", operation: "open", sender: "alice" });
  let words: string | null = null;
  watch(
    receiver,
    "late",
    frames,
    (said, fault) => {
      // Of a transform that runs, it says that this media is in the clear.
      if (fault === "not running") words = said;
    },
    { every: 100, patience: 600_000 },
  );
  // Either the watchdog speaks, or the worker is given frames.
  const counted = await until(async () => {
    const { late: counts } = await frames.counts();
    const seen = Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0);
    return words !== null || seen > 30 ? seen : undefined;
  });
  ends.from.close();
  return { counted, words };
}

/** What the browser says of the codec of a track's frames at one end; null where it says nothing. */
async function mimeTypeAt(at: "sender" | "receiver", track: MediaStreamTrack) {
  const ends = connect();
  const capture = worker("/build/browser/capture-worker.js");
  const said = new Promise<string | null>((resolve) => {
    capture.addEventListener("message", ({ data }) => {
      if (typeof data === "object") resolve(data.mimeType);
    });
  });
  const options = { label: at, codec: CODECS[track.kind] };
  const transform = () => new RTCRtpScriptTransform(capture, options);
  ends.to.addEventListener("track", ({ receiver }) => {
    if (at === "receiver") receiver.transform = transform();
  });
  const transceiver = ends.from.addTransceiver(track, { direction: "sendonly" });
  if (at === "sender") transceiver.sender.transform = transform();
  if (track.kind === "video") preferVP8(transceiver);
  await negotiate(ends);
  const mimeType = await said;
  for (const end of [ends.from, ends.to]) end.close();
  capture.terminate();
  return mimeType;
}

async function mimeTypes() {
  const rows = [];
  for (const track of await tracks()) {
    const [sender, receiver] = [
      await mimeTypeAt("sender", track),
      await mimeTypeAt("receiver", track),
    ];
    rows.push({ codec: CODECS[track.kind] as string, sender, receiver });
  }
  return rows;
}

Object.assign(window, {
  scenarios: { lives, withheld, call, clear, ended, keyPort, readme, late, mimeTypes },
});
