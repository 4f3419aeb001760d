/* Everything that the files of the library share, for tests and benches. The library's own files
 * include only the parts they use. */
#ifndef SFR_INTERNAL_H
#define SFR_INTERNAL_H

#include "aead/kernels.h"
#include "hash/hash.h"
#include "platform/arena.h"
#include "platform/locks.h"
#include "platform/process.h"
#include "platform/random.h"
#include "platform/secrets.h"
#include "sfr_batch.h"
#include "sfr_keys.h"

#endif
