/* One frame on every kernel: sealed and then damaged as the input says, or arbitrary bytes. */
#include <stdlib.h>

#include "fuzz.h"

#define MAX_FRAME 8192
#define ROOM_AT_EDGE 3 /* bytes that `out` may have too many */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t kids[] = {0, 7, 8, 255, 256, 0xffff, (uint64_t)1 << 40, UINT64_MAX};
#define KIDS (sizeof kids / sizeof *kids)

typedef struct group {
    sfr_secret *secret;
    sfr_receiver *receivers[MAX_KERNELS][2]; /* [.][1]: strict */
    sfr_key *keys[MAX_KERNELS][KIDS];
    unsigned failures;
} group;

static group groups[SUITES + 1]; /* by the number of the suite */

static void make_kernel(group *g, int suite, size_t kernel)
{
    for (int strict = 0; strict < 2; strict++)
        MUST(sfr_receiver_new(&g->receivers[kernel][strict], sfr_suite_find(suite),
                              fuzz_kernels[kernel], 0, MAX_FRAME, strict) == SFR_OK);
    for (size_t i = 0; i < KIDS; i++) {
        g->keys[kernel][i] = fuzz_key(g->secret, fuzz_kernels[kernel], kids[i]);
        for (int strict = 0; strict < 2; strict++)
            MUST(sfr_receiver_add(g->receivers[kernel][strict], kids[i], g->secret, 0) == SFR_OK);
    }
}

static group *group_of(int suite)
{
    static const uint8_t base_key[] = "a base key for fuzzing";
    group *g = &groups[suite];
    if (g->secret) return g;
    g->secret = sfr_secret_new(sfr_suite_find(suite), base_key, sizeof base_key);
    for (size_t k = 0; k < fuzz_kernel_count; k++) make_kernel(g, suite, k);
    return g;
}

/* The key of a short tag closes after 2^12 failures, so the receiver is renewed in time. */
static void forgive(group *g, int suite)
{
    if (sfr_suite_find(suite)->nt != 4 || ++g->failures % 2048) return;
    for (size_t k = 0; k < fuzz_kernel_count; k++)
        for (size_t i = 0; i < KIDS * 2; i++) {
            MUST(sfr_receiver_remove(g->receivers[k][i % 2], kids[i / 2]) == SFR_OK);
            MUST(sfr_receiver_add(g->receivers[k][i % 2], kids[i / 2], g->secret, 0) == SFR_OK);
        }
}

typedef struct offer {
    const uint8_t *wire, *metadata;
    size_t size, metadata_size, clear;
    int in_place;
    size_t spare;
} offer;

/* Opens it in buffers of their own. Leaves what `out` holds, which the caller frees. */
static uint8_t *open_one(sfr_receiver *r, const offer *o, sfr_frame *f)
{
    uint8_t *wire = fuzz_copy(o->wire, o->size);
    uint8_t *metadata = fuzz_copy(o->metadata, o->metadata_size), *out;
    size_t room = sfr_unprotect_size(r, wire, o->size, o->clear);
    sfr_header header;
    *f = (sfr_frame){.in = wire, .in_size = o->size, .clear = o->clear};
    f->metadata = metadata, f->metadata_size = o->metadata_size;
    int in_place =
        o->in_place && room && !sfr_header_parse(wire + o->clear, o->size - o->clear, 0, &header);
    f->out_size = room + (in_place ? 0 : o->spare);
    f->out = in_place ? wire + header.size : fuzz_copy(NULL, f->out_size);
    if (!in_place) memset(f->out, 0xa5, f->out_size);
    size_t offered = f->out_size;
    sfr_unprotect(r, f);
    if (f->status == SFR_OK)
        MUST(f->out_size == room);
    else if (!in_place)
        MUST(f->status > 0 && f->out_size == 0 &&
             fuzz_all_zero(f->out, room < offered ? room : offered));
    out = in_place ? fuzz_copy(f->out, f->out_size) : f->out;
    f->in = f->metadata = f->out = NULL;
    free(wire);
    free(metadata);
    return out;
}

