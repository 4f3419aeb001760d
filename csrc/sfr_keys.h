/* Key management on top of sfr.h: suites, kernels, ratcheted secrets, headers, leases of counters
 * and blocks, provisional keys, statistics, and the process-wide registry of senders. */
#ifndef SFR_KEYS_H
#define SFR_KEYS_H

#include "sfr.h"

#ifndef SFR_PRIVATE
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* ---- cipher suites (RFC 9605 4.5; 6-8: draft-barnes-sframe-iana-256) ---- */

struct sfr_suite {
    uint16_t id;
    uint8_t nh, nka, nk, nn, nt;   /* octets, in the RFC's terms; nka = 0 for GCM */
};

/* ---- kernels: the machine code a key is bound to ---- */

enum { SFR_KERNEL_READY, SFR_KERNEL_NO_CPU, SFR_KERNEL_CAPPED, SFR_KERNEL_BROKEN };

size_t sfr_kernel_count(void);                      /* of this architecture, usable or not */
const sfr_kernel *sfr_kernel_at(size_t index);      /* widest first */
int sfr_kernel_state(const sfr_kernel *);           /* one of SFR_KERNEL_... */
const char *sfr_kernel_reason(const sfr_kernel *);  /* why it is refused, or "" */

const char *sfr_cpu_features(void);                 /* for reports: "aes pclmul avx2 ..." */
/* Bytes of key pages, so far, that the system would not lock (they may be swapped out) and that it
 * would not leave out of core dumps. Pages are taken when keys need them. */
size_t sfr_memory_unlocked(void);
size_t sfr_memory_dumped(void);

/* A promise, given once after sfr_init: no two calls that take a sender or receiver overlap, except
 * sfr_seal_many and sfr_open_many. Python's GIL keeps it. It saves a locked instruction a frame. */
void sfr_serialize_callers(void);

/* ---- secrets: sframe_secret = HKDF-Extract("", base_key), kept in wiped memory ---- */

/* draft-ietf-avtcore-rtp-sframe: the base key of one SSRC. */
sfr_secret *sfr_secret_new_for_ssrc(const sfr_suite *, const uint8_t *base_key, size_t size,
                                    uint32_t ssrc);
sfr_secret *sfr_secret_ratchet(const sfr_secret *, unsigned steps);   /* RFC 9605 5.1 */

/* ---- headers ---- */

typedef struct sfr_header {
    uint64_t kid, ctr;
    size_t size;
} sfr_header;

size_t sfr_header_size(uint64_t kid, uint64_t ctr);
size_t sfr_header_encode(uint64_t kid, uint64_t ctr, uint8_t out[SFR_MAX_HEADER]);
/* strict refuses encodings that are not minimal. Returns SFR_OK or SFR_MALFORMED. */
int sfr_header_parse(const uint8_t *in, size_t size, int strict, sfr_header *out);

/* ---- a sender's counters and blocks ---- */

void sfr_sender_close(sfr_sender *);                /* wipes the key; idempotent */
int sfr_sender_extend(sfr_sender *, uint64_t first, uint64_t last);   /* the next lease */
uint64_t sfr_sender_kid(const sfr_sender *);
/* The counter the next frame will use. Returns SFR_OK, or why there is none. */
int sfr_sender_next(sfr_sender *, uint64_t *ctr);
uint64_t sfr_sender_blocks(sfr_sender *);           /* AES blocks used so far, of 2^36 */
void sfr_sender_set_blocks(sfr_sender *, uint64_t); /* raises the meter: resumed keys, tests */
/* How far the meter may go: 2^36 at most and at first, never below where it is. */
void sfr_sender_lease_blocks(sfr_sender *, uint64_t last);

/* ---- senders known to this process: one live sender for each (base_key, KID) ----
 * For code that seals by itself beside this library, as the plain-Python engine does: two tables
 * would hand out the same counters. A key's fingerprint is HMAC-SHA256(secret, sframe_key ||
 * sframe_salt), cut to 16 bytes. */

/* Sets the secret before any key is made; otherwise a random one is drawn. 0: no memory, or another
 * secret is in use. */
