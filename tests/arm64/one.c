/* One operation of tests/security/deep/ct.c, for who steps through it from ct_run to ct_finish:
 *
 *     one KERNEL SUITE OPERATION SEED AAD_SIZE SIZE...
 */
#include <stdlib.h>

#include "ct.h"

int main(int argc, char **argv)
{
    if (argc < 7 || argc > 6 + CT_ROWS) return 2;
    ct_work asked = {.kernel = argv[1], .operation = "open_good", .suite = atoi(argv[2]), .seed = 1};
    sfr_init(NULL);
    /* The key of all fingerprints is made once in a process, of randomness. */
    if (!ct_prepare(&asked)) return 3;
    ct_work operation = asked;
    operation.operation = argv[3];
    operation.seed = (uint32_t)atoi(argv[4]);
    operation.aad_size = (size_t)atoi(argv[5]);
    for (int i = 6; i < argc; i++) operation.sizes[operation.count++] = (size_t)atoi(argv[i]);
    if (!ct_prepare(&operation)) return 3;
    ct_run();
    ct_finish();
    return 0;
}
