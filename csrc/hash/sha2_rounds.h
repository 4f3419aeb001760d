/* One round of SHA-256 or SHA-512 (FIPS 180-4) on words, for any source of the message schedule. */
#ifndef SFR_SHA2_ROUNDS_H
#define SFR_SHA2_ROUNDS_H

#define ROTATE(x, n) ((x) >> (n) | (x) << (8 * sizeof(x) - (n)))

#define BIG0_256(x) (ROTATE(x, 2) ^ ROTATE(x, 13) ^ ROTATE(x, 22))
#define BIG1_256(x) (ROTATE(x, 6) ^ ROTATE(x, 11) ^ ROTATE(x, 25))
#define BIG0_512(x) (ROTATE(x, 28) ^ ROTATE(x, 34) ^ ROTATE(x, 39))
#define BIG1_512(x) (ROTATE(x, 14) ^ ROTATE(x, 18) ^ ROTATE(x, 41))

/* Variable number n of a..h in round i. The variables stay in s[8]; only their names rotate. */
#define S(n, i) s[((n) - (i)) & 7]

/* `input` is the schedule's word plus the round's constant. Operands that are known last are added
 * last. The majority of a, b, c is b ^ ((a ^ b) & (b ^ c)); a ^ b, returned in ab, is the next
 * round's b ^ c, passed in bc. */
#define ROUND(big0, big1, input, i)                                                                \
    S(7, i) += (input);                                                                            \
    S(7, i) += S(6, i) ^ (S(4, i) & (S(5, i) ^ S(6, i)));                                          \
    S(7, i) += big1(S(4, i));                                                                      \
    S(3, i) += S(7, i);                                                                            \
    ab = S(0, i) ^ S(1, i);                                                                        \
    S(7, i) += S(1, i) ^ (ab & bc);                                                                \
    S(7, i) += big0(S(0, i));                                                                      \
    bc = ab;

#endif
