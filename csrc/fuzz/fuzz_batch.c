/* Batches of any mix: many senders and receivers, suites, kernels and lengths, with good rows,
 * damaged rows and rows that come twice. Sealing is compared with another kernel, opening with
 * single calls on another kernel, in row order. */
#include <stdlib.h>

#include "fuzz.h"

#define MAX_ROWS 80 /* more than one chunk */
#define MAX_FRAME 4096
#define PARTIES (MAX_KERNELS * SUITES)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sender on one kernel; receivers of its frames on that kernel and on the next one. */
typedef struct party {
    sfr_secret *secret;
    sfr_sender *sender;
    sfr_receiver *together, *alone;
    sfr_key *reference; /* on the next kernel */
    uint64_t kid, lease_end;
} party;

static party parties[PARTIES];
static size_t party_count;

static void add_key(party *p)
{
    MUST(sfr_receiver_add(p->together, p->kid, p->secret, 0) == SFR_OK);
    MUST(sfr_receiver_add(p->alone, p->kid, p->secret, 0) == SFR_OK);
}

static void make_party(party *p, size_t number)
{
    uint8_t base_key[16] = {(uint8_t)number};
    const sfr_kernel *kernel = fuzz_kernels[number % fuzz_kernel_count];
    const sfr_kernel *next = fuzz_kernels[(number + 1) % fuzz_kernel_count];
    const sfr_suite *suite = sfr_suite_find(1 + (int)(number / fuzz_kernel_count));
    p->kid = number % 3 ? number : (uint64_t)number << 33;
    p->lease_end = 99;
    p->secret = sfr_secret_new(suite, base_key, sizeof base_key);
    p->reference = fuzz_key(p->secret, next, p->kid);
    MUST(sfr_sender_new(&p->sender, p->secret, kernel, p->kid, 0, 99, MAX_FRAME) == SFR_OK);
    MUST(sfr_receiver_new(&p->together, suite, kernel, 1024, MAX_FRAME, 1) == SFR_OK);
    MUST(sfr_receiver_new(&p->alone, suite, next, 1024, MAX_FRAME, 1) == SFR_OK);
    add_key(p);
}

static void make_parties(void)
{
    if (party_count) return;
    party_count = fuzz_kernel_count * SUITES;
    for (size_t i = 0; i < party_count; i++) make_party(&parties[i], i);
}

typedef enum fate { GOOD, DAMAGED, CUT, STRANGE, TWICE } fate;

typedef struct row {
    party *p;
    fate fate;
    size_t source; /* of TWICE: the row it repeats */
} row;

static row rows[MAX_ROWS];
static sfr_sender *senders[MAX_ROWS];
static sfr_receiver *receivers[MAX_ROWS];
static sfr_frame sealing[MAX_ROWS], opening[MAX_ROWS];

/* ---- seal ---- */

static void plan(input *in, size_t count, size_t usual, int mixed)
{
    for (size_t i = 0; i < count; i++) {
        sfr_frame *f = &sealing[i];
        rows[i].p = &parties[mixed ? fuzz_below(in, party_count) : usual % party_count];
        senders[i] = rows[i].p->sender;
        receivers[i] = rows[i].p->together;
        *f = (sfr_frame){.in_size = mixed ? fuzz_below(in, 200) : usual % 300};
        if (fuzz_below(in, 32) == 0) f->in_size = fuzz_below(in, MAX_FRAME);
        if (fuzz_below(in, 8) == 0) f->clear = fuzz_below(in, f->in_size + 1);
        if (fuzz_below(in, 8) == 0) f->metadata_size = fuzz_below(in, 60);
        f->in = fuzz_bytes(in, f->in_size);
        f->metadata = fuzz_bytes(in, f->metadata_size);
    }
}

/* A row found its lease ended: takes the next lease, after a gap. */
static void next_lease(size_t row)
{
    party *p = rows[row].p;
    MUST(sealing[row].status == SFR_E_LEASE_ENDED);
    MUST(sfr_sender_extend(p->sender, p->lease_end + 7, p->lease_end + 206) == SFR_OK);
    p->lease_end += 206;
}

