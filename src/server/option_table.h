/*
 * The table of options, which options.c reads and option_help.c prints.
 */
#ifndef HINDCAST_OPTION_TABLE_H
#define HINDCAST_OPTION_TABLE_H

#include "options.h"

enum option_section { SECTION_GUEST, SECTION_DEBUGGER, SECTION_RECORDINGS, SECTION_OTHERS };

/* Which command takes it besides running a guest; what a recording says by itself; what its value can be. */
#define OPTION_OF_MACHINE 1u /* says what the machine is: not with --replay, whose recording says so */
#define OPTION_VERIFY     2u /* `hindcast verify` takes it */
#define OPTION_INFO       4u /* `hindcast info` takes it */
#define OPTION_EMPTY      8u /* its value may be empty */

struct option_row {
    const char *name;     /* the long one, without dashes */
    const char *alias;    /* another name; NULL: none */
    const char *argument; /* what it takes, for people: "SIZE"; NULL: nothing */
    enum option_section section;
    unsigned flags;       /* OPTION_... */
    /* 0, or negative errno with *err. `arg` may be kept, and changed; NULL: the option takes none. */
    int (*take)(struct options *o, const struct option_row *row, char *arg, struct error *err);
    size_t which;         /* for `take`: a member of struct options by its offset, or an enum image_kind */
    const char *help;     /* what --help says, any length; NULL: nothing. {pc}, {virt}: the CPU models there are */
};

/* Ends with a row without a name. --help and --version have no `take`. */
extern const struct option_row option_table[];

/* A word of QEMU's that hindcast has not, and what to say to who uses it. */
struct option_foreign {
    const char *name; /* without dashes */
    const char *text; /* a sentence without its dot */
};

/* Ends with an entry without a name. */
extern const struct option_foreign option_foreign[];

#endif
