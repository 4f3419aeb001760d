/* gcm_vaes512: the words it is written in, its key state, and the ends of buffers. */
#ifndef SFR_GCM_VAES512_WORDS_H
#define SFR_GCM_VAES512_WORDS_H

#include "aead/aes.h"
#include "aead/ghash.h"

#define VAES512 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,aes,pclmul,bmi2")))
#define WORD VAES512 SFR_INLINE
#define UNROLL _Pragma("GCC unroll 16")

typedef __m512i quad;

WORD quad load(const void *p)
{
    return _mm512_loadu_si512(p);
}
WORD void store(void *p, quad x)
{
    _mm512_storeu_si512(p, x);
}
WORD quad four(const __m128i *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128(p));
}
WORD quad lane0(__m128i x)
{
    return _mm512_zextsi128_si512(x);
}
WORD quad zero(void)
{
    return _mm512_setzero_si512();
}
WORD quad xor2(quad a, quad b)
{
    return _mm512_xor_si512(a, b);
}
/* One instruction, not two xor2: compilers turn chains of those into trees, which need more
 * registers than there are. */
WORD quad xor3(quad a, quad b, quad c)
{
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
WORD quad swap_halves(quad x)
{
    return _mm512_shuffle_epi32(x, _MM_PERM_BADC);
}
#define product(a, b, halves) _mm512_clmulepi64_epi128(a, b, halves)

WORD quad reflect(quad x)
{
    return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                                                      10, 11, 12, 13, 14, 15)));
}

enum {
    DATA_LANES = 0xfc /* all but lane 0, as 64-bit words */
};

/* ---- the key ---- */

#define POWERS 80

/* A frame reads the powers from its length down to H^1, then the round keys. From HOT on,
 * everything that a frame of 224 bytes needs lies in eight cache lines. */
typedef struct key_state {
    __m128i power[POWERS]; /* H^80, ..., H^2, H^1 */
    __m128i round_key[SFR_AES256_ROUNDS + 1];
} key_state;

#define HOT offsetof(key_state, power[POWERS - 16])

WORD const key_state *state_of(const sfr_row *row)
{
    return (const key_state *)(const void *)row->key->state;
}

/* ---- the ends of buffers ----
 * A quad of a frame is one masked access that also covers bytes before or after the buffer. Masked
 * bytes in an unmapped page do not fault, but the CPU takes 100 to 400 ns to find that out. So a
 * quad that would leave its page is assembled from accesses within the buffer. `easy` tells that
 * the caller has checked that already. */

WORD __mmask64 first_bytes(size_t n)
{
    return _bzhi_u64(~0ull, (unsigned)n);
}

WORD bool in_one_page(const uint8_t *p, size_t size)
{
    return ((uintptr_t)p & 4095) <= 4096 - size;
}

/* Byte i of the result is byte (i + n) % 64. */
WORD quad rotate(quad x, size_t n)
{
    const quad index = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    quad at = _mm512_add_epi64(index, _mm512_set1_epi64((long long)(n / 8)));
    quad low = _mm512_permutexvar_epi64(at, x);
    quad high = _mm512_permutexvar_epi64(_mm512_add_epi64(at, _mm512_set1_epi64(1)), x);
    __m128i down = _mm_cvtsi32_si128((int)(n % 8 * 8));
    __m128i up = _mm_cvtsi32_si128((int)(64 - n % 8 * 8));
    return _mm512_or_si512(_mm512_srl_epi64(low, down), _mm512_sll_epi64(high, up));
}

/* The last n bytes of a buffer, starting at p; 0 <= n <= 64. */
WORD quad load_end(const uint8_t *p, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(p, 64))) return _mm512_maskz_loadu_epi8(first_bytes(n), p);
    return rotate(_mm512_maskz_loadu_epi8(~first_bytes(64 - n), p + n - 64), 64 - n);
}

WORD void store_end(uint8_t *p, quad x, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(p, 64)))
        _mm512_mask_storeu_epi8(p, first_bytes(n), x);
    else
        _mm512_mask_storeu_epi8(p + n - 64, ~first_bytes(64 - n), rotate(x, n));
}

/* The frame's first quad: n <= 48 bytes in lanes 1 to 3, exactly 48 if the frame has more quads.
 * The other bytes are zero. */
WORD quad load_first(const uint8_t *in, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(in - 16, 64)))
        return _mm512_maskz_loadu_epi8(first_bytes(n) << 16, in - 16);
    return _mm512_maskz_expand_epi64(DATA_LANES, load_end(in, n, false));
}

WORD void store_first(uint8_t *out, quad x, size_t n, const bool easy)
{
    if (SFR_LIKELY(easy || in_one_page(out - 16, 64)))
        _mm512_mask_storeu_epi8(out - 16, first_bytes(n) << 16, x);
    else
        store_end(out, _mm512_maskz_compress_epi64(DATA_LANES, x), n, false);
}

#endif