static void check(size_t count)
{
    int steady;
    for (size_t done; (done = sfr_protect_many_size(senders, sealing, count, &steady)) < count;)
        next_lease(done);
}

static void reserve_then_seal(size_t count)
{
    for (size_t at = 0; (at += sfr_reserve_many(senders + at, sealing + at, count - at)) < count;)
        next_lease(at);
    for (size_t i = 0; i < count; i++) sealing[i].out = fuzz_copy(NULL, sealing[i].out_size);
    sfr_seal_many(senders, sealing, count);
}

static void protect(size_t count)
{
    for (size_t i = 0; i < count; i++) sealing[i].out = fuzz_copy(NULL, sealing[i].out_size);
    for (size_t at = 0; (at += sfr_protect_many(senders + at, sealing + at, count - at)) < count;)
        next_lease(at);
}

static void compare_with_reference(const party *p, const sfr_frame *f)
{
    plain same = {.key = p->reference, .kid = f->kid, .ctr = f->ctr};
    size_t size;
    same.kid_bytes = fuzz_least_bytes(f->kid), same.ctr_bytes = fuzz_least_bytes(f->ctr);
    same.frame = f->in, same.size = f->in_size, same.clear = f->clear;
    same.metadata = f->metadata, same.metadata_size = f->metadata_size;
    uint8_t *wire = fuzz_seal(&same, &size);
    MUST(size == f->out_size && !memcmp(wire, f->out, size));
    free(wire);
}

static void seal(size_t count, int in_two_steps)
{
    check(count);
    (in_two_steps ? reserve_then_seal : protect)(count);
    for (size_t i = 0; i < count; i++) {
        MUST(sealing[i].status == SFR_OK);
        compare_with_reference(rows[i].p, &sealing[i]);
    }
}

/* ---- open ---- */

static void damage(input *in, fate how, sfr_frame *f, uint8_t *wire)
{
    if (how == DAMAGED) wire[f->clear + fuzz_below(in, f->in_size - f->clear)] ^= 1;
    if (how == CUT) f->in_size -= 1 + fuzz_below(in, f->in_size);
    if (how == STRANGE) wire[f->clear] |= 0x80; /* a KID of other bytes */
}

static void offer(input *in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sfr_frame *f = &opening[i];
        uint64_t draw = fuzz_take(in, 1);
        row *r = &rows[i];
        r->fate = draw < 200 || r->p->reference->tag_size == 4 ? GOOD : 1 + (fate)(draw % 4);
        r->source = i && r->fate == TWICE ? fuzz_below(in, i) : i;
        const sfr_frame *from = &sealing[r->source];
        r->p = rows[r->source].p, receivers[i] = r->p->together;
        *f = (sfr_frame){.in_size = from->out_size, .clear = from->clear};
        uint8_t *wire = fuzz_copy(from->out, f->in_size);
        damage(in, r->fate, f, wire);
        f->in = fuzz_copy(wire, f->in_size);
        f->metadata = fuzz_copy(from->metadata, from->metadata_size);
        f->metadata_size = from->metadata_size;
        f->out_size = sfr_unprotect_size(receivers[i], f->in, f->in_size, f->clear);
        f->out = fuzz_copy(NULL, f->out_size);
        free(wire);
    }
}

static void compare_with_single_call(size_t i)
{
    const sfr_frame *batched = &opening[i];
    sfr_frame f = *batched;
    f.out_size = sfr_unprotect_size(rows[i].p->alone, f.in, f.in_size, f.clear);
    size_t room = f.out_size;
    f.out = fuzz_copy(NULL, room);
    MUST(sfr_unprotect(rows[i].p->alone, &f) == batched->status);
    MUST(f.out_size == batched->out_size && !memcmp(f.out, batched->out, room));
    if (f.status != SFR_OK) MUST(f.status > 0 && fuzz_all_zero(f.out, room));
    free(f.out);
}

