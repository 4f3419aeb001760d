/* The inner loop of an SFU's plugin that takes part in a call, as a recorder or a bridge does: on
 * each tick one frame of every publisher is opened, and what opened is sealed for another room, each
 * in one call. A refused frame is nobody's, and stops no other one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sfr_batch.h>

enum { PUBLISHERS = 100, TICKS = 50, SUITE = 4, FRAME = 160, ROOM = FRAME + SFR_MAX_OVERHEAD };
static sfr_sender *publishers[PUBLISHERS], *bridges[PUBLISHERS];
static sfr_receiver *rooms[PUBLISHERS];
static uint8_t plain[FRAME], wire[PUBLISHERS][ROOM], open[PUBLISHERS][ROOM], on[PUBLISHERS][ROOM];

static void check(int right, const char *what)
{
    if (right) return;
    fprintf(stderr, "sfu_loop: %s\n", what);
    exit(EXIT_FAILURE);
}

/* The base keys are the call's to exchange; these are for show. One key, KID, Sender each. */
static void join(int i, const sfr_kernel *kernel)
{
    const sfr_suite *suite = sfr_suite_find(SUITE);
    const uint8_t here[16] = {(uint8_t)i, 1}, there[16] = {(uint8_t)i, 2};
    sfr_secret *secret = sfr_secret_new(suite, here, sizeof here);
    sfr_secret *other = sfr_secret_new(suite, there, sizeof there);
    uint64_t kid = (uint64_t)i;
    check(!sfr_sender_new(&publishers[i], secret, kernel, kid, 0, UINT64_MAX, FRAME), "publisher");
    check(!sfr_sender_new(&bridges[i], other, kernel, kid, 0, UINT64_MAX, FRAME), "bridge");
    check(!sfr_receiver_new(&rooms[i], suite, kernel, 1024, ROOM, 1), "receiver");
    check(!sfr_receiver_add(rooms[i], kid, secret, 0), "key");
    sfr_secret_free(secret);
    sfr_secret_free(other);
}

static void arrive(int tick, sfr_frame *frames)
{
    for (int i = 0; i < PUBLISHERS; i++) {
        sfr_frame sent = {.in = plain, .in_size = FRAME, .out = wire[i], .out_size = ROOM};
        check(!sfr_protect(publishers[i], &sent), "protect");
        if (i == tick) wire[i][sent.out_size / 2] ^= 1; /* somebody on the way */
        frames[i] = (sfr_frame){.in = wire[i], .in_size = sent.out_size};
    }
}

int main(void)
{
    size_t refused = 0, passed = 0;
    check(sfr_init(NULL) > 0, "no kernel can run on this CPU");
    for (int i = 0; i < PUBLISHERS; i++) join(i, sfr_kernel_find(NULL));
    for (int tick = 0; tick < TICKS; tick++) {
        sfr_frame in[PUBLISHERS], out[PUBLISHERS];
        sfr_sender *senders[PUBLISHERS];
        size_t count = 0;
        arrive(tick, in);

        sfr_unprotect_many_size(rooms, in, PUBLISHERS); /* the inner loop begins */
        for (int i = 0; i < PUBLISHERS; i++) in[i].out = open[i];
        refused += sfr_unprotect_many(rooms, in, PUBLISHERS);
        for (int i = 0; i < PUBLISHERS; i++) {
            if (in[i].status != SFR_OK) continue;
            check(in[i].out_size == FRAME && !memcmp(open[i], plain, FRAME), "another frame");
            senders[count] = bridges[i];
            out[count++] = (sfr_frame){.in = open[i], .in_size = FRAME};
        }
        check(sfr_protect_many_size(senders, out, count, &(int){0}) == count, "sizes");
        for (size_t i = 0; i < count; i++) out[i].out = on[i];
        check(sfr_protect_many(senders, out, count) == count, "seal"); /* and ends */
        passed += count;
    }
    for (int i = 0; i < PUBLISHERS; i++)
        sfr_sender_free(publishers[i]), sfr_sender_free(bridges[i]), sfr_receiver_free(rooms[i]);
    printf("%zu frames passed on, %zu refused\n", passed, refused);
    return EXIT_SUCCESS;
}
