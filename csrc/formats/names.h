/* Names for a second format in one library.
 *
 * The files of frame/ that include SFR_FORMAT are compiled once for SFrame, under the names that
 * they have, and once for each other format, under names of its own. Such a format is two files:
 *
 *     #define SFR_FORMAT "formats/other.h"
 *     #define SFR_FORMAT_NAME(function) other_##function
 *     #include "frame/counters.c"                  and #include "frame/receiver.c"
 *     #include "frame/sender_life.c"                   #include "frame/receiver_batch.c"
 *     #include "frame/sender.c"                        #include "frame/receiver_columns.c"
 *     #include "frame/sender_batch.c"                  #include "frame/commit.c"
 *     #include "frame/sender_columns.c"
 *
 * and offers other_sender_new, other_protect, other_unprotect. Everything else there is once: keys
 * and receivers, their statistics, kernels, and above all the registry of senders.
 *
 * Rule: a sender or receiver speaks one format all its life. */
#define sfr_sender_start_at SFR_FORMAT_NAME(sender_start_at)
#define sfr_sender_set_meter SFR_FORMAT_NAME(sender_set_meter)
#define sfr_sender_charge SFR_FORMAT_NAME(sender_charge)
#define sfr_sender_set_ready SFR_FORMAT_NAME(sender_set_ready)
#define sfr_sender_refusal SFR_FORMAT_NAME(sender_refusal)
#define sfr_sender_turn_over SFR_FORMAT_NAME(sender_turn_over)
#define sfr_sender_extend SFR_FORMAT_NAME(sender_extend)
#define sfr_sender_kid SFR_FORMAT_NAME(sender_kid)
#define sfr_sender_next SFR_FORMAT_NAME(sender_next)
#define sfr_sender_blocks SFR_FORMAT_NAME(sender_blocks)
#define sfr_sender_set_blocks SFR_FORMAT_NAME(sender_set_blocks)
#define sfr_sender_lease_blocks SFR_FORMAT_NAME(sender_lease_blocks)

#define sfr_sender_new SFR_FORMAT_NAME(sender_new)
#define sfr_sender_of_stream SFR_FORMAT_NAME(sender_of_stream)
#define sfr_sender_close SFR_FORMAT_NAME(sender_close)
#define sfr_sender_free SFR_FORMAT_NAME(sender_free)

#define sfr_protect SFR_FORMAT_NAME(protect)
#define sfr_protect_size SFR_FORMAT_NAME(protect_size)
#define sfr_protect_many SFR_FORMAT_NAME(protect_many)
#define sfr_protect_many_size SFR_FORMAT_NAME(protect_many_size)
#define sfr_protect_columns SFR_FORMAT_NAME(protect_columns)
#define sfr_protect_columns_size SFR_FORMAT_NAME(protect_columns_size)
#define sfr_protect_rows SFR_FORMAT_NAME(protect_rows)
#define sfr_protect_rows_size SFR_FORMAT_NAME(protect_rows_size)
#define sfr_reserve SFR_FORMAT_NAME(reserve)
#define sfr_reserve_many SFR_FORMAT_NAME(reserve_many)
#define sfr_seal_many SFR_FORMAT_NAME(seal_many)

#define sfr_unprotect SFR_FORMAT_NAME(unprotect)
#define sfr_unprotect_size SFR_FORMAT_NAME(unprotect_size)
#define sfr_unprotect_many SFR_FORMAT_NAME(unprotect_many)
#define sfr_unprotect_many_size SFR_FORMAT_NAME(unprotect_many_size)
#define sfr_unprotect_columns SFR_FORMAT_NAME(unprotect_columns)
#define sfr_unprotect_columns_size SFR_FORMAT_NAME(unprotect_columns_size)
#define sfr_screen SFR_FORMAT_NAME(screen)
#define sfr_open_many SFR_FORMAT_NAME(open_many)
#define sfr_commit_many SFR_FORMAT_NAME(commit_many)

#define sfr_commit_other SFR_FORMAT_NAME(commit_other)
#define sfr_count_failure SFR_FORMAT_NAME(count_failure)
#define sfr_confirm SFR_FORMAT_NAME(confirm)
#define sfr_predict SFR_FORMAT_NAME(predict)
