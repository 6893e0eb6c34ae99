/*
 * The recorder writes a timeline's history to a recording, as it grows or at
 * once; and the other way round, a recording's history is given to a timeline.
 *
 * All that it writes of the machine's state it takes from the timeline's
 * checkpoints, never from the running machine: so it may be called at any time,
 * and costs the pages that changed between the checkpoints it looks at.
 */
#ifndef HINDCAST_REPLAY_RECORDER_H
#define HINDCAST_REPLAY_RECORDER_H

#include "replay/recording.h"
#include "replay/timeline.h"

struct recorder;

/* A state hash takes half a kilobyte: that often is often enough. */
#define RECORDER_HASH_STEPS UINT64_C(10000000)

struct recorder_config {
    void *ctx;
    /* See struct recording_writer. */
    int (*write)(void *ctx, const void *data, size_t len);
    int (*rewrite)(void *ctx, uint64_t offset, const void *data, size_t len); /* may be NULL */
    const char *const (*pairs)[2];        /* configuration, besides what the recorder itself adds */
    uint32_t npairs;
    const struct recording_image *images; /* used during recorder_create() only */
    uint32_t nimages;
    /* What a drive's image holds there: 0 or negative errno. The clusters that the guest has read go into the file.
     * NULL: only their hashes do. */
    int (*image_read)(void *ctx, unsigned drive, uint64_t offset, void *buf, size_t len);
    void *image_ctx;
    uint64_t checkpoint_steps;            /* steps between checkpoints in the file; 0: none */
    uint64_t hash_steps;                  /* least steps between state hashes; 0: RECORDER_HASH_STEPS */
};

/* Begin: writes the header. The history so far follows with the first update. */
struct recorder *recorder_create(struct timeline *tl, const struct recorder_config *config);
void recorder_destroy(struct recorder *rec);
/* Write what is new. 0, or the negative errno with which writing failed; then nothing more is
 * written, until recorder_resume(). */
int recorder_update(struct recorder *rec);
/* Writing has failed and may go better now. First the file is to be cut to recorder_good_bytes():
 * its last MARK. 0: there is nothing to go on from. */
void recorder_resume(struct recorder *rec);
uint64_t recorder_good_bytes(const struct recorder *rec);
/* The same, with the state of every checkpoint in memory instead of the newest alone. */
int recorder_update_all(struct recorder *rec);
/* The last update, the end, the index. */
int recorder_close(struct recorder *rec);
uint64_t recorder_bytes(const struct recorder *rec);

/* From within a broken invariant: a closed recording of all the history there is, to the end of the step in
 * progress (if it is of the branch in use; 0: the trunk, with the branches that have names), and nothing else. Reads the logs
 * and what the machine is made of; neither its state nor checkpoints.
 * 0 or the negative errno with which writing failed. */
int recorder_rescue(struct timeline *tl, unsigned branch, const struct recorder_config *config);

/* Can `m` replay the recording: has it the memory, and the devices that events come from? -EINVAL and what it has
 * not. From now on the recording knows its numbers for that machine's (recording_map()). What else differs costs
 * time (checkpoints that are left out) and witnesses. */
int recorder_check_machine(struct recording *r, const struct machine *m, struct error *err);
/* Was it made by a version whose machines do some things otherwise (vm/semantics.h)? Then *text says so. */
bool recorder_other_semantics(const struct recording *r, char *text, size_t size);
/* Give `tl` (new) the recording's history. Its log, which needs the recording still, and its witnesses are taken
 * over. With `checkpoints`, those in the file too: each must have its recorded hashes. One of an older layout is
 * brought to ours, if its parts know how (device_ops.upgrade); else it is left out, as is one that is a state in
 * which the machine cannot be (machine_impossible_part()), and a damaged one, and those behind it; that is
 * told in r->note. */
int recorder_adopt(struct timeline *tl, struct recording *r, bool checkpoints, struct error *err);

/* Compares the state with the recorded hashes on the way (timeline_set_checks()). */
struct recorder_checks;
struct recorder_checks *recorder_checks_create(struct timeline *tl, struct recording *r);
void recorder_checks_destroy(struct recorder_checks *k);
/* How many were made, and agreed. */
size_t recorder_checks_made(const struct recorder_checks *k);
/* Position of the last one that agreed. */
icount_t recorder_checks_good(const struct recorder_checks *k);

#endif
