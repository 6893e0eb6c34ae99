/*
 * Files that hindcast writes: never one that it reads, never a recording that nobody gave up, never one that
 * somebody else writes just now.
 */
#ifndef HINDCAST_HOST_OUTPUT_H
#define HINDCAST_HOST_OUTPUT_H

#include "base/error.h"

/* What may be written over; else it is refused. */
#define HOST_FORCE      1u /* a recording */
#define HOST_OVER_INPUT 2u /* a file that was read */
#define HOST_EMPTY_ONLY 4u /* not even another file, if there is something in it (but with HOST_FORCE) */
#define HOST_APPEND     8u /* nothing is: what is there stays, and is written on */
#define HOST_MONITOR    16u /* as without it; a monitor command asks, where it is not --force that replaces a file, but the word force */

/* This descriptor is of a file that the run depends on: from now on nothing is written to it. Whoever opens
 * such a file says so. */
void host_output_spare(int fd);
/* The running program's own file is such a one. */
void host_output_spare_program(void);
/* Is a file in a directory one of those, or one that hindcast writes? */
bool host_output_is_ours(int directory, const char *name);

/* Open a file to write to it, empty (or at its end: HOST_APPEND), and keep others from doing the same. A pipe that nobody reads is
 * refused instead of waited for. The descriptor, or a negative errno with a message that names the file. */
int host_output_open(const char *path, unsigned may, struct error *err);

/* Have a directory of that name: it is made, unless it is there. 0, or a negative errno with a message. */
int host_output_directory(const char *path, struct error *err);

/* May a file be put in the place of this one? 0, also if there is none, or a negative errno with a message. */
int host_output_replaceable(const char *path, unsigned may, struct error *err);

#endif
