/*
 * A growable run of bytes. Running out of host memory ends the program.
 */
#ifndef HINDCAST_BASE_BUFFER_H
#define HINDCAST_BASE_BUFFER_H

#include "base/types.h"

struct buffer {
    uint8_t *data; /* NULL while empty and never grown */
    size_t len;    /* bytes in use */
    size_t cap;    /* bytes allocated */
};

void buffer_init(struct buffer *b);
void buffer_finish(struct buffer *b);
void buffer_clear(struct buffer *b);
/* Make room for `more` bytes after `len`, return a pointer to it. */
uint8_t *buffer_reserve(struct buffer *b, size_t more);
void buffer_append(struct buffer *b, const void *data, size_t len);
void buffer_append_byte(struct buffer *b, uint8_t byte);
/* A number in `size` bytes, the least significant first; zeros beyond 8. */
void buffer_append_le(struct buffer *b, uint64_t value, size_t size);
/* The most significant first; `size` is 8 at most. */
void buffer_append_be(struct buffer *b, uint64_t value, size_t size);
void buffer_printf(struct buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Append a word as a shell takes it for one: as it is, or in single quotes. */
void buffer_quote(struct buffer *b, const char *word);
/* Remove the first `len` bytes. */
void buffer_consume(struct buffer *b, size_t len);

/* malloc and friends that end the program when there is no memory. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);

#endif