static size_t check_row(size_t i)
{
    const sfr_frame *f = &opening[i], *from = &sealing[rows[i].source];
    if (rows[i].fate == GOOD) MUST(f->status == SFR_OK);
    if (rows[i].fate == DAMAGED || rows[i].fate == CUT) MUST(f->status > 0);
    if (f->status != SFR_OK) return 0;
    MUST(f->kid == from->kid && f->ctr == from->ctr);
    MUST(f->out_size == from->in_size && !memcmp(f->out, from->in, f->out_size));
    return 1;
}

static size_t open_all(size_t count, int in_two_steps)
{
    size_t opened = 0;
    if (in_two_steps) {
        sfr_open_many(receivers, opening, count);
        sfr_commit_many(receivers, opening, count);
    } else {
        sfr_unprotect_many(receivers, opening, count);
    }
    for (size_t i = 0; i < count; i++) {
        compare_with_single_call(i);
        opened += check_row(i);
    }
    return opened;
}

/* ---- columns: the same rows back to back, without metadata and clear bytes ---- */

typedef struct columns {
    int64_t in_offsets[MAX_ROWS], offsets[MAX_ROWS];
    int32_t in_lengths[MAX_ROWS], lengths[MAX_ROWS];
    uint8_t status[MAX_ROWS];
    uint64_t kid[MAX_ROWS], ctr[MAX_ROWS];
    sfr_rows_in in;
    sfr_rows_out to;
} columns;

static void lay(columns *c, size_t size, uint8_t *data)
{
    c->in = (sfr_rows_in){data, size, c->in_offsets, c->in_lengths};
    c->to = (sfr_rows_out){c->offsets, c->lengths, c->status, c->kid, c->ctr};
}

/* Describes the rows as frames in other buffers. */
static uint8_t *lay_frames(input *in, columns *c, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        senders[i] = rows[i].p->sender, receivers[i] = rows[i].p->together;
        c->in_offsets[i] = (int64_t)size;
        size += (size_t)(c->in_lengths[i] = (int32_t)sealing[i].in_size);
    }
    uint8_t *frames = fuzz_bytes(in, size);
    lay(c, size, frames);
    return frames;
}

/* A row opened as its sender sealed it, and a single call on the other kernel agrees. */
static void check_columns(const columns *sealed, const columns *opened, const uint8_t *back,
                          size_t i, int damaged)
{
    const uint8_t *from = sealed->in.data + sealed->in_offsets[i];
    sfr_frame f = {.in = opened->in.data + opened->in_offsets[i]};
    f.in_size = (size_t)opened->in_lengths[i];
    f.out_size = (size_t)sealed->in_lengths[i];
    f.out = fuzz_copy(NULL, f.out_size);
    MUST(sfr_unprotect(rows[i].p->alone, &f) == opened->status[i]);
    MUST((opened->status[i] == SFR_OK) == !damaged);
    MUST(f.out_size == (size_t)opened->lengths[i]);
    if (!damaged) {
        MUST(opened->kid[i] == rows[i].p->kid && opened->ctr[i] == sealed->ctr[i]);
        MUST(opened->lengths[i] == sealed->in_lengths[i]);
        MUST(!memcmp(back + opened->offsets[i], from, f.out_size));
        MUST(!memcmp(f.out, from, f.out_size));
    }
    free(f.out);
}

/* What was sealed comes back whole; a damaged row harms no other. */
static void columns_there_and_back(input *in, size_t count)
{
    static columns sealed, opened;
    size_t damaged = fuzz_below(in, 2) ? count : fuzz_below(in, count);
    uint8_t *frames = lay_frames(in, &sealed, count);
    size_t room = sfr_protect_columns_size(senders, &sealed.in, count), size = sealed.in.size;
    if (room) { /* 0: a lease ends within the batch */
        uint8_t *wire = fuzz_copy(NULL, room), *back = fuzz_copy(NULL, size);
        MUST(sfr_protect_columns(senders, &sealed.in, count, wire, room, &sealed.to) == count);
        memcpy(opened.in_offsets, sealed.offsets, sizeof sealed.offsets);
        memcpy(opened.in_lengths, sealed.lengths, sizeof sealed.lengths);
        lay(&opened, room, wire);
        if (damaged < count) wire[sealed.offsets[damaged] + sealed.lengths[damaged] - 1] ^= 1;
        MUST(sfr_unprotect_columns_size(&opened.in, count) == room);
        MUST(sfr_unprotect_columns(receivers, &opened.in, count, back, &size, &opened.to) ==
             (damaged < count));
        MUST(size == sealed.in.size);
        for (size_t i = 0; i < count; i++) check_columns(&sealed, &opened, back, i, i == damaged);
        free(back);
        free(wire);
    }
    free(frames);
}

