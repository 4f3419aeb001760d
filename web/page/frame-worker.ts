/**
 * FrameWorker: the page's end of a frame worker and of its ports.
 *
 * Rules:
 *   1. A key that was handed over is gone here: it is copied, the copy is transferred, and the
 *      original is wiped.
 *   2. What the worker says is passed on as it is; nothing is retried and nothing kept back.
 *   3. An end to which no transform could be attached plays and sends nothing.
 */

import type { FrameCounts, FromWorker, KeyEvent, ToWorker, TransformOptions } from "../messages.js";
import type { Support } from "../supported.js";
import { attach } from "./attach.js";
import { type CounterServer, serveCounters } from "./counter-store.js";
import { Flows, type Report } from "./flows.js";

export interface FrameWorkerOptions {
  /** Who remembers the counters: a CounterStore. */
  readonly counters: CounterServer;
  /** Trouble and warnings, in words for a person; `id` names the transform, if it is one's. */
  readonly onTrouble?: (words: string, id?: string) => void;
}

type End = RTCRtpSender | RTCRtpReceiver;

/** Somebody who waits for a report. */
interface Asking {
  resolve(report: Report): void;
  reject(error: Error): void;
}

/** One run of a transform, for all that wait for its first frame. */
interface Running {
  readonly promise: Promise<void>;
  resolve(): void;
}

export class FrameWorker {
  readonly #keys: MessagePort;
  readonly #running = new Map<string, Running>();
  /** What each transform is attached to, and the options it was made with. */
  readonly #attached = new Map<string, { end: End; options: string }>();
  #asking: Asking[] = [];
  readonly #flows = new Flows();
  #closed = false;

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
    // Of another type, an ArrayBuffer say, Uint8Array.from would make something else of it.
    if (!(event.baseKey instanceof Uint8Array)) throw new TypeError("baseKey is a Uint8Array");
    const baseKey = Uint8Array.from(event.baseKey);
    this.#keys.postMessage({ ...event, baseKey }, [baseKey.buffer]);
    event.baseKey.fill(0);
  }

  /**
   * See attach() of this module. `options.id` names the transform, and no two ends have one name: make it
   * of what the page knows, since a server chooses the `id` of a received track. False: this end has this
   * transform already, as when a `track` event comes again for a receiver. Where it throws, the track of
   * an end that has no transform is stopped.
   */
  attach(end: End, options: TransformOptions, via?: Support["transform"]): boolean {
    const made = JSON.stringify([options.operation, options.sender, options.codec]);
    const there = this.#attached.get(options.id);
    if (there?.end === end && there.options === made) return false;
    try {
      // Else the first frame of an earlier transform would vouch for this one.
      if (there) throw new Error("each transform has an id of its own");
      attach(end, this.worker, options, via);
    } catch (error) {
      // Fail closed: what goes past the worker is neither played nor sent, whatever the page does next.
      if (!this.#has(end)) end.track?.stop();
      throw error;
    }
    this.#attached.set(options.id, { end, options: made });
    return true;
  }

  #has(end: End): boolean {
    return [...this.#attached.values()].some((one) => one.end === end);
  }

  /** Resolves when the first frame has gone through the transform of this name. */
  running(id: string): Promise<void> {
    return this.#run(id).promise;
  }

  /**
   * What has become of the frames of each transform, and why nothing goes through one. A worker that was
   * ended or has crashed never answers: see watch().
   */
  report(): Promise<Report> {
    if (this.#closed) return Promise.reject(new Error("this frame worker was closed"));
    const report = new Promise<Report>((resolve, reject) => {
      this.#asking.push({ resolve, reject });
    });
    this.#post({ kind: "report" });
    return report;
  }

  /** The counts of report(). */
  async counts(): Promise<Readonly<Record<string, FrameCounts>>> {
    return (await this.report()).transforms;
  }

  /** Whether close() was called; that a worker has ended otherwise shows only in its silence. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Ends the worker; whatever its transforms still have is not sent. */
  close(): void {
    this.#closed = true;
    this.worker.terminate();
    this.#keys.close();
    for (const { reject } of this.#asked()) reject(new Error("this frame worker was closed"));
  }

  #post(message: ToWorker, ...transfer: Transferable[]): void {
    this.worker.postMessage(message, transfer);
  }

  #hear(said: FromWorker): void {
    if (said.kind === "running") this.#run(said.id).resolve();
    else if (said.kind === "warning") this.#trouble(said.words, said.id);
    else if (said.kind === "trouble") this.#trouble(said.words);
    else if (said.kind === "counts") {
      const report = this.#flows.judge(said, performance.now() / 1_000);
      for (const { resolve } of this.#asked()) resolve(report);
    }
  }

  #asked(): Asking[] {
    const asked = this.#asking;
    this.#asking = [];
    return asked;
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
