# csrc/sfr*.h, as far as the Python engine uses them. Only what is declared nogil may run without
# the GIL, which is the lock of senders and receivers: sfr_serialize_callers.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "sfr_keys.h":
    pass

cdef extern from "sfr_batch.h":
    enum:
        SFR_OK
        SFR_MALFORMED
        SFR_UNKNOWN_KEY
        SFR_UNRESOLVED
        SFR_E_RETIRED
        SFR_E_LEASE_ENDED
        SFR_E_DUPLICATE
        SFR_E_TOO_LARGE
        SFR_E_OVERLAP
        SFR_E_ROOM
        SFR_E_ARGUMENT
        SFR_E_NO_MEMORY
        SFR_KERNEL_READY
        SFR_UNKNOWN_TRACKED

    ctypedef struct sfr_header:
        uint64_t kid
        uint64_t ctr
        size_t size

    size_t sfr_header_size(uint64_t kid, uint64_t ctr)
    int sfr_header_parse(const uint8_t *data, size_t size, int strict, sfr_header *out)

    ctypedef struct sfr_suite:
        uint16_t id
        uint8_t nt

    const sfr_suite *sfr_suite_find(int id)

    ctypedef struct sfr_kernel:
        pass

    size_t sfr_kernel_count()
    const sfr_kernel *sfr_kernel_at(size_t index)
    const char *sfr_kernel_name(const sfr_kernel *)
    int sfr_kernel_state(const sfr_kernel *)
    const char *sfr_kernel_reason(const sfr_kernel *)
    const sfr_kernel *sfr_kernel_find(const char *name)
    int sfr_init(const char *max_isa)
    void sfr_serialize_callers()
    const char *sfr_cpu_features()
    size_t sfr_memory_unlocked()
    size_t sfr_memory_dumped()

    ctypedef struct sfr_secret:
        pass

    sfr_secret *sfr_secret_new(const sfr_suite *, const uint8_t *base_key, size_t size)
    sfr_secret *sfr_secret_new_for_ssrc(const sfr_suite *, const uint8_t *base_key, size_t size,
                                        uint32_t ssrc)
    sfr_secret *sfr_secret_ratchet(const sfr_secret *, unsigned steps)
    void sfr_secret_free(sfr_secret *)

    ctypedef struct sfr_frame:
        const uint8_t *data "in"
        size_t in_size
        const uint8_t *metadata
        size_t metadata_size
        size_t clear
        uint8_t *out
        size_t out_size
        uint64_t kid
        uint64_t ctr
        int status
        bint rekey_due

    ctypedef struct sfr_rows_in:
        const uint8_t *data
        size_t size
        const int64_t *offsets
        const int32_t *lengths

    ctypedef struct sfr_rows_out:
        int64_t *offsets
        int32_t *lengths
        uint8_t *status
        uint64_t *kid
        uint64_t *ctr

    ctypedef struct sfr_sender:
        pass

    int sfr_sender_new(sfr_sender **out, const sfr_secret *, const sfr_kernel *, uint64_t kid,
                       uint64_t first, uint64_t last, size_t max_frame)
    void sfr_sender_close(sfr_sender *)
    void sfr_sender_free(sfr_sender *)
    int sfr_sender_extend(sfr_sender *, uint64_t first, uint64_t last)
    uint64_t sfr_sender_kid(const sfr_sender *)
    int sfr_sender_next(sfr_sender *, uint64_t *ctr)
    uint64_t sfr_sender_blocks(sfr_sender *)
    void sfr_sender_set_blocks(sfr_sender *, uint64_t)
    void sfr_sender_lease_blocks(sfr_sender *, uint64_t)
    int sfr_registry_secret(const uint8_t *secret)
    int sfr_registry_open(const uint8_t *fingerprint, uint64_t next_ctr, uint64_t *blocks)
    void sfr_registry_close(const uint8_t *fingerprint, uint64_t next_ctr, bint spent,
                            uint64_t blocks)

    size_t sfr_protect_size(sfr_sender *, size_t frame_size, size_t preceding)
    int sfr_protect(sfr_sender *, sfr_frame *)
    size_t sfr_protect_many_size(sfr_sender *const *, sfr_frame *frames, size_t count, int *steady)
    size_t sfr_protect_many(sfr_sender *const *, sfr_frame *frames, size_t count)
    size_t sfr_protect_columns_size(sfr_sender *const *, const sfr_rows_in *, size_t count)
    size_t sfr_protect_columns(sfr_sender *const *, const sfr_rows_in *, size_t count,
                               uint8_t *out, size_t room, const sfr_rows_out *)
    int sfr_reserve(sfr_sender *, sfr_frame *)
    size_t sfr_reserve_many(sfr_sender *const *, sfr_frame *frames, size_t count)
    void sfr_seal_many(sfr_sender *const *, sfr_frame *frames, size_t count) nogil

    ctypedef struct sfr_receiver:
        pass

    int sfr_receiver_new(sfr_receiver **out, const sfr_suite *, const sfr_kernel *,
                         size_t replay_window, size_t max_frame, int strict)
    void sfr_receiver_close(sfr_receiver *)
    void sfr_receiver_free(sfr_receiver *)
    int sfr_receiver_add(sfr_receiver *, uint64_t kid, const sfr_secret *, int kind)
    int sfr_receiver_remove(sfr_receiver *, uint64_t kid)
    int sfr_receiver_kind(sfr_receiver *, uint64_t kid)

    ctypedef struct sfr_reach:
        uint64_t mask
        uint64_t group
        uint64_t numbers
        uint64_t first
        uint64_t total
        uint64_t few
        unsigned shift

    int sfr_receiver_reach(sfr_receiver *, const sfr_reach *)
    void sfr_receiver_forget(sfr_receiver *, uint64_t mask, uint64_t group)
    size_t sfr_unprotect_size(const sfr_receiver *, const uint8_t *data, size_t size, size_t clear)
    int sfr_unprotect(sfr_receiver *, sfr_frame *)
    size_t sfr_unprotect_many_size(sfr_receiver *const *, sfr_frame *frames, size_t count)
    size_t sfr_unprotect_many(sfr_receiver *const *, sfr_frame *frames, size_t count)
    size_t sfr_protect_rows_size(sfr_sender *const *, const sfr_rows_in *, size_t count,
                                 int32_t *sizes)
    size_t sfr_protect_rows(sfr_sender *const *, const sfr_rows_in *, size_t count,
                            uint8_t *const *outs, const int32_t *sizes)
    size_t sfr_unprotect_columns_size(const sfr_rows_in *, size_t count)
    size_t sfr_unprotect_columns(sfr_receiver *const *, const sfr_rows_in *, size_t count,
                                 uint8_t *out, size_t *room, const sfr_rows_out *)
    int sfr_screen(sfr_receiver *, sfr_frame *)
    void sfr_open_many(sfr_receiver *const *, sfr_frame *frames, size_t count) nogil
    size_t sfr_commit_many(sfr_receiver *const *, sfr_frame *frames, size_t count)
    size_t sfr_receiver_confirmed(sfr_receiver *, uint64_t *kids, size_t room)
    int sfr_receiver_may_derive(sfr_receiver *, uint64_t kid, uint64_t ctr)
    void sfr_receiver_defer(sfr_receiver *, int on)
    void sfr_receiver_give_up(sfr_receiver *, sfr_frame *)

    ctypedef struct sfr_key_stats:
        uint64_t kid
        uint64_t opened
        uint64_t auth_failed
        uint64_t replayed
        uint64_t too_old
        uint64_t last_ctr
        int provisional
        int closed
        uint64_t advanced

    ctypedef struct sfr_stranger "struct sfr_stranger":
        uint64_t kid
        uint64_t frames
        uint64_t advanced

    ctypedef struct sfr_receiver_stats:
        uint64_t malformed
        uint64_t unknown
        size_t keys
        sfr_stranger *unknown_kids

    void sfr_receiver_totals(sfr_receiver *, sfr_receiver_stats *)
    size_t sfr_receiver_keys(sfr_receiver *, sfr_key_stats *, size_t room)
