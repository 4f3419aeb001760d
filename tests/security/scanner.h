#ifndef SCANNER_H
#define SCANNER_H

#include <immintrin.h>

#include "internal.h"

#define SCANNED 8        /* bytes of a pattern: a part of the salt is no longer */
#define REGISTERS 2048   /* 32 of 64 bytes */
#define STACK 32768      /* below the caller */
#define ROWS_ROOM 4096
#define AAD 40           /* bytes 1, 2, 3, ... */

#endif
