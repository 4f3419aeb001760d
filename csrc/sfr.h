/* SFrame (RFC 9605) in plain C11: the whole public API.
 *
 *   Sender    reserve -> seal                        sfr_protect
 *   Receiver  parse -> resolve -> open -> commit     sfr_unprotect
 *
 * Rules of this API:
 *   1. A counter is reserved before its frame is sealed and is never given back.
 *   2. Nothing a header says changes state before a tag has verified.
 *   3. A frame that is refused leaves zeros, never plaintext, in its output.
 *   4. Every function may be called from any thread. After fork a Sender refuses in the
 *      child, a Receiver goes on.
 *   5. The library never prints, never aborts and keeps no pointer to a caller's buffer.
 */
#ifndef SFR_H
#define SFR_H

#include <stddef.h>
#include <stdint.h>

/* Every function below is public, and nothing else is: libsfr is compiled with -fvisibility=hidden.
 * Who builds these files into a module of their own says -DSFR_PRIVATE, and exports none. */
#ifndef SFR_PRIVATE
#pragma GCC visibility push(default)
#endif

#define SFR_MAX_HEADER 17          /* config byte, 8-byte KID, 8-byte CTR: RFC 9605 4.3 */
#define SFR_MAX_TAG 16
#define SFR_MAX_OVERHEAD (SFR_MAX_HEADER + SFR_MAX_TAG)
#define SFR_MIN_BASE_KEY 16        /* shorter base keys are refused */
#define SFR_DEFAULT_MAX_FRAME ((size_t)16 << 20)
#define SFR_LIMIT_MAX_FRAME ((size_t)0x7fffffff)

/* What became of a frame (>= 0: the network's doing) or of a call (< 0: the caller's). */
enum {
    SFR_OK = 0,
    SFR_MALFORMED = 1,             /* no SFrame header, or shorter than header and tag */
    SFR_UNKNOWN_KEY = 2,           /* the only one worth a retry: RFC 9605 4.4.4 MAY */
    SFR_AUTH_FAILED = 3,
    SFR_REPLAYED = 4,
    SFR_TOO_OLD = 5,
    SFR_E_RETIRED = -1,            /* closed, or ratcheted on */
    SFR_E_FORKED = -2,             /* made before a fork, used in the child */
    SFR_E_CTR_EXHAUSTED = -3,
    SFR_E_KEY_EXHAUSTED = -4,      /* 2^36 AES blocks under one key */
    SFR_E_LEASE_ENDED = -5,        /* the leased counters are used up: sfr_sender_extend */
    SFR_E_DUPLICATE = -6,          /* a second sender for one (base_key, KID) */
    SFR_E_TOO_LARGE = -7,
    SFR_E_OVERLAP = -8,            /* in and out overlap other than exactly in place */
    SFR_E_ROOM = -9,               /* out is too small; nothing was consumed */
    SFR_E_ARGUMENT = -10,
    SFR_E_NO_MEMORY = -11,
    SFR_E_CONFLICT = -12,          /* another key lives under this KID */
    SFR_E_BLOCKS_ENDED = -13       /* the leased AES blocks are used up: sfr_sender_lease_blocks */
};

/* ---- cipher suites (RFC 9605 4.5; 6-8: draft-barnes-sframe-iana-256) ---- */

typedef struct sfr_suite {
    uint16_t id;
    uint8_t nh, nka, nk, nn, nt;   /* octets, in the RFC's words; nka = 0 for GCM */
} sfr_suite;

const sfr_suite *sfr_suite_find(int id);            /* NULL: none that the families can serve */

/* ---- kernels: which machine code a key is bound to ---- */

typedef struct sfr_kernel sfr_kernel;

enum { SFR_KERNEL_READY, SFR_KERNEL_NO_CPU, SFR_KERNEL_CAPPED, SFR_KERNEL_BROKEN };

size_t sfr_kernel_count(void);                      /* of this architecture, usable or not */
const sfr_kernel *sfr_kernel_at(size_t index);      /* widest first */
const char *sfr_kernel_name(const sfr_kernel *);
int sfr_kernel_state(const sfr_kernel *);           /* one of SFR_KERNEL_... */
const char *sfr_kernel_reason(const sfr_kernel *);  /* why it is refused, or "" */
const sfr_kernel *sfr_kernel_find(const char *name);/* ready kernels only; NULL name: the best */

