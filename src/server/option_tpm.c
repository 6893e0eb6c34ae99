/*
 * --tpmdev. See option_tpm.h.
 */
#include "option_tpm.h"

#include <errno.h>
#include <string.h>

static const struct option_key keys[] = {{"type", "emulator"}, {"id", "ID"}, {"chardev", "ID"}, {NULL, NULL}};

int option_tpmdev_parse(struct option_tpmdev *t, const char *text, struct error *err)
{
    int r = option_list_parse(&t->list, "--tpmdev", text, "type", keys, err);
    const char *type;

    if (r < 0)
        return r;
    type = option_list_get(&t->list, "type");
    t->id = option_list_get(&t->list, "id");
    t->chardev = option_list_get(&t->list, "chardev");
    if (!type || strcmp(type, "emulator") != 0)
        return error_set(err, -EINVAL, "--tpmdev %s: there is emulator (an swtpm)", type ? type : "");
    if (!t->id || !*t->id)
        return error_set(err, -EINVAL, "--tpmdev %s: id=ID is missing, by which --device tpm-tis,tpmdev=ID names it", text);
    if (!t->chardev || !*t->chardev)
        return error_set(err, -EINVAL, "--tpmdev %s: chardev=ID is missing, the --chardev socket,path=FILE of the swtpm", text);
    return 0;
}

void option_tpmdev_finish(struct option_tpmdev *t)
{
    option_list_finish(&t->list);
}
