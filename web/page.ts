/**
 * The page's side of the frame worker: whether a browser can, attaching transforms, publishing tracks,
 * and the store of counters.
 */

export type * from "./key-source.js";
export type * from "./messages.js";
export { attach } from "./page/attach.js";
export { type CounterServer, CounterStore, serveCounters } from "./page/counter-store.js";
export type { Report } from "./page/flows.js";
export { follow } from "./page/follow.js";
export { FrameWorker, type FrameWorkerOptions } from "./page/frame-worker.js";
export { type Published, placeholder, publish } from "./page/publish.js";
export { type Fault, type Tell, type WatchOptions, watch } from "./page/watchdog.js";
export type { KeyFlow, KeyState } from "./sframe/key-flow.js";
export { type Scope, type Support, supported } from "./supported.js";
