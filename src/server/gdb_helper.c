/*
 * The helper for gdb that `--print-gdb-helper` prints: commands and functions in gdb's Python (hindcast-gdb.py, whose bytes the
 * build writes down). The protocol alone does everything; but a monitor command cannot tell gdb that the guest moved,
 * and this can.
 */
#include "options.h"

#include <stdio.h>

/* Made by the build. */
extern const unsigned char hindcast_gdb_py[];
extern const size_t hindcast_gdb_py_bytes;

void options_print_gdb_helper(void)
{
    fwrite(hindcast_gdb_py, 1, hindcast_gdb_py_bytes, stdout);
}
