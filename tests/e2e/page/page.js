/**
 * A party of the call in a browser. It does what it is told through call(name, options), and reports;
 * what is shown is decided by whoever calls. Sealing and opening is that of pysframe, which is served as
 * `make web` built it.
 */

import { CounterStore, FrameWorker, publish, watch } from "/dist/page.js";

const peers = new Map(); // RTCPeerConnection of each connection's name
const streams = new Map(); // what each connection receives
const sending = new Map(); // "connection medium": a sender and its track
const counting = new Map(); // the same of a receiver of plain media: a worker that counts
const live = new Set(); // transforms of senders whose real track is sent
const told = []; // trouble, in words
const begun = new Map(); // when a transform was first seen to have a frame
const named = new Map(); // of a receiver's transform: what was first said to be wrong, and when
let frames;

const asBytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** For a control: nothing is ever attached, and nobody says so. */
class Withheld extends FrameWorker {
  attach() {}
}

const calls = {
  /** A frame worker for what is attached from now on; before, it was another one's. */
  start({ script, withheld }) {
    const kind = withheld ? Withheld : FrameWorker;
    frames = new kind(new Worker(script, { type: "module" }), {
      counters: new CounterStore(),
      onTrouble: (words, id) => told.push({ words, id }),
    });
    noteFirstFrames(frames);
  },

  install({ sender, kid, key, mine }) {
    const event = { kind: "InstallKey", sender, suite: 4, kid: BigInt(kid), mine };
    frames.handle({ ...event, baseKey: asBytes(key) });
  },

  use({ sender, kid }) {
    frames.handle({ kind: "Use", sender, kid: BigInt(kid) });
  },

  drop({ sender, kid }) {
    frames.handle({ kind: "Drop", sender, kid: BigInt(kid) });
  },

  /** An offer to publish. seal: whose key, or null for plain media. layers: of simulcast. */
  async publish({ name, seal, codec, layers, width, height, rate }) {
    const peer = connection(name);
    const media = await microphoneAndCamera({ width, height, rate });
    for (const track of media.getTracks()) {
      const encodings = track.kind === "video" ? layers : [{}];
      const init = { direction: "sendonly", streams: [media], sendEncodings: encodings };
      const transceiver = seal
        ? sealed(peer, track, options(name, seal, track.kind, codec), init)
        : peer.addTransceiver(track, init);
      sending.set(`${name} ${track.kind}`, { sender: transceiver.sender, track });
      if (track.kind === "video") only(transceiver, RTCRtpSender, codec);
    }
    return local(peer, await peer.createOffer());
  },

  async accept({ name, answer }) {
    await peers.get(name).setRemoteDescription({ type: "answer", sdp: answer });
  },

  /** Without its track a sender sends no packet, of silence or black neither. */
  async mute({ name, kind, muted }) {
    const { sender, track } = sending.get(`${name} ${kind}`);
    await sender.replaceTrack(muted ? null : track);
  },

  /** An offer to receive, for servers that answer. open: whose frames, or null for plain media. */
  async ask({ name, open, codec, kinds }) {
    const peer = connection(name);
    for (const kind of kinds) {
      const transceiver = peer.addTransceiver(kind, { direction: "recvonly" });
      if (kind === "video") only(transceiver, RTCRtpReceiver, codec);
      if (open) opens(transceiver.receiver, opening(name, open, kind, codec));
      else counted(transceiver.receiver, `${name} ${kind}`);
    }
    return local(peer, await peer.createOffer());
  },

  /** The answer to a server that offers. */
  async answer({ name, open, offer, codec }) {
    const peer = connection(name);
    peer.addEventListener("track", ({ receiver, track }) => {
      if (open) opens(receiver, opening(name, open, track.kind, codec));
    });
    await peer.setRemoteDescription({ type: "offer", sdp: offer });
    return local(peer, await peer.createAnswer());
  },

  close({ name }) {
    peers.get(name).close();
    peers.delete(name);
    streams.delete(name);
  },

  told: () => told,

  /** Of each transform: what was first told of it, in what words, and when since its first frame. */
  named: () => Object.fromEntries(named),

  /** The transforms of senders whose real track is sent. */
  live: () => [...live],

  /** Of each transform: frames that passed, and frames dropped under each name. */
  async counts() {
    const plain = [...counting].map(async ([id, worker]) => [id, { passed: await asked(worker) }]);
    return { ...(await frames.counts()), ...Object.fromEntries(await Promise.all(plain)) };
  },

  /** What getStats() says of the media of a connection: one object a stream. */
  async stats({ name, type }) {
    const report = await peers.get(name).getStats();
    return [...report.values()].filter((entry) => entry.type === type);
  },

  /** What is heard in so many ms, as a file of MediaRecorder in base64. */
  async hear({ name, ms }) {
    const [track] = streams.get(name).getAudioTracks();
    const recorder = new MediaRecorder(new MediaStream([track]), {
      mimeType: "audio/webm;codecs=opus",
      audioBitsPerSecond: 128_000,
    });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((done) => (recorder.onstop = done));
    recorder.start();
    await wait(ms);
    recorder.stop();
    await stopped;
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  },
};

