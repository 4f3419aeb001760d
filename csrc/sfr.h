/* SFrame (RFC 9605) in C11: one frame, one sender, one receiver.
 *
 *   Sender    reserve -> seal                        sfr_protect
 *   Receiver  parse -> resolve -> open -> commit     sfr_unprotect
 *
 *   1. A counter is reserved before its frame is sealed and is never given back.
 *   2. Nothing a header says changes state before a tag has verified.
 *   3. A refused frame leaves zeros, never plaintext, in its output.
 *   4. Any thread may call anything. After fork a Sender refuses in the child, a Receiver goes on.
 *   5. The library never prints, never aborts and keeps no pointer to a caller's buffer.
 *
 * sfr_keys.h adds key management and statistics, sfr_batch.h many frames in one call. */
#ifndef SFR_H
#define SFR_H

#include <stddef.h>
#include <stdint.h>

#ifndef SFR_PRIVATE                /* with it, a module that contains these files exports none */
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define SFR_MAX_HEADER 17          /* config byte, 8-byte KID, 8-byte CTR: RFC 9605 4.3 */
#define SFR_MAX_TAG 16
#define SFR_MAX_OVERHEAD (SFR_MAX_HEADER + SFR_MAX_TAG)
#define SFR_MIN_BASE_KEY 16        /* shorter base keys are refused */
#define SFR_DEFAULT_MAX_FRAME ((size_t)16 << 20)
#define SFR_LIMIT_MAX_FRAME ((size_t)0x7fffffff)

/* The fate of a frame (>= 0: the network's doing) or of a call (< 0: the caller's). */
enum {
    SFR_OK = 0,
    SFR_MALFORMED = 1,             /* no SFrame header, or shorter than header and tag */
    SFR_UNKNOWN_KEY = 2,           /* the only one worth a retry: RFC 9605 4.4.4 MAY */
    SFR_AUTH_FAILED = 3,
    SFR_REPLAYED = 4,
    SFR_TOO_OLD = 5,
    SFR_UNRESOLVED = 6,            /* an unknown KID, left to the caller: sfr_receiver_defer */
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

/* On the wire a frame is clear | header | ciphertext | tag. The first `clear` bytes are
 * authenticated, not encrypted. In place means that the payload bytes coincide (protect: in ==
 * out + header, unprotect: out == in + header); any other overlap is SFR_E_OVERLAP. */
typedef struct sfr_frame {
    const uint8_t *in;
    size_t in_size;
    const uint8_t *metadata;       /* authenticated, not carried; NULL when empty */
    size_t metadata_size;
    size_t clear;                  /* leading bytes left readable */
    uint8_t *out;
    size_t out_size;               /* before: room; after: bytes written, 0 when refused */
    uint64_t kid, ctr;             /* under which the frame was authenticated */
    int status;
    int rekey_due;                 /* sender: this frame brought the key to half its budget */
    uint64_t opened_by;            /* receiver: private, from sfr_open_many to commit */
} sfr_frame;

typedef struct sfr_suite sfr_suite;
typedef struct sfr_kernel sfr_kernel;
typedef struct sfr_secret sfr_secret;
typedef struct sfr_sender sfr_sender;
typedef struct sfr_receiver sfr_receiver;

/* Chooses and self-tests the kernels; call it once, before anything else. max_isa is NULL, or the
 * widest kernel that may be used ("none" refuses all). Returns the number of kernels ready. */
int sfr_init(const char *max_isa);
const sfr_kernel *sfr_kernel_find(const char *name); /* a ready kernel; NULL name: the best */
const char *sfr_kernel_name(const sfr_kernel *);
const sfr_suite *sfr_suite_find(int id);             /* NULL: unknown, or no kernel serves it */
sfr_secret *sfr_secret_new(const sfr_suite *, const uint8_t *base_key, size_t size);
void sfr_secret_free(sfr_secret *);                  /* wipes; NULL is fine */

/* RFC 9605 4.4.1 MUST: a key is for sealing or for opening; its type says which.
 * Counters first..last are the sender's to use. */
int sfr_sender_new(sfr_sender **out, const sfr_secret *, const sfr_kernel *, uint64_t kid,
                   uint64_t first, uint64_t last, size_t max_frame);
int sfr_protect(sfr_sender *, sfr_frame *);          /* reserves a counter and seals */
void sfr_sender_free(sfr_sender *);                  /* wipes the key; NULL is fine */

/* replay_window in frames, 0 for none; strict refuses headers that are not minimal. */
int sfr_receiver_new(sfr_receiver **out, const sfr_suite *, const sfr_kernel *,
                     size_t replay_window, size_t max_frame, int strict);
int sfr_receiver_add(sfr_receiver *, uint64_t kid, const sfr_secret *, int kind);   /* 0: given */
int sfr_unprotect(sfr_receiver *, sfr_frame *);
void sfr_receiver_free(sfr_receiver *);              /* wipes the keys; NULL is fine */

#ifdef __cplusplus
}
#endif
#ifndef SFR_PRIVATE
#pragma GCC visibility pop
#endif

#endif
