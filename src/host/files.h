/*
 * The files of one directory, for a guest (base/file_call.h).
 *
 * Names are relative to the directory. "..", absolute names and symbolic links
 * on the way are refused, by looking at one component after the other; so is
 * what is not a regular file. Open files are kept by their numbers, up to a
 * limit; one that is not among them (any more) is opened again by its name,
 * neither created nor emptied.
 */
#ifndef HINDCAST_HOST_FILES_H
#define HINDCAST_HOST_FILES_H

#include "base/error.h"
#include "base/file_call.h"

struct host_files;

/* NULL with *err: there is no such directory. */
struct host_files *host_files_open(const char *directory, struct error *err);
void host_files_close(struct host_files *f);
void host_files_call(struct host_files *f, const struct file_request *request, struct file_answer *answer);

#endif
