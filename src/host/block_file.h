/*
 * The bytes of disk images: files, block devices, and what NBD servers export.
 */
#ifndef HINDCAST_HOST_BLOCK_FILE_H
#define HINDCAST_HOST_BLOCK_FILE_H

#include "base/block_source.h"

/*
 * `struct block_opener`.open; ctx is not used. A name is a path, or "nbd://...", "nbds://...", "nbd+unix://..."
 * (as libnbd has them), "nbd:HOST:PORT[:exportname=E]", "nbd:unix:PATH[:exportname=E]" (as QEMU has them).
 *
 * Opened for reading only. A file is locked as QEMU locks one that it reads (bytes 100 to 203 of the file, by
 * open file description), so that neither writes what the other reads: -EBUSY if somebody is writing. Where
 * the file system has no locks, there is none.
 */
int host_open_block(void *ctx, const char *name, struct block_source *s, struct error *err);

/* Is what the name of `s` leads to now still what is open? (Of what is not local nobody knows: true.) */
bool host_block_is_there(const struct block_source *s);

/* Change bytes of an existing file in place, of the one that is open as `s`. The first gives a descriptor, the others 0, or a negative errno; the last
 * one `status` if that is one. All is on the disk when it is 0. */
int host_patch_open(const struct block_source *s, struct error *err);
int host_patch_write(int fd, uint64_t offset, const void *data, size_t len);
int host_patch_close(int fd, int status);

#endif
