/* Memory for keys: pages that are kept out of core dumps, locked best effort, and wiped. */
#ifndef SFR_ARENA_H
#define SFR_ARENA_H

#include "platform/words.h"

extern SFR_HIDDEN _Atomic bool sfr_arena_is_large; /* its contents have outgrown the L2 cache */
void *sfr_arena_alloc(size_t size);            /* zeroed, 64-byte aligned; NULL without memory */
void sfr_arena_free(void *, size_t size);      /* wipes */

#endif
