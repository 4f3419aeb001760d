/**
 * Counters from whoever remembers them, over a message port.
 *
 * Rule: a store that does not answer in time counts as one that refuses. Frames wait or are dropped;
 * none is sealed with a counter that might have been used.
 */

import type { LeaseGiven, LeaseRefused, LeaseWanted } from "../messages.js";
import type { CounterPort, Lease } from "../sframe/counters.js";
import { CounterError } from "../sframe/errors.js";

const PATIENCE_MS = 5_000;

/** The part of a MessagePort that is used here. */
export interface Port {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

interface Waiting {
  resolve(lease: Lease): void;
  reject(error: Error): void;
}

export class LeasePort implements CounterPort {
  readonly #waiting = new Map<number, Waiting>();
  #port: Port | undefined;
  #id = 0;

  constructor(private readonly patience = PATIENCE_MS) {}

  connect(port: Port): void {
    this.#port = port;
    port.onmessage = (event) => this.#answer(event.data as LeaseGiven | LeaseRefused);
  }

  lease(keyName: string, count: bigint): Promise<Lease> {
    const port = this.#port;
    if (!port) return Promise.reject(new CounterError("no store of counters is connected"));
    const id = this.#id++;
    return new Promise<Lease>((resolve, reject) => {
      const late = () =>
        this.#settle(id)?.reject(new CounterError("the store of counters is silent"));
      const timer = setTimeout(late, this.patience);
      this.#waiting.set(id, {
        resolve: (lease) => {
          clearTimeout(timer);
          resolve(lease);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      port.postMessage({ kind: "LeaseWanted", id, keyName, count } satisfies LeaseWanted);
    });
  }

  #answer(answer: LeaseGiven | LeaseRefused): void {
    const waiting = this.#settle(answer.id);
    if (answer.kind === "LeaseGiven") waiting?.resolve({ first: answer.first, end: answer.end });
    else waiting?.reject(new CounterError("the store of counters refuses"));
  }

  /** Answers that come late or twice find nobody waiting. */
  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
