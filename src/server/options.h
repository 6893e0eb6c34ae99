/*
 * The command line: QEMU's words where QEMU has one, with one dash or two.
 *
 * option_table.c has a row for each option, and its meaning; options.c goes through what was given and
 * looks at it as a whole; option_help.c prints what the table says.
 */
#ifndef HINDCAST_OPTIONS_H
#define HINDCAST_OPTIONS_H

#include "base/error.h"
#include "base/types.h"
#include "guest_clock.h"
#include "option_drives.h"
#include "option_fsdev.h"
#include "option_net.h"
#include "vm/schedule.h"
#include "vm/topology.h"

#define OPTIONS_MAX_SERIAL     4
#define OPTIONS_MAX_CHARDEV    16
#define OPTIONS_MAX_AUDIODEV   8
#define OPTIONS_MAX_MODULES    64
#define OPTIONS_MAX_DEBUG_EXIT 4
#define OPTIONS_MAX_PFLASH     2
#define OPTIONS_MAX_SMBIOS 16
#define OPTIONS_MAX_ROMS       4
#define OPTIONS_LISTEN_DEFAULT "127.0.0.1:1234"
/* 1 GiB, and as much as the guest has, for what its memory holds now is in the newest checkpoint; of that, no more than a fourth of
 * the host's memory. */
#define OPTIONS_CHECKPOINTS_AUTO UINT64_MAX

enum options_machine { MACHINE_BY_KERNEL, MACHINE_PC, MACHINE_VIRT };

/* `hindcast WORD FILE` */
enum options_command {
    OPTIONS_SERVE,  /* none of them: run a guest */
    OPTIONS_INFO,
    OPTIONS_VERIFY,
};

/* Where `hindcast verify` begins. */
enum options_from {
    FROM_START,
    FROM_CHECKPOINTS, /* at the start, and then at every checkpoint in the file */
    FROM_POSITION,    /* at the last checkpoint at or before a position */
};

/* What the guest is booted from: an image of each kind, or several (images.c). */
enum image_kind {
    IMAGE_KERNEL,
    IMAGE_BIOS,
    IMAGE_VGA_BIOS, /* pc */
    IMAGE_ROM,      /* pc: option ROMs */
    IMAGE_PFLASH0,  /* flash banks */
    IMAGE_PFLASH1,
    IMAGE_MODULE,   /* --initrd, and Multiboot modules */
    IMAGE_DEVICE_ROM, /* what devices name by romfile= */
    IMAGE_KINDS,
};

/* The files of one kind, as they were given. */
struct option_files {
    const char *path[OPTIONS_MAX_MODULES];
    unsigned count;
};

/* What runs the guest. */
enum options_engine {
    ENGINE_AUTO,        /* the JIT where there is one */
    ENGINE_JIT,
    ENGINE_INTERPRETER,
};

