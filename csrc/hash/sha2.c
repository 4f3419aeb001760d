/* SHA-256 and SHA-512 (FIPS 180-4) in portable C.
 *
 * Only additions, rotations and logic on words: neither an index nor a branch depends on data, so
 * the time depends on the number of blocks alone.
 */
#include "hash/sha2.h"
#include "hash/sha2_rounds.h"

const _Alignas(64) uint32_t sfr_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

const _Alignas(64) uint64_t sfr_sha512_k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

#define SMALL0_256(x) (ROTATE(x, 7) ^ ROTATE(x, 18) ^ (x) >> 3)
#define SMALL1_256(x) (ROTATE(x, 17) ^ ROTATE(x, 19) ^ (x) >> 10)
#define SMALL0_512(x) (ROTATE(x, 1) ^ ROTATE(x, 8) ^ (x) >> 7)
#define SMALL1_512(x) (ROTATE(x, 19) ^ ROTATE(x, 61) ^ (x) >> 6)

#define W(n) w[(n) % 16]
#define EXPAND(small0, small1, i) W(i) += small1(W(i + 14)) + W(i + 9) + small0(W(i + 1));

#define ROUND_256(i) ROUND(BIG0_256, BIG1_256, k[i] + W(i), i)
#define ROUND_512(i) ROUND(BIG0_512, BIG1_512, k[i] + W(i), i)
#define LATE_ROUND_256(i) EXPAND(SMALL0_256, SMALL1_256, i) ROUND_256(i)
#define LATE_ROUND_512(i) EXPAND(SMALL0_512, SMALL1_512, i) ROUND_512(i)

static void block256(uint32_t h[8], const uint8_t *data)
{
    uint32_t s[8], w[16], ab, bc;
    for (int i = 0; i < 16; i++) w[i] = sfr_be32(sfr_load32(data + 4 * i));
    memcpy(s, h, sizeof s);
    bc = s[1] ^ s[2];
    const uint32_t *k = sfr_sha256_k;
    SFR_SIXTEEN(ROUND_256)
    for (k += 16; k < sfr_sha256_k + 64; k += 16) { SFR_SIXTEEN(LATE_ROUND_256) }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

static void block512(uint64_t h[8], const uint8_t *data)
{
    uint64_t s[8], w[16], ab, bc;
    for (int i = 0; i < 16; i++) w[i] = sfr_be64(sfr_load64(data + 8 * i));
    memcpy(s, h, sizeof s);
    bc = s[1] ^ s[2];
    const uint64_t *k = sfr_sha512_k;
    SFR_SIXTEEN(ROUND_512)
    for (k += 16; k < sfr_sha512_k + 80; k += 16) { SFR_SIXTEEN(LATE_ROUND_512) }
    for (int i = 0; i < 8; i++) h[i] += s[i];
}

void sfr_sha256_blocks(sfr_sha256 *state, const uint8_t *data, size_t blocks)
{
    for (; blocks; blocks--, data += 64) block256(state->h, data);
}

void sfr_sha512_blocks(sfr_sha512 *state, const uint8_t *data, size_t blocks)
{
    for (; blocks; blocks--, data += 128) block512(state->h, data);
}

static void compress256(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) sfr_sha256_blocks(&states[i]->s256, data[i], blocks);
}

static void compress512(sfr_sha_state *const *states, const uint8_t *const *data, size_t blocks,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) sfr_sha512_blocks(&states[i]->s512, data[i], blocks);
}

const sfr_hash sfr_hash256_portable = {32, 64, compress256, SIZE_MAX};
const sfr_hash sfr_hash512_portable = {64, 128, compress512, SIZE_MAX};

const sfr_hash *sfr_hash_of(int nh)
{
#ifdef SFR_X86
    uint32_t cpu = sfr_cpu();
    if (nh == 32 && cpu & SFR_CPU_SHANI) return &sfr_hash256_ni;
    if (nh == 32 && cpu & SFR_CPU_AESNI) return &sfr_hash256_ssse3;
    if (nh == 64 && cpu & SFR_CPU_AVX2) return &sfr_hash512_bmi2;
    if (nh == 64 && cpu & SFR_CPU_AESNI) return &sfr_hash512_ssse3;
#elif defined(SFR_ARM64)
    uint32_t cpu = sfr_cpu();
    if (nh == 32 && cpu & SFR_CPU_ARMV8) return &sfr_hash256_armv8;
    if (nh == 64 && cpu & SFR_CPU_ARMV8_SHA3) return &sfr_hash512_armv8;
#endif
    return nh == 32 ? &sfr_hash256_portable : &sfr_hash512_portable;
}