/* Chooses and self-tests the kernels. max_isa is NULL, or the widest kernel that may be used: it can
 * only lower. "none", or a name that no kernel has, refuses all. Call once, before anything
 * else; later calls change nothing. Returns the number of kernels ready. */
int sfr_init(const char *max_isa);
/* A promise, given once after sfr_init: no two calls are under way at a time (Python's GIL sees
 * to it) that take a sender or receiver, but for sfr_seal_many and sfr_open_many. It saves a
 * locked instruction a frame. */
void sfr_serialize_callers(void);
const char *sfr_cpu_features(void);                 /* for reports: "aes pclmul avx2 ..." */
/* Bytes of pages for keys, so far, that the system would not lock (they may be swapped out), and
 * that it would not leave out of core dumps. Pages are taken when keys need them. */
size_t sfr_memory_unlocked(void);
size_t sfr_memory_dumped(void);

/* ---- secrets: sframe_secret = HKDF-Extract("", base_key), kept in wiped memory ---- */

typedef struct sfr_secret sfr_secret;

sfr_secret *sfr_secret_new(const sfr_suite *, const uint8_t *base_key, size_t size);
/* draft-ietf-avtcore-rtp-sframe: the base key of one SSRC */
sfr_secret *sfr_secret_new_for_ssrc(const sfr_suite *, const uint8_t *base_key, size_t size,
                                    uint32_t ssrc);
sfr_secret *sfr_secret_ratchet(const sfr_secret *, unsigned steps);   /* RFC 9605 5.1 */
void sfr_secret_free(sfr_secret *);                 /* wipes; NULL is fine */

/* ---- headers ---- */

typedef struct sfr_header {
    uint64_t kid, ctr;
    size_t size;
} sfr_header;

size_t sfr_header_size(uint64_t kid, uint64_t ctr);
size_t sfr_header_encode(uint64_t kid, uint64_t ctr, uint8_t out[SFR_MAX_HEADER]);
/* strict refuses encodings that are not minimal. Returns SFR_OK or SFR_MALFORMED. */
int sfr_header_parse(const uint8_t *in, size_t size, int strict, sfr_header *out);

/* ---- frames ----
 * Clear form: `in` of a sender, `out` of a receiver.  On the wire: clear | header |
 * ciphertext | tag. The first `clear` bytes are authenticated and not encrypted. In place
 * means that the payload bytes coincide (protect: in == out + header, unprotect:
 * out == in + header); any other overlap is SFR_E_OVERLAP. */
typedef struct sfr_frame {
    const uint8_t *in;
    size_t in_size;
    const uint8_t *metadata;       /* authenticated, not carried; NULL when empty */
    size_t metadata_size;
    size_t clear;                  /* leading bytes left readable */
    uint8_t *out;
    size_t out_size;               /* before: room; after: bytes written, 0 when refused */
    uint64_t kid, ctr;             /* what the frame was authenticated under */
    int status;
    int rekey_due;                 /* sender: this frame brought the key to half its budget */
    uint64_t opened_by;            /* receiver: the library's, from sfr_open_many to commit */
} sfr_frame;

/* Many plain frames (no metadata, no clear bytes) in one buffer: row i is its lengths[i] bytes from
 * offsets[i]; without a buffer (data NULL, size INT64_MAX) these are addresses. And what becomes
 * of them, row by row: offsets count from where output begins. */
typedef struct sfr_rows_in {
    const uint8_t *data;
    size_t size;
    const int64_t *offsets;
    const int32_t *lengths;
} sfr_rows_in;

typedef struct sfr_rows_out {
    int64_t *offsets;
    int32_t *lengths;              /* 0: refused */
    uint8_t *status;
    uint64_t *kid, *ctr;           /* 0: refused */
} sfr_rows_out;

/* ---- sender ----
 * RFC 9605 4.4.1 MUST: a key is for sealing or for opening; the type that holds it is the mark. */

typedef struct sfr_sender sfr_sender;

/* Counters first..last are the sender's to use; more can be leased later. */
int sfr_sender_new(sfr_sender **out, const sfr_secret *, const sfr_kernel *, uint64_t kid,
                   uint64_t first, uint64_t last, size_t max_frame);
