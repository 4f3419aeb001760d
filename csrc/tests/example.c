/* Everything that a C program needs for one frame, from a key to an opened frame and a refused one.
 * It prints what it does, and fails loudly if anything is not as it says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sfr.h"

static const uint8_t base_key[16] = "sixteen  octets";
static const uint8_t metadata[] = "room 12";

static void expect(int got, int wanted, const char *what)
{
    if (got == wanted) return;
    fprintf(stderr, "%s: %d instead of %d\n", what, got, wanted);
    exit(EXIT_FAILURE);
}

static size_t protect(sfr_sender *sender, const char *text, uint8_t *out, size_t room)
{
    sfr_frame frame = {
        .in = (const uint8_t *)text,
        .in_size = strlen(text),
        .metadata = metadata,
        .metadata_size = sizeof metadata,
        .out = out,
        .out_size = room,
    };
    expect(sfr_protect(sender, &frame), SFR_OK, "protect");
    printf("protected %zu bytes as %zu: kid %llu, ctr %llu\n", strlen(text), frame.out_size,
           (unsigned long long)frame.kid, (unsigned long long)frame.ctr);
    return frame.out_size;
}

static int unprotect(sfr_receiver *receiver, const uint8_t *ciphertext, size_t size)
{
    uint8_t out[100];
    sfr_frame frame = {
        .in = ciphertext,
        .in_size = size,
        .metadata = metadata,
        .metadata_size = sizeof metadata,
        .out = out,
        .out_size = sizeof out,
    };
    int status = sfr_unprotect(receiver, &frame);
    if (status == SFR_OK)
        printf("opened: %.*s\n", (int)frame.out_size, (const char *)out);
    else
        printf("refused: status %d\n", status);
    return status;
}

int main(void)
{
    sfr_sender *sender;
    sfr_receiver *receiver;
    uint8_t ciphertext[100];
    const sfr_suite *suite = sfr_suite_find(4); /* AES_128_GCM_SHA256_128 */

    if (!sfr_init(NULL)) {
        fprintf(stderr, "no kernel can run on this CPU\n");
        return EXIT_FAILURE;
    }
    const sfr_kernel *kernel = sfr_kernel_find(NULL);
    printf("kernel %s\n", sfr_kernel_name(kernel));

    sfr_secret *secret = sfr_secret_new(suite, base_key, sizeof base_key);
    expect(sfr_sender_new(&sender, secret, kernel, 7, 0, UINT64_MAX, SFR_DEFAULT_MAX_FRAME), SFR_OK,
           "sender");
    expect(sfr_receiver_new(&receiver, suite, kernel, 1024, SFR_DEFAULT_MAX_FRAME, 1), SFR_OK,
           "receiver");
    expect(sfr_receiver_add(receiver, 7, secret, 0), SFR_OK, "add");
    sfr_secret_free(secret);

    size_t size = protect(sender, "one encoded frame", ciphertext, sizeof ciphertext);
    ciphertext[size - 1] ^= 1;
    expect(unprotect(receiver, ciphertext, size), SFR_AUTH_FAILED, "a changed frame");
    ciphertext[size - 1] ^= 1;
    expect(unprotect(receiver, ciphertext, size), SFR_OK, "the frame");
    expect(unprotect(receiver, ciphertext, size), SFR_REPLAYED, "the same frame again");

    sfr_sender_free(sender);
    sfr_receiver_free(receiver);
    return EXIT_SUCCESS;
}
