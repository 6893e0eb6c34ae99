/*
 * Names of files that are found from other files.
 */
#ifndef HINDCAST_HOST_PATH_H
#define HINDCAST_HOST_PATH_H

/* The file of that name in the directory of `file`: a new string. */
char *host_path_beside(const char *file, const char *name);
/* The existing file `target` as it is called in the file `from` (which need not be there yet): by its last name if both
 * are in one directory, by its whole path else. A new string. */
char *host_path_from(const char *from, const char *target);

#endif
