/*
 * --netdev, --nic and --object filter-dump, in QEMU's words.
 */
#ifndef HINDCAST_OPTION_NET_H
#define HINDCAST_OPTION_NET_H

#include "option_drives.h"

#define OPTIONS_MAX_NETDEV 8
#define OPTIONS_MAX_DUMPS 16

struct option_net {
    char *netdevs[OPTIONS_MAX_NETDEV]; /* as host/netdev.h has them; their own strings */
    unsigned count;
    char *devices[OPTIONS_MAX_NETDEV]; /* what option_drives.devices[] points to, of --nic */
    unsigned ndevices;
    bool card_help; /* model=help was given */
    char *dumps[OPTIONS_MAX_DUMPS];    /* --object filter-dump,...; their own strings */
    unsigned ndumps;
};

/* Take the value of --netdev. 0 or negative errno with *err. */
int option_netdev_take(struct option_net *o, const char *arg, struct error *err);
/* That of --nic: BACKEND[,model=CARD][,mac=..][,KEY=VALUE...], which stands for a --netdev and a --device; "none": nothing. */
int option_nic_take(struct option_net *o, struct option_drives *devices, const char *arg, struct error *err);
/* That of --object, which is a filter-dump; `l`: its parts. */
int option_dump_take(struct option_net *o, const char *arg, struct option_list *l, struct error *err);
void option_net_finish(struct option_net *o);

#endif
