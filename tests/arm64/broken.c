/* What the self-test says of each kernel with each fault in each family, a line for each. */
#include <stdio.h>

#include "saboteur.h"

int main(void)
{
    sfr_init(NULL);
    for (size_t k = 0; k < sfr_kernel_count(); k++)
        for (int family = 0; family < SFR_FAMILIES; family++)
            for (size_t i = 0; fault_name(i); i++) {
                const char *name = sfr_kernel_name(sfr_kernel_at(k));
                int said = self_test_of(name, family, fault_name(i));
                printf("%s/%d/%s: %d\n", name, family, fault_name(i), said);
            }
    return 0;
}
