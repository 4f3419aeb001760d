/**
 * A page with two calls of one voice, one sealed and one plain, and both their ends: how long a sound
 * takes from mouth to ear, and a frame from entering its sealing transform to leaving its opening one.
 *
 * The mouth is a tone that begins at a known time of an AudioContext, and the ears are worklets of the
 * same context, so that there is one clock. A microphone and a loudspeaker, with their buffers, are not
 * in it; the browser's encoder, its jitter buffer and loopback are.
 */

import type * as Product from "../page.js";
import { MemoryCounterPort } from "../sframe/counters.js";
import type { Passage } from "./table.js";

export interface Latencies {
  /** Seconds from mouth to ear, tone by tone. */
  readonly sealed: number[];
  readonly plain: number[];
  /** Milliseconds of each frame: in the sealing transform, in the opening one, and from in to out. */
  readonly frames: { seal: number[]; open: number[]; all: number[] };
}

const TONE_S = 0.1;
const MOST_LATE_S = 0.9;

/** Posts the time at which a sound begins after a silence. */
const EAR = `registerProcessor("ear", class extends AudioWorkletProcessor {
  quiet = 0;
  process([[samples]]) {
    const loud = samples?.some((sample) => Math.abs(sample) > 0.05);
    if (loud && this.quiet > 0.2 * sampleRate) this.port.postMessage(currentTime);
    this.quiet = loud ? 0 : this.quiet + 128;
    return true;
  }
});`;

const product: typeof Product = await import(new URL("/dist/page.js", location.href).href);

function frameWorker(passages: Passage[]): Product.FrameWorker {
  const worker = new Worker("/build/browser/timed-worker.js", { type: "module" });
  worker.addEventListener("message", ({ data }) => {
    if ("entered" in data) passages.push(data);
  });
  return new product.FrameWorker(worker, { counters: new MemoryCounterPort() });
}

async function call(voice: MediaStream, audio: AudioContext, sealing?: Product.FrameWorker[]) {
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = ({ candidate }) => to.addIceCandidate(candidate ?? undefined);
  to.onicecandidate = ({ candidate }) => from.addIceCandidate(candidate ?? undefined);
  const heard: number[] = [];
  to.ontrack = ({ receiver, track }) => {
    sealing?.[1]?.attach(receiver, { id: "voice", operation: "open", sender: "alice" });
    const stream = new MediaStream([track]);
    const player = new Audio(); // Chromium decodes nothing that no element plays.
    Object.assign(player, { srcObject: stream, muted: true });
    player.play();
    const ear = new AudioWorkletNode(audio, "ear");
    ear.port.onmessage = ({ data }) => heard.push(data);
    audio.createMediaStreamSource(stream).connect(ear);
  };
  const { sender } = from.addTransceiver(voice.getTracks()[0] as MediaStreamTrack);
  sealing?.[0]?.attach(sender, { id: "voice", operation: "seal", sender: "alice" });
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription as RTCSessionDescription);
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription as RTCSessionDescription);
  return heard;
}

function install([mine, theirs]: Product.FrameWorker[]): void {
  const key = { kind: "InstallKey", sender: "alice", suite: 4, kid: 7n } as const;
  const baseKey = crypto.getRandomValues(new Uint8Array(16));
  mine?.handle({ ...key, mine: true, baseKey: Uint8Array.from(baseKey) });
  mine?.handle({ kind: "Use", sender: "alice", kid: 7n });
  theirs?.handle({ ...key, mine: false, baseKey });
}

/** When the tones begin: once a second, at any phase of the frames of 20 ms. */
function speak(audio: AudioContext, mouth: AudioNode, tones: number): number[] {
  const [tone, gain] = [new OscillatorNode(audio, { frequency: 1_000 }), new GainNode(audio)];
  gain.gain.value = 0;
  tone.connect(gain).connect(mouth);
  tone.start();
  return Array.from({ length: tones }, (_, n) => {
    const at = audio.currentTime + 3 + n + 0.02 * Math.random();
    gain.gain.setValueAtTime(1, at);
    gain.gain.setValueAtTime(0, at + TONE_S);
    return at;
  });
}

function delays(said: number[], heard: number[]): number[] {
  return said.flatMap((at) => {
    const when = heard.find((time) => time >= at && time < at + MOST_LATE_S);
    return when === undefined ? [] : [when - at];
  });
}

function ways(sealing: Passage[], opening: Passage[]): Latencies["frames"] {
  const sealed = new Map(sealing.map((passage) => [passage.ctr, passage]));
  const all = opening.flatMap(({ ctr, left }) => {
    const first = sealed.get(ctr);
    return first ? [left - first.entered] : [];
  });
  const inside = (passages: Passage[]) => passages.map(({ entered, left }) => left - entered);
  return { seal: inside(sealing), open: inside(opening), all };
}

async function latencies(tones: number): Promise<Latencies> {
  const audio = new AudioContext();
  await audio.audioWorklet.addModule(
    URL.createObjectURL(new Blob([EAR], { type: "text/javascript" })),
  );
  await audio.resume();
  const mouth = audio.createMediaStreamDestination();
  const passages: [Passage[], Passage[]] = [[], []];
  const workers = passages.map(frameWorker);
  install(workers);
  const sealedEar = await call(mouth.stream, audio, workers);
  const plainEar = await call(mouth.stream, audio);
  const said = speak(audio, mouth, tones);
  const end = (said.at(-1) as number) + 2;
  while (audio.currentTime < end) await new Promise((f) => setTimeout(f, 200));
  const [sealed, plain] = [delays(said, sealedEar), delays(said, plainEar)];
  return { sealed, plain, frames: ways(...passages) };
}

Object.assign(window, { latencies });
