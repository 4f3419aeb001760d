/**
 * A receiver's transform that plays the network's part: it notes KID and counter of each frame, posts
 * them to /capture as "label kid ctr", and lets nothing through. A frame that is no SFrame is "clear".
 * Of the first frame it also tells what the browser says its codec is.
 */

import { Envelope } from "../../codecs/envelope.js";
import { EMPTY } from "../../sframe/bytes.js";
import { parseHeader } from "../../sframe/index.js";

interface Options {
  readonly label: string;
  readonly codec: string;
}

declare const self: DedicatedWorkerGlobalScope;

let lines: string[] = [];
let total = 0;

async function note({ label, codec }: Options, data: ArrayBuffer): Promise<void> {
  let said = "clear";
  await new Envelope(codec)
    .open(async (ciphertext) => {
      const { kid, ctr } = parseHeader(ciphertext);
      said = `${kid} ${ctr}`;
      return EMPTY;
    }, new Uint8Array(data))
    .catch(() => {});
  lines.push(`${label} ${said}`);
  self.postMessage(++total);
}

async function flush(): Promise<void> {
  const body = lines.join("\n");
  lines = [];
  await fetch("/capture", { method: "POST", body });
  self.postMessage("flushed");
}

self.addEventListener("rtctransform", async (event) => {
  const { options, readable } = (event as RTCTransformEvent).transformer;
  const reader = readable.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    if (total === 0) self.postMessage({ mimeType: value.getMetadata().mimeType ?? null });
    if (value.data.byteLength > 0) await note(options as Options, value.data);
  }
});

self.onmessage = () => flush();
