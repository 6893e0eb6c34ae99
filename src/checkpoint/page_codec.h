/*
 * Making page copies smaller, and whole again. In memory only: recordings have a format of their own.
 *
 * By zstd at its fastest but one level, if the program has it: a page takes a tenth of the time that zlib's fastest takes, and a fifth more room.
 */
#ifndef HINDCAST_CHECKPOINT_PAGE_CODEC_H
#define HINDCAST_CHECKPOINT_PAGE_CODEC_H

#include "base/types.h"

/* The library's state. NULL is one that was not used yet: it comes to be when it is. One thread's. */
struct page_codec;

/* Pack the PAGE_SIZE bytes of a page into at most `room` bytes at `out`: how many, or 0: they do not fit. */
size_t page_codec_pack(struct page_codec **codec, const uint8_t *page, uint8_t *out, size_t room);
/* The page that `len` bytes were packed from. */
void page_codec_unpack(struct page_codec **codec, const uint8_t *packed, size_t len, uint8_t *page);
void page_codec_destroy(struct page_codec *codec);

#endif