/* Rows that lie anywhere: each ends at the end of its memory, and comes back whole. */
static void check_sealed_row(const columns *given, size_t i, const uint8_t *wire, size_t size)
{
    sfr_receiver *both[2] = {rows[i].p->together, rows[i].p->alone};
    for (size_t which = 0; which < 2; which++) {
        sfr_frame f = {.in = wire, .in_size = size, .out_size = (size_t)given->in_lengths[i]};
        f.out = fuzz_copy(NULL, f.out_size);
        MUST(sfr_unprotect(both[which], &f) == SFR_OK);
        MUST(f.out_size == (size_t)given->in_lengths[i] && f.kid == rows[i].p->kid);
        MUST(!memcmp(f.out, given->in.data + given->in_offsets[i], f.out_size));
        free(f.out);
    }
}

static void rows_there_and_back(input *in, size_t count)
{
    static columns given;
    uint8_t *outs[MAX_ROWS], *frames = lay_frames(in, &given, count);
    int32_t sizes[MAX_ROWS];
    if (sfr_protect_rows_size(senders, &given.in, count, sizes)) {
        for (size_t i = 0; i < count; i++) outs[i] = fuzz_copy(NULL, (size_t)sizes[i]);
        MUST(sfr_protect_rows(senders, &given.in, count, outs, sizes) == count);
        for (size_t i = 0; i < count; i++) {
            check_sealed_row(&given, i, outs[i], (size_t)sizes[i]);
            free(outs[i]);
        }
    }
    free(frames);
}

/* ---- between batches ---- */

/* A key taken away opens nothing; given back, its window begins anew. */
static void take_away(input *in)
{
    party *p = &parties[fuzz_below(in, party_count)];
    sfr_receiver_stats totals;
    sfr_key_stats stats[4];
    MUST(sfr_receiver_kind(p->together, p->kid) == SFR_KEY_GIVEN);
    MUST(sfr_receiver_remove(p->together, p->kid) == SFR_OK);
    MUST(sfr_receiver_remove(p->together, p->kid) == SFR_UNKNOWN_KEY);
    MUST(sfr_receiver_remove(p->alone, p->kid) == SFR_OK);
    sfr_receiver_totals(p->together, &totals);
    MUST(totals.keys == 0 && sfr_receiver_keys(p->together, stats, 4) == 0);
    add_key(p);
    MUST(sfr_receiver_keys(p->together, stats, 4) == 1 && stats[0].opened == 0);
}

static void free_frames(sfr_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((void *)frames[i].in);
        free((void *)frames[i].metadata);
        free(frames[i].out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = fuzz_input(data, size);
    make_parties();
    size_t count = 1 + (fuzz_below(&in, 8) ? fuzz_below(&in, 12) : fuzz_below(&in, MAX_ROWS));
    int mixed = fuzz_below(&in, 4) != 0;
    plan(&in, count, fuzz_take(&in, 2), mixed);
    seal(count, fuzz_below(&in, 2) == 0);
    offer(&in, count);
    size_t opened = open_all(count, fuzz_below(&in, 2) == 0);
    if (fuzz_below(&in, 4) == 0) columns_there_and_back(&in, count);
    if (fuzz_below(&in, 4) == 0) rows_there_and_back(&in, count);
    if (fuzz_below(&in, 16) == 0) take_away(&in);
    free_frames(sealing, count);
    free_frames(opening, count);
    fuzz_executed(opened > 0);
    return 0;
}
