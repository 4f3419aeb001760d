/* What a format adds to a frame.
 *
 * Counters, keys, windows and kernels are the same for every format of encrypted frames. A format
 * says only how a frame looks on the wire:
 *
 *     header format    clear | mark | ciphertext | tag
 *     trailer format   clear | ciphertext | tag | mark
 *
 * The mark is the format's own bytes: they name the key and the counter. A format is one header of
 * inlined functions with constant flags, which sender and receiver include as SFR_FORMAT, so that
 * what a format does not need costs nothing. formats/names.h tells how two of them share a library.
 * A format defines:
 *
 *     SFR_FORMAT_TRAILER      1 if the mark follows the tag
 *     SFR_FORMAT_MAX          the longest mark in bytes: at most 17, as a trailer 24
 *     SFR_FORMAT_PREDICTED    1 if marks precede the ciphertext and most fit one word
 *     sfr_format_size         bytes of the mark of a KID and counter
 *     sfr_format_mark         that mark; `stream` is what else a sender's marks name, see sender.h
 *     sfr_format_stretch      the counters whose marks differ in the counter's bits only
 *     sfr_format_length       bytes of a received mark, not looked at any closer
 *     sfr_format_read         a received mark, its KID and counter
 *     sfr_format_nonce        the row's nonce
 *     sfr_format_aad          the row's AAD
 *     sfr_format_predict, sfr_format_match     if SFR_FORMAT_PREDICTED
 *
 * Rule: a mark is read from the frame once. Nonce and AAD come from that copy. */
#ifndef SFR_MARK_H
#define SFR_MARK_H

#ifdef SFR_FORMAT_NAME
#include "formats/names.h"
#endif

#include "frame/frame.h"

/* Zero-padded, in memory order. */
typedef struct sfr_mark {
    uint64_t words[3];
    size_t size;
} sfr_mark;

/* For counters up to `last` the mark is be64((head | ctr) << shift), `size` bytes long. A shift of
 * 64 means that no such word exists. */
typedef struct sfr_stretch {
    uint64_t last, head;
    uint8_t size, shift;
} sfr_stretch;

/* Marks whose first word is head | ctr << ctr_at, the counter's bytes in memory order. */
typedef struct sfr_prediction {
    uint64_t head, ctr_mask;
    uint8_t size, ctr_at, ctr_bits, first_byte;
} sfr_prediction;

#ifndef SFR_FORMAT
#define SFR_FORMAT "formats/sframe.h"
#endif

/* Bytes of the mark between clear bytes and ciphertext. */
#define SFR_FORMAT_FRONT(size) (SFR_FORMAT_TRAILER ? 0 : (size))

#endif
