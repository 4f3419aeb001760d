/* The cipher suites: RFC 9605 4.5, and draft-barnes-sframe-iana-256 for 6 to 8.
 *
 * Rule: a suite is a row of numbers. A row that no family of kernels can serve is never found.
 */
#include "hash/hash.h"

static const sfr_suite suites[] = {
    /* id nh nka  nk  nn  nt */
    {1, 32, 16, 48, 12, 10}, /* AES_128_CTR_HMAC_SHA256_80 */
    {2, 32, 16, 48, 12, 8},  /* AES_128_CTR_HMAC_SHA256_64 */
    {3, 32, 16, 48, 12, 4},  /* AES_128_CTR_HMAC_SHA256_32 */
    {4, 32, 0, 16, 12, 16},  /* AES_128_GCM_SHA256_128 */
    {5, 64, 0, 32, 12, 16},  /* AES_256_GCM_SHA512_128 */
    {6, 64, 32, 96, 12, 10}, /* AES_256_CTR_HMAC_SHA512_80 */
    {7, 64, 32, 96, 12, 8},  /* AES_256_CTR_HMAC_SHA512_64 */
    {8, 64, 32, 96, 12, 4},  /* AES_256_CTR_HMAC_SHA512_32 */
};
#define SUITES (sizeof suites / sizeof *suites)

/* Whether a family's code does what a row says. AES-GCM writes a 16-byte tag whatever the row says.
 * Tags of 5 to 7 bytes would escape the rules for short tags, which cover 4 bytes only. */
static bool has_family(const sfr_suite *s)
{
    if ((s->nh != 32 && s->nh != 64) || s->nn != SFR_NN) return false;
    if (!s->nka) return (s->nk == 16 || s->nk == 32) && s->nt == 16;
    return s->nka == (s->nh == 32 ? 16 : 32) && s->nk == s->nka + s->nh &&
           (s->nt == 4 || (s->nt >= 8 && s->nt <= SFR_MAX_TAG));
}

const sfr_suite *sfr_suite_find(int id)
{
    for (size_t i = 0; i < SUITES; i++)
        if (suites[i].id == id) return has_family(&suites[i]) ? &suites[i] : NULL;
    return NULL;
}

sfr_family sfr_suite_family(const sfr_suite *suite)
{
    if (suite->nka) return suite->nka == 16 ? SFR_CTR_HMAC_128 : SFR_CTR_HMAC_256;
    return suite->nk == 16 ? SFR_GCM_128 : SFR_GCM_256;
}
