/*
 * Growable byte runs, and allocation that does not fail.
 */
#include "base/buffer.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);

    if (!p)
        panic(__FILE__, __LINE__, "out of memory (%zu bytes)", n);
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);

    if (!p)
        panic(__FILE__, __LINE__, "out of memory (%zu times %zu bytes)", n, size);
    return p;
}

void *xrealloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);

    if (!q)
        panic(__FILE__, __LINE__, "out of memory (%zu bytes)", n);
    return q;
}

char *xstrdup(const char *s)
{
    size_t n = strlen(s) + 1;

    return memcpy(xmalloc(n), s, n);
}

void buffer_init(struct buffer *b)
{
    *b = (struct buffer){0};
}

void buffer_finish(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
}

uint8_t *buffer_reserve(struct buffer *b, size_t more)
{
    size_t cap = b->cap;

    CHECK(more <= SIZE_MAX / 2 - b->len);
    if (b->data && b->cap - b->len >= more)
        return b->data + b->len;
    if (cap < 64)
        cap = 64;
    while (cap - b->len < more)
        cap *= 2;
    b->data = xrealloc(b->data, cap);
    b->cap = cap;
    return b->data + b->len;
}

void buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (!len)
        return;
    memcpy(buffer_reserve(b, len), data, len);
    b->len += len;
}

void buffer_append_byte(struct buffer *b, uint8_t byte)
{
    *buffer_reserve(b, 1) = byte;
    b->len++;
}

void buffer_append_le(struct buffer *b, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(b, (uint8_t)(i < 8 ? value >> (8 * i) : 0));
}

void buffer_append_be(struct buffer *b, uint64_t value, size_t size)
{
    while (size--)
        buffer_append_byte(b, (uint8_t)(value >> (8 * size)));
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    buffer_reserve(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n; /* the final zero is there but not counted */
}

void buffer_quote(struct buffer *b, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";

    if (*word && strspn(word, plain) == strlen(word)) {
        buffer_append(b, word, strlen(word));
        return;
    }
    buffer_append_byte(b, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buffer_printf(b, "'\\''");
        else
            buffer_append_byte(b, (uint8_t)*word);
    }
    buffer_append_byte(b, '\'');
}

void buffer_consume(struct buffer *b, size_t len)
{
    CHECK(len <= b->len);
    b->len -= len;
    if (b->len)
        memmove(b->data, b->data + len, b->len);
}
