/* Wiping memory and the stack, and comparing in constant time. */
#include "platform/secrets.h"

#include "aead/aes.h"

void sfr_wipe(void *p, size_t size)
{
    memset(p, 0, size);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

int sfr_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint8_t differing = 0;
    for (size_t i = 0; i < size; i++) differing |= (uint8_t)(a[i] ^ b[i]);
    return (int)(((uint32_t)differing - 1) >> 31);
}

/* ---- the stack ----
 * A function that worked on secrets cannot know what the compiler spilled. It calls one of these
 * last, so that their arrays lie where its callees' frames were. */

/* Ends a burn. Asking for the frame's address makes the compiler push a frame pointer, and then the
 * array takes up the whole frame: no gap remains between it and the caller's frame. */
SFR_INLINE void burnt(void)
{
    __asm__ __volatile__("" : : "r"(__builtin_frame_address(0)));
#if defined(SFR_X86) || defined(SFR_ARM64)
    sfr_clear_registers();
#endif
}

/* Below 2048 bytes memset is fastest. */
__attribute__((noinline)) void sfr_burn_little_stack(void)
{
    uint8_t below[1536];
    sfr_wipe(below, sizeof below);
    burnt();
}

__attribute__((noinline)) void sfr_burn_much_stack(void)
{
    uint8_t below[4608];
    sfr_wipe(below, sizeof below);
    burnt();
}