/* All kernels agree; returns the status and leaves the frame. */
static int open_everywhere(const group *g, const offer *o, int strict, uint8_t **out, size_t *size)
{
    sfr_frame first, f;
    *out = open_one(g->receivers[0][strict], o, &first);
    *size = first.out_size;
    for (size_t k = 1; k < fuzz_kernel_count; k++) {
        uint8_t *again = open_one(g->receivers[k][strict], o, &f);
        MUST(f.status == first.status && f.out_size == *size);
        MUST(f.kid == first.kid && f.ctr == first.ctr);
        MUST(!*size || !memcmp(again, *out, *size));
        free(again);
    }
    return first.status;
}

static int any_bytes(const group *g, offer *o, int strict)
{
    uint8_t *out;
    size_t size;
    int status = open_everywhere(g, o, strict, &out, &size);
    free(out);
    return status == SFR_OK;
}

static int sealed_bytes(const group *g, input *in, offer *o, int strict)
{
    size_t kid = fuzz_below(in, KIDS), kernel = fuzz_below(in, fuzz_kernel_count);
    plain p = {.key = g->keys[kernel][kid], .kid = kids[kid], .ctr = fuzz_field(in)};
    unsigned least_kid = fuzz_least_bytes(p.kid), least_ctr = fuzz_least_bytes(p.ctr);
    int longer = fuzz_below(in, 8) == 0;
    p.kid_bytes = least_kid + (longer ? (unsigned)fuzz_below(in, 9 - least_kid) : 0);
    p.ctr_bytes = least_ctr + (longer ? (unsigned)fuzz_below(in, 9 - least_ctr) : 0);
    int minimal = p.kid_bytes == least_kid && p.ctr_bytes == least_ctr;
    int damage = fuzz_below(in, 4) == 0;
    uint64_t where = fuzz_take(in, 2), flip = 1u << fuzz_below(in, 8);
    p.size = fuzz_below(in, 16) ? fuzz_below(in, 200) : fuzz_below(in, MAX_FRAME);
    p.clear = fuzz_below(in, 4) ? 0 : fuzz_below(in, p.size + 1);
    uint8_t *frame = fuzz_bytes(in, p.size), *wire, *out;
    size_t out_size;
    p.frame = frame, p.metadata = o->metadata, p.metadata_size = o->metadata_size;
    o->wire = wire = fuzz_seal(&p, &o->size);
    o->clear = p.clear;
    if (damage) wire[where % o->size] ^= (uint8_t)flip;
    int status = open_everywhere(g, o, strict, &out, &out_size);
    if (!damage) MUST(status == (minimal || !strict ? SFR_OK : SFR_MALFORMED));
    /* 4 bytes of tag: a damaged frame may open once in 2^32 */
    if (damage) MUST(status != SFR_OK || p.key->tag_size == 4);
    if (status == SFR_OK) MUST(out_size == p.size && !memcmp(out, frame, p.size));
    free(out);
    free(wire);
    free(frame);
    return status == SFR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = fuzz_input(data, size);
    int suite = 1 + (int)fuzz_below(&in, SUITES), strict = fuzz_below(&in, 8) != 0, opened;
    group *g = group_of(suite);
    offer o = {.metadata_size = fuzz_below(&in, 4) ? 0 : fuzz_below(&in, 100)};
    uint8_t *metadata = fuzz_bytes(&in, o.metadata_size);
    o.metadata = metadata, o.in_place = fuzz_below(&in, 4) == 0;
    o.spare = fuzz_below(&in, ROOM_AT_EDGE + 1);
    if (fuzz_below(&in, 4)) {
        opened = sealed_bytes(g, &in, &o, strict);
    } else {
        o.clear = fuzz_below(&in, 4) ? 0 : fuzz_below(&in, 40);
        o.wire = in.data, o.size = in.left;
        opened = any_bytes(g, &o, strict);
    }
    if (!opened) forgive(g, suite);
    free(metadata);
    fuzz_executed(opened);
    return 0;
}
