/* Waiting for another thread that is about to be done. */
#ifndef SFR_WAITS_H
#define SFR_WAITS_H

/* Once around a loop that waits, for the attempt-th time from 0: spins, gives way, then sleeps. */
void sfr_wait_a_little(unsigned attempt);

#endif
