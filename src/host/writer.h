/*
 * Files that are written from the beginning on: one that all can see grow, or one that is there when it is whole.
 */
#ifndef HINDCAST_HOST_WRITER_H
#define HINDCAST_HOST_WRITER_H

#include "base/error.h"
#include "host/output.h"

struct host_syncer;

/* A file being written, one piece after the other. */
struct host_writer {
    int fd;        /* -1: none */
    bool seekable; /* a regular file */
    bool made;     /* it was not there before */
    char *path;    /* of a whole file: where it will be; NULL else */
    char *beside;  /* of a whole file: where it is until then; NULL else */
    struct host_syncer *syncer; /* the thread that waits for the disk; NULL: not yet */
};

/* Create or empty the file; others see it grow. `may`: HOST_... of output.h. 0 or negative errno with a message
 * that names it. */
int host_writer_open(struct host_writer *w, const char *path, unsigned may, struct error *err);
/* The same, but until host_writer_commit() there is the old file, or none: never half of one. (A device or a pipe
 * is written to at once.) */
int host_writer_open_whole(struct host_writer *w, const char *path, unsigned may, struct error *err);
/* Write all of it. 0 or negative errno. */
int host_writer_write(struct host_writer *w, const void *data, size_t len);
/* In place of bytes that were written before; only if `seekable`. */
int host_writer_rewrite(struct host_writer *w, uint64_t offset, const void *data, size_t len);
/* Cut the file there and go on behind it; only if `seekable`. */
int host_writer_cut(struct host_writer *w, uint64_t offset);
/* Have what was written so far put on the disk, soon: nobody waits for it. 0, or the
 * negative errno of an earlier one. */
int host_writer_sync(struct host_writer *w);
/* The file is whole: put it in its place, and close it. 0, or the negative errno of why it is not there. */
int host_writer_commit(struct host_writer *w);
/* 0, or the negative errno of what could not be written after all. A whole file that was not committed is gone. */
int host_writer_close(struct host_writer *w);

/* Nothing was written to what host_writer_open() opened at `path`: close it, and take it away if it was not there before. */
void host_writer_abandon(struct host_writer *w, const char *path);

/* A whole file at once. 0 or negative errno with a message that names the file. */
int host_write_file(const char *path, const void *data, size_t len, unsigned may, struct error *err);

#endif
