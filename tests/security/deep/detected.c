/* What this CPU is taken for: "slow" where a 512-bit carry-less multiplication takes two cycles. */
#include <stdio.h>

#include "internal.h"
#include "platform/cpu.h"

int main(void)
{
    char features[128];
    puts(sfr_cpu_detect(features, sizeof features) & SFR_CPU_SLOW_CLMUL ? "slow" : "quick");
    return 0;
}
