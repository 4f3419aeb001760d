/* OpenSSL's EVP functions out of whichever libcrypto a program is told to load: the headers may be
 * older than the library that is measured. */
#ifndef BENCH_OPENSSL_H
#define BENCH_OPENSSL_H

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>

#define OPENSSL_FUNCTIONS(X)                                                                       \
    X(OpenSSL_version)                                                                             \
    X(EVP_CIPHER_fetch) X(EVP_CIPHER_CTX_new) X(EVP_CIPHER_CTX_ctrl)                               \
    X(EVP_EncryptInit_ex2) X(EVP_EncryptUpdate) X(EVP_EncryptFinal_ex)                             \
    X(EVP_DecryptInit_ex2) X(EVP_DecryptUpdate) X(EVP_DecryptFinal_ex)                             \
    X(EVP_MAC_fetch) X(EVP_MAC_CTX_new) X(EVP_MAC_init) X(EVP_MAC_update) X(EVP_MAC_final)

#define OPENSSL_FIELD(name) __typeof__(&name) name;
static struct { OPENSSL_FUNCTIONS(OPENSSL_FIELD) } ssl;

static inline void openssl_load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fprintf(stderr, "dlopen: %s\n", dlerror()), exit(1);
#define OPENSSL_LOAD(name)                                                                         \
    *(void **)&ssl.name = dlsym(library, #name);                                                   \
    if (!ssl.name) fprintf(stderr, "%s has no %s\n", path, #name), exit(1);
    OPENSSL_FUNCTIONS(OPENSSL_LOAD)
}

#endif
