/* Memory for machine code made at run time. */
#ifndef HINDCAST_HOST_CODE_MEMORY_H
#define HINDCAST_HOST_CODE_MEMORY_H

#include "base/code_memory.h"
#include "base/error.h"

/* Map `size` bytes (a multiple of the page size), once to be written and once to be run. The
 * host commits memory for what is used only. 0, or a negative errno. */
int code_memory_map(struct code_memory *m, size_t size, struct error *err);
void code_memory_unmap(struct code_memory *m);

#endif
