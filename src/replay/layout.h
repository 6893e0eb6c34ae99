/*
 * What a machine's state consists of, by name: what a recording says of the machine that it was made
 * with, so that a later version, whose machine has other parts or the same parts laid out otherwise,
 * knows which bytes, devices and registers are meant (doc/log-format.md, LAYO).
 */
#ifndef HINDCAST_REPLAY_LAYOUT_H
#define HINDCAST_REPLAY_LAYOUT_H

#include "base/error.h"
#include "vm/machine.h"

enum layout_kind {
    LAYOUT_COMPONENT = 1, /* of the arena; at: its offset there, size: bytes */
    LAYOUT_AREA,          /* of pages; size: how many */
    LAYOUT_DEVICE,        /* a source of events */
    LAYOUT_DRIVE,         /* the same */
    LAYOUT_REGISTER,      /* of gdb's; at: the number of the CPU, size: bits */
    LAYOUT_KINDS          /* one more than the last */
};

#define LAYOUT_NAME_MAX 31u
/* Most entries of a layout, and bytes of an arena. */
#define LAYOUT_MAX       131072u
#define LAYOUT_ARENA_MAX ((uint32_t)16 << 20)

struct layout_entry {
    enum layout_kind kind;
    uint32_t version;    /* of a component */
    uint64_t at, size;   /* see enum layout_kind */
    char name[LAYOUT_NAME_MAX + 1];
};

/* Entries in order of kind. Within a kind their number is what the rest of a file calls them by. */
struct layout {
    struct layout_entry *list;
    uint32_t count;
    uint32_t first[LAYOUT_KINDS + 1]; /* where a kind begins; [LAYOUT_KINDS]: count */
    uint32_t arena_bytes; /* up to the end of the last component */
};

/* Empty; zero bytes are an empty one, too. */
void layout_finish(struct layout *l);
/* Append a copy. Its kind must not be less than that of the last one; false: it is, or the entry is impossible. */
bool layout_add(struct layout *l, const struct layout_entry *e);
/* That of a machine. */
void layout_of_machine(struct layout *l, const struct machine *m);

uint32_t layout_count(const struct layout *l, enum layout_kind kind);
const struct layout_entry *layout_entry(const struct layout *l, enum layout_kind kind, uint32_t n);

/* Which entry of another layout is the same thing: of that kind, name, and place (register). */
#define LAYOUT_NONE UINT32_MAX
uint32_t layout_find(const struct layout *l, const struct layout_entry *e);
/* Is it also of the same version and size, so that its bytes mean the same? */
bool layout_same(const struct layout_entry *a, const struct layout_entry *b);

/* Numbers in one layout (`from`) for those in another. LAYOUT_NONE: the other has no such thing, or its bytes
 * mean something else. */
struct layout_map {
    uint32_t *to[LAYOUT_KINDS]; /* by number in `from` */
    bool whole;                 /* each of the two has exactly what the other has, in the same order */
};
void layout_map_init(struct layout_map *map, const struct layout *from, const struct layout *to);
void layout_map_finish(struct layout_map *map);

#endif
