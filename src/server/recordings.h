/*
 * Recordings on the command line: what the header says and how it becomes
 * options again, `hindcast info`, `hindcast verify`.
 */
#ifndef HINDCAST_RECORDINGS_H
#define HINDCAST_RECORDINGS_H

#include <stdio.h>

#include "drives.h"
#include "host/file.h"
#include "options.h"
#include "replay/recording.h"
#include "vm/machine.h"

/* Room for what recordings_describe() says. */
struct recordings_text {
    char memory[24], icount[8], debug_exit[64];
    const char *pairs[32 + OPTIONS_MAX_SMBIOS + MACHINE_MAX_DRIVES + PARTS_MAX_DEVICES][2];
    uint32_t npairs;
    char *made[2 * (OPTIONS_MAX_SMBIOS + MACHINE_MAX_DRIVES + PARTS_MAX_DEVICES)]; /* strings of its own among them */
    unsigned nmade;
};

/* The configuration that the options make, as a recording's header tells it. */
void recordings_describe(const struct options *o, const char *version, struct recordings_text *t);
void recordings_text_finish(struct recordings_text *t);
/* The other way round: set in *o what the header decides. Strings are the recording's. */
int recordings_configure(const struct recording *r, struct options *o, struct error *err);

/* Open and take apart a recording; `file` must stay. With `all` the bytes of its checkpoints are
 * looked at, too. */
int recordings_load(const char *path, struct host_reader *file, bool all, struct recording *r, struct error *err);

/* A line for each damaged chunk that was passed over, with `before` before it; as long as `r` has its log. */
void recordings_tell_harms(const struct recording *r, FILE *f, const char *before);
/* hindcast info. Prints; returns the exit status. (recordings_info.c) */
int recordings_info(const char *path, bool json);
/* Builds the recording's machine anew: 0 or a negative errno. */
typedef int recordings_build(void *ctx, struct machine **m, struct error *err);
/* hindcast verify, from where o->from says. Each run has a machine of its own. Returns the exit status. */
int recordings_verify(const struct options *o, struct recording *r, struct drives *drives, recordings_build *build,
                      void *ctx);

#endif