struct options {
    const char *machine;        /* as given, "pc" or "virt,gic-version=3"; NULL: the kernel image decides */
    enum options_machine kind;  /* what `machine` begins with */
    unsigned gic_version;       /* virt: 2 or 3 */
    bool its;                   /* virt with version 3: messages of PCI functions become LPIs */
    bool hpet;                  /* pc: the event timers are there */
    bool s3;                    /* pc: it can be suspended to RAM */
    bool no_s3;                 /* and --global says that it cannot */
    bool smbios_64;             /* pc: an entry point of SMBIOS 3.0 */
    const char *uuid;           /* pc: of the system; NULL: zeros */
    const char *smbios[OPTIONS_MAX_SMBIOS]; /* pc: as given */
    unsigned smbios_count;
    bool serial_out2;           /* pc: MCR.OUT2 gates the serial ports' interrupts */
    bool secure;                /* virt: EL3 */
    bool usb;                   /* the pc has its UHCI controller (--usb, --machine usb=on) */
    bool secure_option;         /* --secure, which options_settle() puts into `machine` */
    char machine_text[96];      /* what `machine` points to, then */
    bool virtualization;        /* virt: EL2 */
    bool lowmem;                /* virt: highmem=off */
    bool spin_table;            /* virt: enable-method=spin-table */
    const char *cpu;            /* NULL: the machine's usual one */
    bool usual_cpu;             /* nobody chose it */
    const char *smp;            /* as given; NULL: one CPU */
    struct cpu_topology topology; /* of `smp` */
    const char *interleave;     /* as given; NULL: the usual one */
    struct schedule schedule;   /* of `interleave` */
    uint64_t memory_bytes;
    struct option_files files[IMAGE_KINDS];
    bool flash_read_only[OPTIONS_MAX_PFLASH];
    char *flash_file[OPTIONS_MAX_PFLASH]; /* what files[IMAGE_PFLASH0...] point to if --drive named it; else NULL */
    bool write_back[OPTIONS_MAX_PFLASH]; /* what a flash bank holds goes into its file at the end */
    struct option_drives drives;
    struct option_net net;
    const char *audiodev[OPTIONS_MAX_AUDIODEV]; /* as given */
    unsigned audiodev_count;
    char pcspk_audiodev[32];    /* pc: what the speaker is connected to; "": nothing */
    struct option_fsdevs fsdevs;
    const char *tpmdev;          /* as given; NULL: none */
    const char *append;         /* NULL: not given; the same for the rest */
    const char *vga;            /* PC: "none", or "std" or "virtio" with properties; "std" alone, of older recordings: without EDID */
    bool vga_given;             /* by --vga, and not "none" */
    char *vga_text;             /* what `vga` points to, if it was made; else NULL */
    const char *gdb_arch;       /* PC: "i386", "x86-64", "i8086", or NULL: the CPU's */
    bool semihosting;           /* virt */
    const char *semihost_dir;   /* directory whose files the guest may use; NULL: none */
    char *semihost_args;        /* words of its command line, space between; NULL: kernel and append */
    char *semihost_cmdline;     /* what it is told; made by options_settle() */
    bool gdb_helper;            /* the helper for gdb is to be printed, and nothing else done */
    const char *completion;     /* the shell whose completion is to be printed, and nothing else done */
    const char *dumpdtb;        /* write the device tree there, and do nothing else */
    const char *chardev[OPTIONS_MAX_CHARDEV]; /* as given; each can be used by one port (with mux=on by several) */
    unsigned chardev_count;
    const char *serial[OPTIONS_MAX_SERIAL];
    unsigned serial_count;
    const char *debugcon;       /* where the debug console goes, as --serial has it; NULL: to standard error */
    struct guest_clock clock;   /* --rtc */
    const char *rtc;            /* as given, or NULL */
    uint64_t seed;              /* of the guest's entropy, if `seeded`; else the host's is given */
    bool seeded;
    unsigned serial_ports;      /* pc: so many at least; 0: the usual two */
    const char *listen;         /* where to wait for gdb; NULL: nowhere */
    bool gdb_stdio;             /* gdb is at the other end of stdin and stdout */
    bool listen_given;          /* a place for the debugger was named */
    bool run;                   /* start the guest at once */
    bool hold;                  /* -S: do not let it run on after gdb's `detach` */
    bool no_reboot;
    unsigned icount_shift;      /* one step is 1 << shift ns */
    bool sleep;                 /* an idle guest waits in real time */
    enum options_engine engine;
    uint64_t checkpoint_bytes;  /* memory for checkpoints, or OPTIONS_CHECKPOINTS_AUTO */
    uint16_t debug_exit[OPTIONS_MAX_DEBUG_EXIT];
    unsigned debug_exit_count;
    enum options_command command;
    const char *record;         /* file to record to; NULL: none */
    uint64_t checkpoint_steps;  /* steps between checkpoints in it; 0: none */
    bool force;                 /* what is written may replace a recording */
    bool embed;                 /* the images go into the recording */
    const char *replay;         /* recording to replay (or to look at, by command) */
    bool json;                  /* info: for programs */
    bool continue_live;
    bool ignore_checkpoints;
    enum options_from from;     /* verify: where it begins */
    uint64_t from_position;     /* FROM_POSITION: there */
    const char *machine_option; /* the last one given of those that a recording decides; NULL: none */
    bool debug_exit_option;     /* --debug-exit was given */
};

/* The first file of a kind; NULL: none was given. */
static inline const char *options_file(const struct options *o, enum image_kind kind)
{
    return o->files[kind].count ? o->files[kind].path[0] : NULL;
}

enum options_outcome {
    OPTIONS_GO,      /* *o says what to do */
    OPTIONS_HELP,    /* --help was given */
    OPTIONS_VERSION, /* --version was given */
    OPTIONS_DEVICES, /* --device help, or NAME,help, was given */
    OPTIONS_CARDS,   /* --nic model=help was given */
    OPTIONS_CPUS,    /* --cpu help was given */
    OPTIONS_MACHINES, /* --machine help was given */
    OPTIONS_BAD,     /* *err says what is wrong */
};

/* Parse; the strings in *o point into argv. */
enum options_outcome options_parse(int argc, char **argv, struct options *o, struct error *err);
/* Understand a --machine value; sets o->machine and what belongs to it. */
int options_take_machine(struct options *o, const char *arg, struct error *err);
/* Understand a --vga value; sets what belongs to it. */
int options_take_vga(struct options *o, const char *arg, struct error *err);
/* Understand a --smp, an --interleave value; sets what belongs to it. */
int options_take_smp(struct options *o, const char *arg, struct error *err);
int options_take_interleave(struct options *o, const char *arg, struct error *err);
/* Once the kernel is known: fill in what was left open, and check what was given against the
 * machine. `for_virt`: the image is one for the virt board. */
int options_settle(struct options *o, bool for_virt, struct error *err);
/* Where a drive of this machine goes if nothing is said about that. */
enum drive_interface options_usual_interface(const struct options *o);
/* Memory for checkpoints, in bytes, on a host with so much (0: it does not say). The guest's own memory is known by now. */
uint64_t options_checkpoint_bytes(const struct options *o, uint64_t host_bytes);
/* Free what options_parse() and options_settle() made. */
void options_finish(struct options *o);
/* What --help prints. The models of each machine: space-separated names. */
/* --machine help. */
void options_print_machines(void);
void options_print_help(const char *pc_models, const char *virt_models);
/* What --completion prints, for "bash", "zsh" or "fish". */
void options_print_completion(const char *shell);
/* What --print-gdb-helper prints. */
void options_print_gdb_helper(void);

#endif
