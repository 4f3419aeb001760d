/** SFrame (RFC 9605) on WebCrypto: bytes and keys in, bytes out. */

export { BaseKey } from "./base-key.js";
export { type CounterPort, type Lease, MemoryCounterPort } from "./counters.js";
export { type EpochOptions, kidOfMember } from "./epoch.js";
export { CounterError, FrameRejected, MisuseError, REASONS, type Reason } from "./errors.js";
export type { FrameOptions } from "./frame.js";
export { FrameKey } from "./frame-key.js";
export { encodeHeader, type Header, parseHeader } from "./header.js";
export {
  type KeyFlow,
  KeyFlowMonitor,
  type KeyState,
  type KeyStats,
  type ReceiverStats,
} from "./key-flow.js";
export { type ChainOptions, kidOfStep } from "./ratchet.js";
export { type Counts, Receiver, type ReceiverOptions } from "./receiver.js";
export { Sender, type SenderOptions } from "./sender.js";
export { SUITES, type Suite, suiteOf } from "./suites.js";
