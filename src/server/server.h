/*
 * The server: a timeline, a debugger's connection, and the guest's serial
 * ports, in one event loop.
 *
 * It owns everything that a running hindcast consists of. While no debugger is
 * connected the guest stands, or runs free: after --run, and after a debugger's
 * `detach` (not with `hold`). A debugger that connects stops it, and one that
 * vanishes leaves it standing where it was; machine and history stay in any case.
 */
#ifndef HINDCAST_SERVER_H
#define HINDCAST_SERVER_H

#include "base/error.h"
#include "drives.h"
#include "guest_clock.h"
#include "host/audiodev.h"
#include "host/chardev.h"
#include "host/files.h"
#include "host/netdev.h"
#include "host/usbdev.h"
#include "host/stream.h"
#include "host/tpmdev.h"
#include "net_dump.h"
#include "replay/recording.h"
#include "vm/machine.h"

struct server;

#define SERVER_MAX_BACKS  24
#define SERVER_MAX_PORTS  24
#define SERVER_MAX_FLASH  2
#define SERVER_MAX_NETDEVS 8
#define SERVER_MAX_AUDIODEVS 8
#define SERVER_MAX_USBDEVS 8
#define SERVER_MAX_DUMPS 16
#define SERVER_MAX_FSDEVS 8

/* A flash bank's file that gets the bank's contents at the end. */
struct server_flash {
    const char *path;  /* NULL: stays as it is */
    const void *data;  /* what was read from it */
    size_t len;
};

/* A port of the guest, and what it is connected to. */
struct server_connection {
    char device[30];       /* its name in the machine, which need not have it */
    struct chardev *back;  /* one of the server's back ends */
};

/* What a recording says of the machine; must stay while the server lives. */
struct server_description {
    const char *const (*pairs)[2]; /* configuration */
    uint32_t npairs;
    struct recording_image *images;
    uint32_t nimages;
};

struct server_config {
    struct machine *machine;   /* set up, reset, never run; the server takes it over */
    /* Another one like it, for queries. NULL with *err: it cannot be made. */
    struct machine *(*make_machine)(void *ctx, struct error *err);
    void *make_ctx;
    uint64_t checkpoint_bytes; /* memory for checkpoints */
    struct guest_clock clock;  /* what time it is for the guest */
    bool seeded;               /* its entropy is drawn from `seed` */
    uint64_t seed;
    bool sleep;                /* an idle guest waits in real time */
    struct listener listener;  /* where debuggers come from (fd -1: nowhere); taken over */
    bool gdb_stdio;            /* one debugger, on stdin and stdout; its end is the program's */
    bool run;                  /* start the guest at once */
    bool hold;                 /* do not let it run on after `detach` */
    bool exit_at_end;          /* the guest's end is the program's */
    struct chardev *backs[SERVER_MAX_BACKS]; /* back ends; taken over */
    unsigned nbacks;
    struct server_connection connections[SERVER_MAX_PORTS];
    unsigned nconnections;
    struct netdev *netdevs[SERVER_MAX_NETDEVS]; /* by their ids: device.backend of the cards; taken over */
    unsigned nnetdevs;
    struct audiodev *audiodevs[SERVER_MAX_AUDIODEVS]; /* by their ids: device.backend of the sound cards; taken over */
    unsigned naudiodevs;
    struct usbdev *usbdevs[SERVER_MAX_USBDEVS]; /* of --device usb-host, in their order; taken over; NULL: it is not there */
    unsigned nusbdevs;
    struct net_dump *dumps[SERVER_MAX_DUMPS]; /* of --object filter-dump; taken over */
    unsigned ndumps;
    struct tpmdev *tpm;        /* by its id: device.backend of its registers; NULL: there is none; taken over */
    struct server_description description;
    const char *record;        /* file to record to; NULL: none */
    bool force;                /* it may replace another file */
    uint64_t checkpoint_steps; /* steps between checkpoints in it; 0: none */
    struct recording *replay;  /* history to begin with, or NULL; must stay while the server lives */
    const char *replay_name;   /* the file that it is */
    bool continue_live;        /* its end is not the end */
    bool ignore_checkpoints;   /* those in the file */
    struct server_flash flash[SERVER_MAX_FLASH];
    struct drives *drives;     /* the images of the machine's drives; must stay; NULL: it has none */
    struct host_files *files;  /* what semihosting may reach; taken over; NULL: nothing */
    struct server_fsdev {
        char id[32];           /* device.backend of who shares it */
        struct host_files *files; /* taken over */
    } fsdevs[SERVER_MAX_FSDEVS];
    unsigned nfsdevs;
    const char *version;       /* of the program */
    const char *symbols;       /* a file that gdb can read symbols from, for messages; NULL: none */
    const char *triple;        /* of the target, for lldb */
    const char *small_cpu;     /* nobody chose the model: another one, with 64 bits, that the guest may have wanted; else NULL */
};

/* NULL with *err: the recording cannot be replayed, or not be written. The machine, the
 * listener and the serial ports are gone then, too. */
struct server *server_create(const struct server_config *config, struct error *err);
void server_destroy(struct server *s);
/* Serve until the end. Returns the program's exit status. */
int server_run(struct server *s);
/* An invariant broke: save the history, then say where the guest is. */
void server_rescue(const struct server *s);

#endif
