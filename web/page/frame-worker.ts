/**
 * FrameWorker: the page's end of a frame worker and of its ports.
 *
 * Rules:
 *   1. A key that was handed over is gone here: it is copied, the copy is transferred, and the
 *      original is wiped.
 *   2. What the worker says is passed on as it is; nothing is retried and nothing kept back.
 */

import type { FrameCounts, FromWorker, KeyEvent, ToWorker, TransformOptions } from "../messages.js";
import type { Support } from "../supported.js";
import { attach } from "./attach.js";
import { type CounterServer, serveCounters } from "./counter-store.js";

export interface FrameWorkerOptions {
  /** Who remembers the counters: a CounterStore. */
  readonly counters: CounterServer;
  /** Trouble and warnings, in words for a person; `id` names the transform, if it is one's. */
  readonly onTrouble?: (words: string, id?: string) => void;
}

/** One run of a transform, for all that wait for its first frame. */
interface Running {
  readonly promise: Promise<void>;
  resolve(): void;
}

export class FrameWorker {
  readonly #keys: MessagePort;
  readonly #running = new Map<string, Running>();
  readonly #attached = new Set<string>();
  #asking: ((counts: Readonly<Record<string, FrameCounts>>) => void)[] = [];

  /** `worker`: new Worker("frame-worker.js", { type: "module" }). */
  constructor(
    readonly worker: Worker,
    private readonly options: FrameWorkerOptions,
  ) {
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.#hear(data));
    worker.addEventListener("error", () => this.#trouble("the frame worker could not be run"));
    const { port1, port2 } = new MessageChannel();
    serveCounters(options.counters, port1);
    this.#post({ kind: "counters", port: port2 }, port2);
    this.#keys = this.keyPort();
  }

  /** A port that takes KeyEvents, to be given to whoever has the keys: another worker, say. */
  keyPort(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#post({ kind: "keys", port: port2 }, port2);
    return port1;
  }

  /** Hands a key event over, and wipes the key in it. */
  handle(event: KeyEvent): void {
    if (!("baseKey" in event)) {
      this.#keys.postMessage(event);
      return;
    }
    const baseKey = Uint8Array.from(event.baseKey);
    this.#keys.postMessage({ ...event, baseKey }, [baseKey.buffer]);
    event.baseKey.fill(0);
  }

  /** See attach() of this module. `options.id` names the transform; it is new each time. */
  attach(
    end: RTCRtpSender | RTCRtpReceiver,
    options: TransformOptions,
    via?: Support["transform"],
  ): void {
    // Else the first frame of an earlier transform would vouch for this one.
    if (this.#attached.has(options.id)) throw new Error("each transform has an id of its own");
    attach(end, this.worker, options, via);
    this.#attached.add(options.id);
  }

  /** Resolves when the first frame has gone through the transform of this name. */
  running(id: string): Promise<void> {
    return this.#run(id).promise;
  }

  /** What has become of the frames of each transform. */
  counts(): Promise<Readonly<Record<string, FrameCounts>>> {
    const counts = new Promise<Readonly<Record<string, FrameCounts>>>((resolve) => {
      this.#asking.push(resolve);
    });
    this.#post({ kind: "report" });
    return counts;
  }

  /** Ends the worker; whatever its transforms still have is not sent. */
  close(): void {
    this.worker.terminate();
    this.#keys.close();
  }

  #post(message: ToWorker, ...transfer: Transferable[]): void {
    this.worker.postMessage(message, transfer);
  }

  #hear(said: FromWorker): void {
    if (said.kind === "running") this.#run(said.id).resolve();
    else if (said.kind === "warning") this.#trouble(said.words, said.id);
    else if (said.kind === "trouble") this.#trouble(said.words);
    else if (said.kind === "counts") {
      for (const answer of this.#asking) answer(said.transforms);
      this.#asking = [];
    }
  }

  #trouble(words: string, id?: string): void {
    this.options.onTrouble?.(words, id);
  }

  #run(id: string): Running {
    const known = this.#running.get(id);
    if (known) return known;
    let resolve = () => {};
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    const made = { promise, resolve };
    this.#running.set(id, made);
    return made;
  }
}
