/* Waiting for another thread that will be done in a moment. */
#ifndef SFR_WAITS_H
#define SFR_WAITS_H

/* One pass of a waiting loop. attempt counts from 0: the first passes spin, later ones yield the
 * processor, the last ones sleep. */
void sfr_wait_a_little(unsigned attempt);

#endif