void sfr_sender_close(sfr_sender *);                /* wipes the key; idempotent */
void sfr_sender_free(sfr_sender *);
int sfr_sender_extend(sfr_sender *, uint64_t first, uint64_t last);   /* the next lease */
uint64_t sfr_sender_kid(const sfr_sender *);
/* The counter the next frame will use. Returns SFR_OK, or why there is none. */
int sfr_sender_next(sfr_sender *, uint64_t *ctr);
uint64_t sfr_sender_blocks(sfr_sender *);           /* AES blocks used so far, of 2^36 */
void sfr_sender_set_blocks(sfr_sender *, uint64_t); /* raises the meter: resumed keys, tests */
/* How far the meter may go, 2^36 at most and at first; never below where it is. */
void sfr_sender_lease_blocks(sfr_sender *, uint64_t last);

/* Bytes a protected frame takes if it is sealed after at most `preceding` others. */
size_t sfr_protect_size(sfr_sender *, size_t frame_size, size_t preceding);
int sfr_protect(sfr_sender *, sfr_frame *);         /* one frame: reserve and seal */
/* A batch, `count` frames with a sender each. Check takes no counter: it says whether a frame
 * (in, metadata, clear) would be refused, and sets out_size to the room it needs at most. Protect
 * then wants `out` set; it sets kid, ctr and out_size. Both return how many frames they got
 * through; the next one's status says why it was refused. `steady` tells that each room is exact
 * and that no lease and no key's budget can end within the batch, unless somebody else uses the
 * senders meanwhile. */
size_t sfr_protect_many_size(sfr_sender *const *, sfr_frame *frames, size_t count, int *steady);
size_t sfr_protect_many(sfr_sender *const *, sfr_frame *frames, size_t count);
/* The same from columns to columns, apart from each other, for the usual case. Room is 0 where it
 * is not that: a row outside the data, a frame that would be refused, a lease or a key's budget
 * that may run out; else the bytes that all rows take. Protect writes them back to back and
 * returns how many rows it got through: all, unless somebody else uses the senders meanwhile. */
size_t sfr_protect_columns_size(sfr_sender *const *, const sfr_rows_in *, size_t count);
size_t sfr_protect_columns(sfr_sender *const *, const sfr_rows_in *, size_t count, uint8_t *out,
                           size_t room, const sfr_rows_out *);
/* Protect in two steps. Reserve takes the counters and sets kid, ctr and out_size, the room
 * needed; for one frame `out` is set before, for many after it. Seal a reserved frame once. */
int sfr_reserve(sfr_sender *, sfr_frame *);
size_t sfr_reserve_many(sfr_sender *const *, sfr_frame *frames, size_t count);
void sfr_seal_many(sfr_sender *const *, sfr_frame *frames, size_t count);

/* ---- senders known to this process: one live sender for each (base_key, KID) ----
 * For who seals with code of his own beside this library's, as the plain-Python engine does: one
 * table, or both would use the same counters. A key's fingerprint is HMAC-SHA256(secret, sframe_key
 * || sframe_salt), cut to 16 bytes. */

/* The secret, before any key is made; without it there is a random one. 0: no memory, or there is
 * another one. */
int sfr_registry_secret(const uint8_t secret[32]);
/* Claims a key. SFR_OK, and the AES blocks that its earlier senders have used; SFR_E_DUPLICATE when
 * it has a sender, or had one that may have used next_ctr; or SFR_E_NO_MEMORY. */
int sfr_registry_open(const uint8_t fingerprint[16], uint64_t next_ctr, uint64_t *blocks);
/* Gives the claim back. next_ctr: the first counter that was not used; spent: it was, too. */
void sfr_registry_close(const uint8_t fingerprint[16], uint64_t next_ctr, int spent,
                        uint64_t blocks);

/* ---- receiver ---- */

typedef struct sfr_receiver sfr_receiver;

int sfr_receiver_new(sfr_receiver **out, const sfr_suite *, const sfr_kernel *,
                     size_t replay_window, size_t max_frame, int strict);
void sfr_receiver_close(sfr_receiver *);
void sfr_receiver_free(sfr_receiver *);
/* A key is given, or provisional: derived ahead of any frame, or asked for by a header that may
 * be forged. A provisional key becomes as good as given when a tag verifies under it. Of the keys
 * asked for at most SFR_MAX_ASKED live at once, and the oldest makes room. The same key again
 * changes nothing but, at most, its kind to an earlier one (a replay window never restarts);
 * another key under a live KID is SFR_E_CONFLICT. */
