/* Memory straight from the operating system, in whole pages. It is zeroed; NULL: there is none
 * left. */
#ifndef SFR_PAGES_H
#define SFR_PAGES_H

#include "platform/words.h"

#define SFR_HUGE_PAGE ((size_t)2 << 20)

void *sfr_map_pages(size_t size);
/* For secrets: locked in memory and left out of core dumps, both best effort. */
void *sfr_map_private(size_t size);
/* The same for SFR_HUGE_PAGE bytes: one huge page where the system has them. Never unmapped. */
void *sfr_map_private_huge(void);
/* A forked child finds these zeroed. NULL also where the kernel does not promise that. */
void *sfr_map_wiped_on_fork(size_t size);
void sfr_unmap_pages(void *, size_t size);

#endif
