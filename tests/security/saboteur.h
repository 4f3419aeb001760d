/* Kernels with one thing wrong, made of right ones: what a self-test must notice. */
#ifndef SABOTEUR_H
#define SABOTEUR_H

#include "internal.h"

/* Puts a wrong operation into a table of kernels, as the environment says:
 * SABOTAGE=<kernel>/<family>/<fault>, the family as a number of sfr_family. */
void sabotage(sfr_kernel *kernels, size_t count);

/* What sfr_self_test says of a ready kernel with this fault in one family. */
int self_test_of(const char *kernel, int family, const char *fault);
const char *fault_name(size_t number); /* NULL past the last */

/* Nanoseconds of `runs` self-tests of a kernel. */
void self_test_times(const char *kernel, double *nanoseconds, size_t runs);

#endif