window.call = (name, given) => calls[name](given ?? {});

function connection(name) {
  const peer = new RTCPeerConnection();
  const received = new MediaStream();
  peers.set(name, peer);
  streams.set(name, received);
  peer.addEventListener("track", ({ track }) => {
    received.addTrack(track);
    // What no element plays is not decoded.
    const element = document.createElement(track.kind);
    element.srcObject = new MediaStream([track]);
    element.muted = track.kind === "video";
    element.play().catch((error) => told.push({ words: `play: ${error}` }));
  });
  return peer;
}

function options(name, sender, kind, codec) {
  const mimeType = kind === "video" ? `video/${codec}` : "audio/opus";
  return { id: `${name} ${kind}`, sender, codec: mimeType };
}

const opening = (...about) => ({ ...options(...about), operation: "open" });

/** As an application does: attached, and watched. */
function opens(receiver, about) {
  const [mine, { id }] = [frames, about];
  mine.attach(receiver, about);
  const note = async (words, fault) => {
    if (fault === null || named.has(id)) return;
    const seconds = (performance.now() - begun.get(id)) / 1_000;
    named.set(id, { fault, words, seconds });
    named.get(id).frames = seenBy(await mine.counts(), id);
  };
  watch(receiver, id, mine, note, { every: 200 });
}

async function noteFirstFrames(mine) {
  for (;;) {
    const counts = await mine.counts();
    for (const id of Object.keys(counts)) {
      if (!begun.has(id) && seenBy(counts, id) > 0) begun.set(id, performance.now());
    }
    await wait(50);
  }
}

const seenBy = (counts, id) => Object.values(counts[id] ?? {}).reduce((a, b) => a + b, 0);

function counted(receiver, id) {
  const worker = new Worker("counting-worker.js", { type: "module" });
  receiver.transform = new RTCRtpScriptTransform(worker);
  counting.set(id, worker);
}

function asked(worker) {
  return new Promise((done) => {
    worker.addEventListener("message", ({ data }) => done(data), { once: true });
    worker.postMessage("how many");
  });
}

function sealed(peer, track, about, init) {
  const { transceiver, live: sent } = publish(peer, track, frames, about, init);
  sent.then(() => live.add(about.id));
  return transceiver;
}

function microphoneAndCamera({ width, height, rate }) {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return navigator.mediaDevices.getUserMedia({
    audio: { ...plain, channelCount: 1 },
    video: { width, height, frameRate: rate },
  });
}

/** Leaves one codec in the offer, and what goes with any. */
function only(transceiver, side, codec) {
  const wanted = [`video/${codec}`.toLowerCase(), "video/rtx"];
  const { codecs } = side.getCapabilities("video");
  transceiver.setCodecPreferences(
    codecs.filter(({ mimeType }) => wanted.includes(mimeType.toLowerCase())),
  );
}

/** The description with all candidates in it. */
async function local(peer, description) {
  await peer.setLocalDescription(description);
  if (peer.iceGatheringState !== "complete") {
    await new Promise((done) => {
      peer.addEventListener("icegatheringstatechange", () => {
        if (peer.iceGatheringState === "complete") done();
      });
    });
  }
  return peer.localDescription.sdp;
}
