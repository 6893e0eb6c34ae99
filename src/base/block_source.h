/*
 * Where the bytes of a disk image come from: between src/host, which alone opens files, block devices
 * and connections, and src/block, which knows what the bytes mean.
 */
#ifndef HINDCAST_BASE_BLOCK_SOURCE_H
#define HINDCAST_BASE_BLOCK_SOURCE_H

#include "base/error.h"
#include "base/types.h"

/* What has become of it. */
enum block_change { BLOCK_SAME, BLOCK_WRITTEN, BLOCK_CUT /* it has lost its end */ };

/* Something that is read anywhere and does not change. */
struct block_source {
    void *ctx;
    uint64_t size;        /* bytes */
    uint64_t identity[2]; /* two sources that are the same thing have the same */
    char *name;           /* as it can be opened again; owned */
    bool local;           /* a name in the file system: names in the image are relative to it */
    /* Read these bytes, which lie within `size`. 0 or negative errno. */
    int (*read)(void *ctx, uint64_t offset, void *buf, size_t len);
    /* Has somebody written to it since it was opened, or since this was asked? NULL: that cannot be told. */
    enum block_change (*changed)(void *ctx);
    /* It will be written in the end: nobody else may have it open then, as long as this is. False: somebody has. NULL: it
     * cannot be written. */
    bool (*claim)(void *ctx);
    void (*close)(void *ctx);
};

/* Opens by name. 0, or negative errno with a message that names it. */
struct block_opener {
    void *ctx;
    int (*open)(void *ctx, const char *name, struct block_source *s, struct error *err);
};

#endif
