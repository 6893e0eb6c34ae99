/* The board's differentiated system description: see dsdt.c. */
#ifndef HINDCAST_I386_PC_DSDT_H
#define HINDCAST_I386_PC_DSDT_H

#include "i386/pc/tables.h"

/* Append the definition block's contents, without the table's header. */
void dsdt_body(struct buffer *b, const struct tables_config *config);

#endif