enum { SFR_KEY_GIVEN, SFR_KEY_AHEAD, SFR_KEY_ASKED };
#define SFR_MAX_ASKED 128
int sfr_receiver_add(sfr_receiver *, uint64_t kid, const sfr_secret *, int kind);
int sfr_receiver_remove(sfr_receiver *, uint64_t kid);     /* SFR_UNKNOWN_KEY: was not there */
int sfr_receiver_kind(sfr_receiver *, uint64_t kid);       /* -1: there is no such key */

/* Keys that the caller can derive: those of the KIDs with `group` under `mask` whose number,
 * kid >> shift & numbers, is one of `total` from `first` on. The first `few` of them, with no
 * other bit set, may each have its key derived and kept; the rest share, see may_derive. */
typedef struct sfr_reach {
    uint64_t mask, group, numbers, first, total, few;
    unsigned shift;
} sfr_reach;
/* Replaces what was said of the same group. All reaches of a receiver have one layout: mask,
 * numbers and shift. */
int sfr_receiver_reach(sfr_receiver *, const sfr_reach *);
/* Forgets a group: what could be derived of it, and every key under its KIDs. */
void sfr_receiver_forget(sfr_receiver *, uint64_t mask, uint64_t group);

/* Room needed for what `in` will open to; 0 when it is too short to be a frame. */
size_t sfr_unprotect_size(const sfr_receiver *, const uint8_t *in, size_t in_size, size_t clear);
int sfr_unprotect(sfr_receiver *, sfr_frame *);
/* A batch, `count` frames with a receiver each. Room sets out_size to the room each frame needs
 * and returns the sum; unprotect then wants `out` set, apart from all that it reads, and returns
 * how many frames it refused. */
size_t sfr_unprotect_many_size(sfr_receiver *const *, sfr_frame *frames, size_t count);
size_t sfr_unprotect_many(sfr_receiver *const *, sfr_frame *frames, size_t count);
/* The same from columns to columns, apart from each other. Open room is what all rows take at most,
 * SIZE_MAX where one lies outside the data. Unprotect writes the frames back to back, zeros for what
 * it refuses, and sets room to what they took. */
size_t sfr_unprotect_columns_size(const sfr_rows_in *, size_t count);
size_t sfr_unprotect_columns(sfr_receiver *const *, const sfr_rows_in *, size_t count,
                             uint8_t *out, size_t *room, const sfr_rows_out *);
/* Unprotect in two steps, or three: screen refuses one frame that unprotect would refuse before
 * its key runs (SFR_OK: go on). What open leaves in `out` is nobody's before commit has judged
 * it: commit every opened frame once, in the same order. */
int sfr_screen(sfr_receiver *, sfr_frame *);
void sfr_open_many(sfr_receiver *const *, sfr_frame *frames, size_t count);
size_t sfr_commit_many(sfr_receiver *const *, sfr_frame *frames, size_t count);

/* Provisional keys that became real since the last call. Returns how many were written. */
size_t sfr_receiver_confirmed(sfr_receiver *, uint64_t *kids, size_t room);
/* Whether the key of this unknown KID is to be derived now that a frame has named it: never
 * outside every reach, always for the few of one. The rest have a burst of 64, to which every 256
 * frames that open add one, and then wait: see frame/reach.c. */
int sfr_receiver_may_derive(sfr_receiver *, uint64_t kid);
/* A frame that was counted under an unknown KID has found its key after all: it does not count. */
void sfr_receiver_recognize(sfr_receiver *, uint64_t kid);

typedef struct sfr_key_stats {
    uint64_t kid, opened, auth_failed, replayed, too_old, last_ctr;
    int provisional, closed;       /* closed: a 4-byte tag failed 2^12 times */
    uint64_t advanced;             /* of the refused frames, those whose CTR went on from others */
} sfr_key_stats;

#define SFR_UNKNOWN_TRACKED 16
typedef struct sfr_receiver_stats {
    uint64_t malformed, unknown;   /* frames */
    size_t keys;                   /* real and provisional */
    struct sfr_stranger { uint64_t kid, frames, advanced; } unknown_kids[SFR_UNKNOWN_TRACKED];
} sfr_receiver_stats;

void sfr_receiver_totals(sfr_receiver *, sfr_receiver_stats *);
/* Returns how many keys there are, be there room for them or not. */
size_t sfr_receiver_keys(sfr_receiver *, sfr_key_stats *, size_t room);

#ifndef SFR_PRIVATE
#pragma GCC visibility pop
#endif

#endif
