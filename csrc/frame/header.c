/* The SFrame header: RFC 9605 4.3.
 *
 *      0 1 2 3 4 5 6 7
 *     +-+-+-+-+-+-+-+-+------------+------------+
 *     |X|  K  |Y|  C  |  KID...    |  CTR...    |
 *     +-+-+-+-+-+-+-+-+------------+------------+
 *
 * X = 0: K is the KID, 0-7.  X = 1: K + 1 bytes of KID follow. Likewise Y, C and the CTR.
 */
#include "frame/header.h"

size_t sfr_header_size(uint64_t kid, uint64_t ctr)
{
    return 1 + sfr_field_bytes(kid) + sfr_field_bytes(ctr);
}

size_t sfr_header_encode(uint64_t kid, uint64_t ctr, uint8_t out[SFR_MAX_HEADER])
{
    uint64_t words[3];
    size_t size = sfr_header_words(kid, ctr, words);
    memcpy(out, words, size);
    return size;
}

int sfr_header_parse(const uint8_t *in, size_t size, int strict, sfr_header *out)
{
    uint64_t words[3];
    return sfr_header_read(in, size, strict, words, out);
}
