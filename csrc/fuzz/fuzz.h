/* What the fuzz targets share: choices drawn from the input, exact buffers, frames sealed again.
 *
 * Rule 1: a target holds keys and seals what its input describes, so that it reaches the code
 *         behind the tag. The executions that opened a frame are counted, and printed at the end.
 * Rule 2: every buffer is a heap block of exactly its size, so that any access outside is seen.
 * Rule 3: every kernel of this machine must do what one of them does.
 */
#ifndef SFR_FUZZ_H
#define SFR_FUZZ_H

#include "formats/sframe.h"

#define MAX_KERNELS 8
#define SUITES 8

/* Stops the fuzzer, naming the place, if a claim does not hold. */
#define MUST(claim) ((claim) ? (void)0 : fuzz_wrong(#claim, __FILE__, __LINE__))
void fuzz_wrong(const char *claim, const char *file, int line);

extern const sfr_kernel *fuzz_kernels[MAX_KERNELS]; /* the ready ones */
extern size_t fuzz_kernel_count;

void fuzz_executed(int opened); /* once per execution */

/* ---- an input as choices; past its end it goes on, decided by what it held ---- */

typedef struct input {
    const uint8_t *data;
    size_t left;
    uint64_t more;
} input;

input fuzz_input(const uint8_t *data, size_t size);
uint64_t fuzz_take(input *, size_t bytes);
uint64_t fuzz_below(input *, uint64_t limit);
/* A KID or a counter: short about as often as long. */
uint64_t fuzz_field(input *);
uint8_t *fuzz_bytes(input *, size_t size); /* the caller frees it */

uint8_t *fuzz_copy(const uint8_t *data, size_t size);
int fuzz_all_zero(const uint8_t *data, size_t size);

/* ---- frames ---- */

/* A frame to come: what is sealed, and under which header bytes (they need not be minimal). */
typedef struct plain {
    const sfr_key *key;
    uint64_t kid, ctr;
    unsigned kid_bytes, ctr_bytes;
    const uint8_t *frame, *metadata;
    size_t size, clear, metadata_size;
} plain;

sfr_key *fuzz_key(const sfr_secret *, const sfr_kernel *, uint64_t kid);
unsigned fuzz_least_bytes(uint64_t value);
size_t fuzz_put_header(uint8_t *out, const plain *);
/* Writes clear | header | ciphertext | tag into a buffer that the caller frees. */
uint8_t *fuzz_seal(const plain *, size_t *size);

#endif
