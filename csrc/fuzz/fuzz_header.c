/* Headers: arbitrary bytes, and any KID and CTR encoded and parsed again. */
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns whether there was a header. */
static int parse(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size), encoded[SFR_MAX_HEADER];
    sfr_header strict, lenient;
    int strictly = sfr_header_parse(copy, size, 1, &strict);
    int leniently = sfr_header_parse(copy, size, 0, &lenient);
    MUST(strictly == SFR_OK || strictly == SFR_MALFORMED);
    if (leniently == SFR_OK) {
        size_t least = sfr_header_encode(lenient.kid, lenient.ctr, encoded);
        int minimal = least == lenient.size && !memcmp(encoded, copy, least);
        MUST(lenient.size <= size && least <= lenient.size);
        /* RFC 9605 4.3 MUST: the least number of bytes */
        MUST(minimal == (strictly == SFR_OK));
    } else {
        MUST(strictly == SFR_MALFORMED);
    }
    free(copy);
    return leniently == SFR_OK;
}

static void there_and_back(const plain *p)
{
    uint8_t ours[SFR_MAX_HEADER], theirs[SFR_MAX_HEADER];
    sfr_header header;
    size_t size = fuzz_put_header(ours, p);
    MUST(sfr_header_parse(ours, size, 0, &header) == SFR_OK);
    MUST(header.kid == p->kid && header.ctr == p->ctr && header.size == size);
    MUST(sfr_header_parse(ours, size - 1, 0, &header) == SFR_MALFORMED);
    if (size != sfr_header_size(p->kid, p->ctr)) return;
    MUST(sfr_header_encode(p->kid, p->ctr, theirs) == size && !memcmp(ours, theirs, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int opened = parse(data, size);
    input in = fuzz_input(data, size);
    plain p = {.kid = fuzz_field(&in), .ctr = fuzz_field(&in)};
    p.kid_bytes = fuzz_least_bytes(p.kid), p.ctr_bytes = fuzz_least_bytes(p.ctr);
    there_and_back(&p);
    /* the same in more bytes than it needs */
    p.kid_bytes += (unsigned)fuzz_below(&in, 9 - p.kid_bytes);
    p.ctr_bytes += (unsigned)fuzz_below(&in, 9 - p.ctr_bytes);
    there_and_back(&p);
    fuzz_executed(opened);
    return 0;
}
