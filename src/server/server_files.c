/*
 * What the guest asks of files on the host: by semihosting, of the directory that --semihosting-dir gives it; by a
 * virtio-9p device, of that of its --fsdev.
 */
#include "server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void server_files_finish(struct server *s)
{
    host_files_close(s->config.files);
    s->config.files = NULL;
    while (s->config.nfsdevs)
        host_files_close(s->config.fsdevs[--s->config.nfsdevs].files);
}

static struct host_files *files_of(const struct server *s, const char *system)
{
    if (!system)
        return s->config.files;
    for (unsigned i = 0; i < s->config.nfsdevs; i++)
        if (!strcmp(s->config.fsdevs[i].id, system))
            return s->config.fsdevs[i].files;
    return NULL;
}

void server_file_call(void *ctx, const struct file_request *request, struct file_answer *answer)
{
    struct server *s = ctx;
    struct host_files *files = files_of(s, request->system);

    if (files) {
        host_files_call(files, request, answer);
        return;
    }
    *answer = (struct file_answer){.error = EACCES, .data = answer->data};
    if (s->files_refused)
        return;
    s->files_refused = true;
    if (request->system)
        server_say(s, "the guest wanted file '%s' of its shared directory, and was refused it: this run has no --fsdev with id=%s",
                   request->name ? request->name : "", request->system);
    else
        server_say(s, "the guest wanted file %s, by semihosting, and was refused it: --semihosting-dir DIRECTORY gives it "
                   "the files of a directory", request->name);
}
