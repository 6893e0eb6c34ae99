/* Memory for machine code made at run time: one stretch of it, mapped twice, so
 * that no mapping can be both written and executed. */
#ifndef HINDCAST_BASE_CODE_MEMORY_H
#define HINDCAST_BASE_CODE_MEMORY_H

#include "base/types.h"

struct code_memory {
    uint8_t *write;         /* where code is written */
    const uint8_t *execute; /* the same bytes, where they are run */
    size_t size;            /* 0: there is none */
    /* These bytes are about to be used: have the host give its memory for them at once, not page by page as they are touched. May be NULL. */
    void (*back)(const struct code_memory *, size_t from, size_t len);
    void (*unmap)(struct code_memory *); /* gives it back; may be NULL */
};

#endif
