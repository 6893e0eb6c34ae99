/*
 * What files.c (names, open files, their bytes) and file_system.c (everything else that a file system has) share.
 * Errors are negative errnos.
 */
#ifndef HINDCAST_HOST_FILES_INTERNAL_H
#define HINDCAST_HOST_FILES_INTERNAL_H

#include "host/files.h"

#define FILES_COMPONENT_MAX 255u
#define FILES_OPEN_MAX      256u
#define FILES_LISTINGS      8u

struct open_file {
    uint64_t number; /* 0: free */
    uint64_t used;   /* when, by counting */
    int fd;
};

/* The entries of a directory that is being read, in the order of their names. */
struct listing {
    uint64_t number; /* of the open file; 0: free */
    uint64_t used;
    struct directory_entry *entries;
    size_t count;
};

struct host_files {
    int directory;
    unsigned flags;
    uint64_t calls;
    struct open_file open[FILES_OPEN_MAX];
    struct listing listings[FILES_LISTINGS];
};

/* The directory that a name's last component is in (to be closed), and that component. "" is not such a name. */
int files_find_parent(const struct host_files *f, const char *name, char last[FILES_COMPONENT_MAX + 1]);
/* What is to be done with a name, and whether it may: only plain files are opened, and none of the run's own is changed. What
 * is not there, may. */
enum files_look { LOOK_READ, LOOK_WRITE, LOOK_REPLACE /* or remove, or rename */ };
int files_look_at(const struct host_files *f, int directory, const char *name, enum files_look what);
/* The descriptor of a file that the guest has open, if it is here. */
int files_descriptor(const struct host_files *f, uint64_t number);

/* file_system.c */
int file_system_serve(struct host_files *f, const struct file_request *request, struct file_answer *answer);
/* The directory's listing is not needed any more; 0: none is. */
void file_system_forget(struct host_files *f, uint64_t number);

#endif
