/** Whoever exchanges keys, in a worker of its own: it is given a key port, and hands its keys over. */

import type { KeyEvent } from "../../messages.js";

declare const self: DedicatedWorkerGlobalScope;

self.onmessage = ({
  data: { port, isMine },
}: MessageEvent<{ port: MessagePort; isMine: boolean }>) => {
  const say = (event: KeyEvent) => port.postMessage(event);
  const baseKey = new TextEncoder().encode("a key that no page ever had");
  say({ kind: "InstallKey", sender: "alice", suite: 4, kid: 300n, baseKey, mine: isMine });
  if (isMine) say({ kind: "Use", sender: "alice", kid: 300n });
};
