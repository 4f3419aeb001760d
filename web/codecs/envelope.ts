/**
 * Envelope: a sealed frame in a form that packetizers and SFUs of its codec can handle. The format is
 * in docs/envelope.md, its figures are in vectors/envelope.json.
 *
 * Rules:
 *   1. The whole frame is in the ciphertext. What is beside it in the clear is a copy for servers on
 *      the way, and a receiver takes nothing from it: whoever alters it can have a frame lost, as by
 *      dropping it, and nothing more.
 *   2. Whatever bytes a frame has, it is sealed and comes back the same. What cannot be read is not
 *      shown.
 *   3. A version of the format that is unknown is refused before a frame is sealed or opened.
 */

import { type Bytes, concat, EMPTY, type Parts } from "../sframe/bytes.js";
import { MisuseError } from "../sframe/errors.js";
import { AV1 } from "./av1.js";
import type { Codec } from "./carrier.js";
import { H264, H265 } from "./h26x.js";
import { VP8 } from "./vp8.js";

/** Of the format; it travels with the key. */
export const VERSION = 1;
/** What a key means that says none: it may be older than any other version. */
export const UNSAID = 1;

const CODECS = new Map<string, Codec>(Object.entries({ VP8, H264, H265, AV1 }));
/** No part of these payloads is read on the way: VP9's layers are in its RTP payload descriptor. */
const PLAIN = new Set(["VP9"]);
/** Audio that may be named without "audio/". */
const AUDIO = new Set(["OPUS", "MULTIOPUS", "RED", "G722", "PCMU", "PCMA", "L16", "CN"]);

/** Seals: a Sender's protectInParts. */
export type Protect = (frame: Uint8Array) => Promise<Parts>;
/** Opens: a Receiver's unprotect. */
export type Unprotect = (ciphertext: Uint8Array) => Promise<Bytes>;

export class Envelope {
  /** The codec's name: "H264", "OPUS". */
  readonly codec: string;
  /** For a person: what is lost with a video codec that has no envelope; null where nothing is. */
  readonly warning: string | null;
  /** None: plain SFrame. */
  readonly #codec: Codec | undefined;

  /** `codec`: a MIME type, such as an encoded frame's metadata has it, or its second half. */
  constructor(codec: string) {
    const [kind = "", name] = codec.toUpperCase().split(/\/(.*)/);
    const isType = kind === "AUDIO" || kind === "VIDEO";
    this.codec = isType ? (name ?? "") : kind;
    this.#codec = CODECS.get(this.codec);
    const known = this.#codec || PLAIN.has(this.codec) || AUDIO.has(this.codec);
    this.warning = known || kind === "AUDIO" ? null : warningOf(codec);
  }

  /** The frame as it goes on the wire. An empty frame stays empty, and takes no counter. */
  async seal(protect: Protect, frame: Uint8Array): Promise<Bytes> {
    if (frame.length === 0) return EMPTY;
    const wrap = this.#codec?.wrapper(frame);
    const ciphertext = await protect(frame);
    return wrap ? wrap(ciphertext) : concat(...ciphertext);
  }

  /**
   * The frame again; throws FrameRejected. "syntax" also says that there is no ciphertext where the
   * codec has it: media in the clear, a frame cut short, or several in one.
   */
  async open(unprotect: Unprotect, wire: Uint8Array): Promise<Bytes> {
    if (wire.length === 0) return EMPTY;
    let ciphertext = wire;
    try {
      if (this.#codec) ciphertext = this.#codec.unwrap(wire);
    } catch (fault) {
      // The Receiver counts it as well: media in the clear shows there.
      await unprotect(EMPTY).catch(() => {});
      throw fault;
    }
    return unprotect(ciphertext);
  }
}

/** Throws MisuseError for the version of an envelope, as it came with a key, that is unknown here. */
export function requireVersion(version: unknown = UNSAID): void {
  if (version === VERSION) return;
  throw new MisuseError(
    `this envelope's version is unknown here, where version ${VERSION} is known: ` +
      "update this page, or have the key's owner send that version",
  );
}

function warningOf(codec: string): string {
  return (
    `no envelope is known for ${JSON.stringify(codec.slice(0, 40))}: nothing of its frames is shown, ` +
    "so a packetizer may refuse them, and an SFU cannot tell key frames (it will not switch simulcast " +
    "layers, nor know when to ask for one) or layers that it may drop"
  );
}
