/**
 * The page's store of counters: it gives each counter of a key to one worker only, whoever reloads,
 * opens a second tab, or ends.
 *
 * IndexedDB holds, for each key's name, the first counter that was not given out. A lease is answered
 * after the transaction that moved it on has been completed, on disk; a lock of the origin keeps two
 * tabs apart.
 *
 * Rules:
 *   1. What cannot be written is not given.
 *   2. A browser may throw its storage away, and a person may clear it. So the first lease of a key
 *      that is not in the store starts at a counter made of the time: a lease's length for each
 *      millisecond since 2026. Nobody seals that fast, so what starts later starts higher.
 */

import type { LeaseGiven, LeaseRefused, LeaseWanted } from "../messages.js";
import { LEASE_SIZE, type Lease } from "../sframe/counters.js";

const STORE = "next";
const EPOCH = Date.UTC(2026, 0);

/** The page's side of a counter port. */
export interface CounterServer {
  lease(keyName: string, count: bigint): Promise<Lease>;
}

export class CounterStore implements CounterServer {
  /** One store for all pages of an origin that name it alike. */
  constructor(private readonly name = "pysframe.counters") {}

  lease(keyName: string, count: bigint): Promise<Lease> {
    return navigator.locks.request(this.name, () => this.#advance(keyName, count));
  }

  async #advance(keyName: string, count: bigint): Promise<Lease> {
    const database = await opened(this.name);
    try {
      const first = (await advanced(database, keyName, count)) as bigint;
      return { first, end: first + count };
    } finally {
      database.close();
    }
  }
}

/** Answers the leases that are wanted on a port. */
export function serveCounters(counters: CounterServer, port: MessagePort): void {
  port.onmessage = async ({ data: { id, keyName, count } }: MessageEvent<LeaseWanted>) => {
    const answer = await counters.lease(keyName, count).then(
      (lease): LeaseGiven => ({ kind: "LeaseGiven", id, ...lease }),
      (): LeaseRefused => ({ kind: "LeaseRefused", id }),
    );
    port.postMessage(answer);
  };
}

function opened(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The counter that is next, having moved it on by `count`, on disk. */
function advanced(database: IDBDatabase, keyName: string, count: bigint): Promise<bigint> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
    const store = transaction.objectStore(STORE);
    const request = store.get(keyName);
    let first: bigint;
    request.onsuccess = () => {
      first = request.result ?? BigInt(Date.now() - EPOCH) * LEASE_SIZE;
      store.put(first + count, keyName);
    };
    transaction.oncomplete = () => resolve(first);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}
