/*
 * --tpmdev emulator,id=ID,chardev=ID: a TPM of the host's, as QEMU has it.
 */
#ifndef HINDCAST_OPTION_TPM_H
#define HINDCAST_OPTION_TPM_H

#include "base/error.h"
#include "base/option_list.h"

struct option_tpmdev {
    struct option_list list; /* whose the strings are */
    const char *id;
    const char *chardev;     /* the --chardev that its control channel is */
};

/* 0 or negative errno with *err; afterwards option_tpmdev_finish(). */
int option_tpmdev_parse(struct option_tpmdev *t, const char *text, struct error *err);
void option_tpmdev_finish(struct option_tpmdev *t);

#endif
