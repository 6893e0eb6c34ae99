/*
 * The value of an option that says several things: "KEY=VALUE,KEY=VALUE", as QEMU writes them.
 *
 *   two commas are one comma of a value        file=a,,b.img
 *   KEY alone is KEY=on, noKEY is KEY=off      readonly, nowait
 *   the first word may be a value alone        virtio-blk-pci,drive=d0
 *   a key is given once, and has a value       (but for those of which the table of keys says otherwise)
 *
 * Use: option_list_parse(), the option_list_...() that take values, option_list_finish(). Every key must be
 * one that is known: those of `keys`, or of a later option_list_check() where the first word decides which
 * there are. A value that cannot be used is an error that names option, key and value, and says what can.
 */
#ifndef HINDCAST_BASE_OPTION_LIST_H
#define HINDCAST_BASE_OPTION_LIST_H

#include "base/error.h"

/* What an option can say; a table of them ends with a NULL name. */
struct option_key {
    const char *name;
    /* As a person reads it: "on|off", "FILE"; "WORD...": it may be given several times (option_list_nth()); "[FILE]", NULL
     * (any text): the value may be empty. */
    const char *values;
};

struct option_pair {
    const char *key;    /* NULL: a word alone, at the beginning, of an option without a first key */
    const char *value;  /* "" at least */
    bool alone;         /* it was written without '=' */
    bool implied;       /* and without its key: the first word */
};

struct option_list {
    char *option;              /* the option, for messages: "--drive" */
    char *text;                /* what the pairs point into */
    struct option_pair *pairs; /* in their order */
    unsigned count;
};

/* Take `text` apart. `option`: its name with dashes. `first`: the key of a word alone at the beginning, or
 * NULL. `keys`: those that there are, or NULL: option_list_check() will tell. 0 or negative errno with *err;
 * afterwards option_list_finish(), also after an error. */
int option_list_parse(struct option_list *l, const char *option, const char *text, const char *first,
                      const struct option_key *keys, struct error *err);
void option_list_finish(struct option_list *l);
/* Is every key one of `keys`, with a value, and given once? (Then also words alone are keys for good: KEY=on, noKEY=off.) 0 or
 * -EINVAL. */
int option_list_check(struct option_list *l, const struct option_key *keys, struct error *err);

/* The value of a key, or NULL: it is not there. */
const char *option_list_get(const struct option_list *l, const char *key);
/* The n-th value of a key, from 0; NULL: there are not so many. */
const char *option_list_nth(const struct option_list *l, const char *key, unsigned n);
/* These leave *out as it is where the key is not there. 0 or -EINVAL with *err. */
int option_list_switch(const struct option_list *l, const char *key, bool *out, struct error *err);
int option_list_number(const struct option_list *l, const char *key, uint64_t least, uint64_t most, uint64_t *out,
                       struct error *err);
/* In bytes: "64K", "1G"; a number alone counts `unit` bytes. */
int option_list_size(const struct option_list *l, const char *key, uint64_t unit, uint64_t *out, struct error *err);
/* One of `names` (NULL at the end): its index. */
int option_list_choice(const struct option_list *l, const char *key, const char *const *names, unsigned *out,
                       struct error *err);

/* "256M", "1G", "64K"; a number alone counts `unit` bytes. False: it is no size, or more than 64 bits. */
bool option_parse_size(const char *text, uint64_t unit, uint64_t *bytes);
/* Does the value of an option ask what there is? ("help", "?") */
bool option_asks_help(const char *value);
/* A number, decimal or 0x..., of digits alone. */
bool option_parse_number(const char *text, uint64_t *n);

#endif
