/* What is done with secrets, one operation at a time, for those who watch it: see ct.c. */
#ifndef CT_H
#define CT_H

#include "internal.h"

#define CT_ROWS 9
#define CT_ROOM 8192

typedef struct ct_work {
    const char *kernel, *operation; /* key_setup, seal, open_good, open_bad; or a seeded fault */
    int suite;
    uint32_t seed;                  /* of the secrets; sizes and addresses do not depend on it */
    size_t count, aad_size, sizes[CT_ROWS];
} ct_work;

int ct_prepare(const ct_work *); /* 0: there is no such thing */
void ct_run(void);               /* the part that is watched */
void ct_finish(void);

#ifdef CT_IMPORTED
/* The functions of the extension module that is installed: their addresses, in this order. */
typedef struct ct_imports {
    const sfr_kernel *(*kernel_find)(const char *);
    const sfr_suite *(*suite_find)(int);
    sfr_secret *(*secret_new)(const sfr_suite *, const uint8_t *, size_t);
    void (*secret_free)(sfr_secret *);
    bool (*key_init)(sfr_key *, const sfr_secret *, const sfr_kernel *, uint64_t, uint8_t[16]);
} ct_imports;
extern ct_imports ct_imported;
#define sfr_kernel_find ct_imported.kernel_find
#define sfr_suite_find ct_imported.suite_find
#define sfr_secret_new ct_imported.secret_new
#define sfr_secret_free ct_imported.secret_free
#define sfr_key_init ct_imported.key_init
#endif

#endif
