/*
 * The files of one directory, for a guest (base/file_call.h): plain files by their names, for
 * programs; or, as a file system, everything that is in it, for kernels.
 *
 * Names are relative to the directory. "..", absolute names and symbolic links
 * on the way are refused, by looking at one component after the other; so is
 * opening what is not a regular file. Devices are not made. Open files are kept by their numbers, up to a
 * limit; one that is not among them (any more) is opened again by its name,
 * neither created nor emptied.
 */
#ifndef HINDCAST_HOST_FILES_H
#define HINDCAST_HOST_FILES_H

#include "base/error.h"
#include "base/file_call.h"

struct host_files;

#define HOST_FILES_SYSTEM    1u /* the requests of file systems, too */
#define HOST_FILES_READ_ONLY 2u /* nothing is changed: EROFS */

/* NULL with *err: there is no such directory. */
struct host_files *host_files_open(const char *directory, unsigned flags, struct error *err);
void host_files_close(struct host_files *f);
void host_files_call(struct host_files *f, const struct file_request *request, struct file_answer *answer);

#endif