int sfr_registry_secret(const uint8_t secret[32]);
/* Claims a key. SFR_OK and the AES blocks that its earlier senders have used; SFR_E_DUPLICATE if it
 * has a sender, or had one that may have used next_ctr; or SFR_E_NO_MEMORY. */
int sfr_registry_open(const uint8_t fingerprint[16], uint64_t next_ctr, uint64_t *blocks);
/* Gives the claim back. next_ctr is the first counter that was not used; with `spent` it was used,
 * too. */
void sfr_registry_close(const uint8_t fingerprint[16], uint64_t next_ctr, int spent,
                        uint64_t blocks);

/* ---- a receiver's keys ---- */

void sfr_receiver_close(sfr_receiver *);
/* A key is given, or provisional: derived ahead of any frame, or asked for by a header, which may
 * be forged. A provisional key becomes as good as given when a tag verifies under it. At most
 * SFR_MAX_ASKED keys that were asked for live at once; the oldest makes room. Adding the same key
 * again changes nothing but, at most, its kind to an earlier one (a replay window never restarts);
 * another key under a live KID is SFR_E_CONFLICT. */
enum { SFR_KEY_GIVEN, SFR_KEY_AHEAD, SFR_KEY_ASKED };
#define SFR_MAX_ASKED 128
int sfr_receiver_remove(sfr_receiver *, uint64_t kid);     /* SFR_UNKNOWN_KEY: there was none */
int sfr_receiver_kind(sfr_receiver *, uint64_t kid);       /* -1: there is no such key */

/* Keys that the caller can derive: those of the KIDs with `group` under `mask` whose number,
 * kid >> shift & numbers, is one of `total` from `first` on. The first `few` of them, with no other
 * bit set, may each have its key derived and kept; the rest share, see may_derive. */
typedef struct sfr_reach {
    uint64_t mask, group, numbers, first, total, few;
    unsigned shift;
} sfr_reach;
/* Replaces an earlier reach of the same group. All reaches of a receiver have one layout: mask,
 * numbers and shift. */
int sfr_receiver_reach(sfr_receiver *, const sfr_reach *);
/* Forgets a group: its reach, and every key under its KIDs. */
void sfr_receiver_forget(sfr_receiver *, uint64_t mask, uint64_t group);

/* Provisional keys that became real since the last call. Returns the number written. */
size_t sfr_receiver_confirmed(sfr_receiver *, uint64_t *kids, size_t room);
/* Whether to derive the key of this unknown KID now that a frame with this CTR has named it: never
 * outside every reach, always for the few of one. The rest have a burst of 64, to which every 256
 * frames that open add one, and then wait, each for 97 of its frames at most: see frame/reach.c.
 * Ask once for each frame. */
int sfr_receiver_may_derive(sfr_receiver *, uint64_t kid, uint64_t ctr);
/* For callers that derive keys on demand. A frame under an unknown KID then has the status
 * SFR_UNRESOLVED and is not counted yet: the caller adds its key and unprotects it once more, or
 * gives up, which counts the frame and sets SFR_UNKNOWN_KEY. Columns, which do not name the KIDs of
 * refused frames, give up by themselves. */
void sfr_receiver_defer(sfr_receiver *, int on);
void sfr_receiver_give_up(sfr_receiver *, sfr_frame *);

/* ---- statistics ---- */

typedef struct sfr_key_stats {
    uint64_t kid, opened, auth_failed, replayed, too_old, last_ctr;
    int provisional, closed;       /* closed: a 4-byte tag failed 2^12 times */
    uint64_t advanced;             /* the refused frames whose CTR continued that of others */
} sfr_key_stats;

#define SFR_UNKNOWN_TRACKED 16
typedef struct sfr_receiver_stats {
    uint64_t malformed, unknown;   /* frames */
    size_t keys;                   /* real and provisional */
    struct sfr_stranger { uint64_t kid, frames, advanced; } unknown_kids[SFR_UNKNOWN_TRACKED];
} sfr_receiver_stats;

void sfr_receiver_totals(sfr_receiver *, sfr_receiver_stats *);
/* Returns the number of keys, whether or not there was room for all of them. */
size_t sfr_receiver_keys(sfr_receiver *, sfr_key_stats *, size_t room);

#ifdef __cplusplus
}
#endif
#ifndef SFR_PRIVATE
#pragma GCC visibility pop
#endif

#endif
