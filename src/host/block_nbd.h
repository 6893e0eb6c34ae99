/*
 * Disk images of NBD servers, through libnbd where it was there when hindcast was built.
 */
#ifndef HINDCAST_HOST_BLOCK_NBD_H
#define HINDCAST_HOST_BLOCK_NBD_H

#include "base/block_source.h"

/* Is this the name of something that an NBD server exports? */
bool host_is_nbd(const char *name);
int host_open_nbd(const char *name, struct block_source *s, struct error *err);

#endif
