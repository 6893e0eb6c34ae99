/* Gzip files (RFC 1952), through zlib: compressed kernels. */
#ifndef HINDCAST_VM_GUNZIP_H
#define HINDCAST_VM_GUNZIP_H

#include "base/error.h"
#include "base/types.h"

bool gunzip_recognises(const void *data, size_t len);
/* The whole contents in *out, which the caller frees; not more than `limit` bytes (-ENOMEM). `name` is for *err. */
int gunzip(const char *name, const void *data, size_t len, uint64_t limit, uint8_t **out, size_t *out_len,
           struct error *err);
/* The first `want` bytes of the contents; returns how many there are. */
size_t gunzip_peek(const void *data, size_t len, uint8_t *out, size_t want);

#endif
