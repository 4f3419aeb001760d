/* What the tests reach of the library's inside. Python reads these declarations, too. */

/* A row as Python describes it. Its AAD is cut in three: header, clear bytes, metadata. */
typedef struct spec {
    void *key;
    const uint8_t *nonce; /* 12 bytes */
    const uint8_t *aad;
    size_t aad_size, clear_at, metadata_at;
    const uint8_t *source;
    uint8_t *out;
    size_t size;
    uint8_t *tag;
    int status;
} spec;

/* A key of a suite's family on a kernel, from sframe_key itself: below the key schedule. */
void *raw_key(const char *kernel, int suite, const uint8_t *sframe_key);
void raw_key_free(void *key);

void run_rows(spec *specs, size_t count, int sealing);  /* as a batch does it */
void run_alone(spec *specs, size_t count, int sealing); /* one row a call */
uint64_t interleaved_calls(void);

/* Each SHA-2 there is, by number; NULL past the last. Missing: this CPU cannot run it. */
const char *hash_name(size_t number);
int hash_size(size_t number);
int hash_missing(size_t number);
const char *hash_chosen(int nh); /* the name of the one for single streams of this digest */
/* `count` states of 64 bytes and as many messages of `blocks` blocks, side by side. */
void hash_compress(size_t number, uint8_t *states, const uint8_t *data, size_t blocks,
                   size_t count);
void hmac_cut(int nh, const uint8_t *key, size_t key_size, const uint8_t *message, size_t size,
              size_t cut, uint8_t *out);
void derive(const sfr_secret *secret, uint64_t kid, uint8_t *sframe_key, uint8_t *sframe_salt);
int equal(const uint8_t *a, const uint8_t *b, size_t size);

/* Memory between two pages that must not be touched. protection: PROT_READ and PROT_WRITE. */
uint8_t *fenced(size_t pages);
int fenced_protect(uint8_t *memory, size_t pages, int protection);
void fenced_free(uint8_t *memory, size_t pages);

/* A kernel with a fault of our own making, so that a test can be seen to notice it. */
enum {
    FAULT_STORE_16_PAST,
    FAULT_READ_16_BEFORE,
    FAULT_WRONG_BYTE,
    FAULT_KEEP_PLAINTEXT,
    FAULT_LATE_BLOCK
};
void run_faulty(spec *specs, size_t count, int sealing, int fault);
