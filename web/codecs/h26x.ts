/**
 * H.264 and H.265: parameter sets in the clear, then one slice NAL unit that holds the ciphertext.
 *
 *     parameter sets | 00 00 00 01 | NAL header | escape( stub | ciphertext | 80 )
 *
 * The NAL header is that of the frame's first slice: whether it is a key frame, and its layers. The
 * stub is the beginning of a slice header, as far as packetizers read it: first slice of the picture,
 * and which picture parameter set it refers to. 80 is the stop bit with which every RBSP ends; without
 * it a tag that ends in 00 would lose its last byte to readers that strip zeros.
 */

import { type Bytes, concat } from "../sframe/bytes.js";
import { escapeNal, START, unescapeNal, units } from "./annexb.js";
import { BitReader, packed, ue } from "./bits.js";
import { type Codec, noCarrier, only } from "./carrier.js";

const STOP = 0x80;
/** Bytes: more than what is read of a slice header can take, escaped. */
const LONGEST_STUB = 16;
const ALL_I = 7; // slice_type of H.264
const ALL_P = 5;

/** What differs between the two. */
interface Syntax {
  readonly name: string;
  /** Bytes of a NAL unit header. */
  readonly header: number;
  readonly lastPps: number;
  /** The header shown when there is no slice: an inter picture, not disposable. */
  readonly unreadable: Bytes;
  typeOf(unit: Uint8Array): number;
  isParameterSet(type: number): boolean;
  isSlice(type: number): boolean;
  /** The stub as bits. */
  stub(type: number, pps: number): string;
  /** The PPS, having moved the reader to where the slice data would begin; null if it cannot. */
  pps(type: number, sliceHeader: BitReader): number | null;
}

/** ITU-T H.264 7.3.1, 7.3.3. */
const SYNTAX_264: Syntax = {
  name: "H264",
  header: 1,
  lastPps: 255,
  unreadable: Uint8Array.of(0x21),
  typeOf: (unit) => (unit[0] as number) & 0x1f,
  isParameterSet: (type) => type === 7 || type === 8,
  isSlice: (type) => type === 1 || type === 5,
  stub: (type, pps) => ue(0) + ue(type === 5 ? ALL_I : ALL_P) + ue(pps),
  pps(_, bits) {
    const firstMb = bits.ue();
    const sliceType = bits.ue();
    return firstMb === null || sliceType === null ? null : bits.ue();
  },
};

/** ITU-T H.265 7.3.1.2, 7.3.6.1. */
const SYNTAX_265: Syntax = {
  name: "H265",
  header: 2,
  lastPps: 63,
  unreadable: Uint8Array.of(0x02, 0x01),
  typeOf: (unit) => (unit[0] as number) >> 1,
  isParameterSet: (type) => type >= 32 && type <= 34,
  isSlice: (type) => type < 32,
  stub: (type, pps) => (isIrap(type) ? "10" : "1") + ue(pps),
  pps(type, bits) {
    const firstSlice = bits.bit();
    const whole = isIrap(type) ? bits.bit() : firstSlice; // no_output_of_prior_pics_flag
    return whole ? bits.ue() : null;
  },
};

function isIrap(type: number): boolean {
  return type >= 16 && type <= 23;
}

function codec(syntax: Syntax): Codec {
  const { header, typeOf } = syntax;

  const whole = (unit: Uint8Array) => unit.length >= header && ((unit[0] as number) & 0x80) === 0; // forbidden_zero_bit
  const isSlice = (unit: Uint8Array) => whole(unit) && syntax.isSlice(typeOf(unit));

  /** The NAL header that the carrier shows, and its stub. */
  function beginning(slice: Uint8Array): [Uint8Array, Bytes] {
    const [type, body] = [typeOf(slice), slice.subarray(header, header + LONGEST_STUB)];
    const pps = syntax.pps(type, new BitReader(unescapeNal(body))) ?? 0;
    const stub = syntax.stub(type, pps <= syntax.lastPps ? pps : 0);
    return [slice.subarray(0, header), packed(stub)];
  }

  return {
    wrapper(frame) {
      const found = units(frame);
      const shown = found.filter((unit) => whole(unit) && syntax.isParameterSet(typeOf(unit)));
      const [nalHeader, stub] = beginning(found.find(isSlice) ?? syntax.unreadable);
      const clear = concat(...shown.flatMap((unit) => [START, unit]), START, nalHeader);
      return (ciphertext) =>
        concat(clear, escapeNal(concat(stub, ...ciphertext, Uint8Array.of(STOP))));
    },
    unwrap(wire) {
      const carrier = only(units(wire).filter(isSlice), "a slice NAL unit");
      const body = unescapeNal(carrier.subarray(header));
      if (body.at(-1) !== STOP) {
        throw noCarrier(`this ${syntax.name} slice lacks the stop bit: cut short, or in the clear`);
      }
      const bits = new BitReader(body.subarray(0, LONGEST_STUB));
      if (syntax.pps(typeOf(carrier), bits) === null) {
        throw noCarrier(`this ${syntax.name} slice has no slice header`);
      }
      return body.subarray(bits.bytesRead, -1);
    },
  };
}

export const H264 = codec(SYNTAX_264);
export const H265 = codec(SYNTAX_265);
