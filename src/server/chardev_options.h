/*
 * --chardev BACKEND,id=ID[,KEY=VALUE...]: back ends with a name, as QEMU has them.
 */
#ifndef HINDCAST_CHARDEV_OPTIONS_H
#define HINDCAST_CHARDEV_OPTIONS_H

#include "base/buffer.h"
#include "base/error.h"

/* One --chardev, understood. All NUL-terminated. */
struct chardev_options {
    struct buffer id;
    struct buffer spec;    /* as chardev_open() takes it */
    struct buffer logfile; /* empty: none */
    struct buffer input;   /* of a file: where input comes from; empty: nowhere */
    bool append, log_append; /* file and log are written on, not begun anew */
    bool mux;              /* several ports may be connected to it */
};

/* 0 or negative errno with *err; afterwards chardev_options_finish(). */
int chardev_options_parse(struct chardev_options *o, const char *text, struct error *err);
void chardev_options_finish(struct chardev_options *o);

#endif
