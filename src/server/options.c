/*
 * The command line: going through it, and looking at it as a whole.
 *
 * An option is written with one dash or two, may be shortened as long as it stays the only one that begins so,
 * and has its value behind '=' or in the next word. What is no option is the kernel. A word of QEMU's that
 * hindcast has not gets a sentence that says so.
 */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/guess.h"
#include "base/option_list.h"
#include "chardev_options.h"
#include "option_table.h"

#define MIB ((uint64_t)1 << 20)

/* ---- once the kernel is known ---- */

/* The words that the user gave, or as for a program that was started: its name and arguments. */
static void make_semihost_cmdline(struct options *o)
{
    const char *kernel = options_file(o, IMAGE_KERNEL);
    struct buffer b;

    buffer_init(&b);
    if (o->semihost_args)
        buffer_printf(&b, "%s", o->semihost_args);
    else
        buffer_printf(&b, "%s%s%s", kernel ? kernel : "", o->append ? " " : "", o->append ? o->append : "");
    buffer_append_byte(&b, 0);
    free(o->semihost_cmdline);
    o->semihost_cmdline = (char *)b.data;
}

void options_finish(struct options *o)
{
    free(o->semihost_args);
    free(o->semihost_cmdline);
    for (unsigned n = 0; n < OPTIONS_MAX_PFLASH; n++) {
        free(o->flash_file[n]);
        o->flash_file[n] = NULL;
    }
    o->semihost_args = o->semihost_cmdline = NULL;
    free(o->vga_text);
    o->vga_text = NULL;
    option_drives_finish(&o->drives);
    option_net_finish(&o->net);
    option_fsdevs_finish(&o->fsdevs);
}

static int settle_secure(struct options *o, struct error *err)
{
    int n;

    if (o->kind != MACHINE_VIRT)
        return error_set(err, -EINVAL, "--secure is for --machine virt");
    if (o->secure)
        return 0;
    n = snprintf(o->machine_text, sizeof o->machine_text, "%s,secure=on", o->machine);
    if (n < 0 || (size_t)n >= sizeof o->machine_text)
        return error_set(err, -EINVAL, "--machine %s: too long; write secure=on in it, without --secure", o->machine);
    return options_take_machine(o, o->machine_text, err);
}

static int settle_virt(struct options *o, struct error *err)
{
    const char *odd = o->vga ? "vga" : o->uuid ? "uuid" : o->smbios_count ? "smbios" : o->gdb_arch ? "gdb-arch" : options_file(o, IMAGE_VGA_BIOS) ? "vga-bios" :
                      options_file(o, IMAGE_ROM) ? "option-rom" : o->debug_exit_option ? "debug-exit" : o->debugcon ? "debugcon" : NULL;

    if (odd)
        return error_set(err, -EINVAL, "--%s is for --machine pc", odd);
    if (o->files[IMAGE_MODULE].count > 1)
        return error_set(err, -EINVAL, "--initrd: the virt machine takes one");
    if (o->gic_version == 2 && o->topology.cpus > 8)
        return error_set(err, -EINVAL, "--smp %s: a GIC of version 2 is for 8 CPUs; --machine virt,gic-version=3 has "
                         "up to 64", o->smp);
    make_semihost_cmdline(o);
    return 0;
}

static int settle_pc(struct options *o, struct error *err)
{
    if (o->semihosting)
        return error_set(err, -EINVAL, "--semihosting is for --machine virt");
    if (o->dumpdtb)
        return error_set(err, -EINVAL, "--dumpdtb: a PC has no device tree (its firmware, or hindcast, makes ACPI tables); --machine virt "
                                       "has one");
    if (o->append && !o->replay && !options_file(o, IMAGE_KERNEL))
        return error_set(err, -EINVAL, "--append: these words are for a kernel, and there is no --kernel");
    o->s3 = o->s3 && !o->no_s3;
    if (!o->vga || (!strcmp(o->vga, "std") && !o->replay))
        o->vga = "std,edid=on";
    return 0;
}

/* The controller of the pc, before what is plugged into it. */
static int settle_usb(struct options *o, struct error *err)
{
    struct option_drives *d = &o->drives;

    if (o->kind == MACHINE_VIRT)
        return error_set(err, -EINVAL, "--usb: the virt machine has no USB of its own; --device qemu-xhci is one");
    if (d->ndevices == PARTS_MAX_DEVICES)
        return error_set(err, -EINVAL, "--usb: at most %d devices", PARTS_MAX_DEVICES);
    memmove(d->devices + 1, d->devices, d->ndevices++ * sizeof(d->devices[0]));
    d->devices[0] = "piix3-usb-uhci,addr=1.2";
    return 0;
}

enum drive_interface options_usual_interface(const struct options *o)
{
    return o->kind == MACHINE_VIRT ? DRIVE_IF_VIRTIO : DRIVE_IF_IDE;
}

int options_settle(struct options *o, bool for_virt, struct error *err)
{
    if (o->kind == MACHINE_BY_KERNEL)
        options_take_machine(o, for_virt || o->secure_option ? "virt" : "pc", NULL);
    if (o->secure_option && settle_secure(o, err) < 0)
        return -EINVAL;
    if (!o->topology.cpus)
        options_take_smp(o, "1", NULL);
    if (!o->interleave)
        options_take_interleave(o, SCHEDULE_USUAL, NULL);
    o->usual_cpu = !o->cpu;
    if (!o->cpu)
        o->cpu = o->kind == MACHINE_VIRT ? "cortex-a57" : "pentium4";
    if (o->usb && !o->replay && settle_usb(o, err) < 0)
        return -EINVAL;
    if (option_drives_settle(&o->drives, options_usual_interface(o), err) < 0)
        return -EINVAL;
    return o->kind == MACHINE_VIRT ? settle_virt(o, err) : settle_pc(o, err);
}

/* ---- as a whole ---- */

/* How many --chardev are the terminal. */
static unsigned chardevs_on_stdio(const struct options *o)
{
    unsigned n = 0;

    for (unsigned i = 0; i < o->chardev_count; i++) {
        struct chardev_options c;

        if (chardev_options_parse(&c, o->chardev[i], NULL) == 0)
            n += !strcmp((const char *)c.spec.data, "stdio");
        chardev_options_finish(&c);
    }
    return n;
}

/* One option that says nothing without another. */
struct dependence {
    bool given, has;    /* is the one there, and the other? */
    const char *text;   /* what is said if only the one is */
};

static int check_dependences(const struct options *o, struct error *err)
{
    const struct dependence list[] = {
        {o->semihost_dir, o->semihosting || o->replay, "--semihosting-dir goes with --semihosting"},
        {o->semihost_dir && o->replay, o->continue_live, "--semihosting-dir: a replay touches no files; it goes with "
                                                         "--continue-live"},
        {o->semihost_args, o->semihosting, "--semihosting-arg goes with --semihosting"},
        {o->continue_live, o->replay, "--continue-live goes with --replay FILE"},
        {o->net.count && o->replay, o->continue_live, "--netdev and --nic: a replay has its packets from the recording; they go with "
                                                      "--continue-live"},
        {o->tpmdev && o->replay, o->continue_live, "--tpmdev: a replay has the TPM's answers from the recording; it goes with "
                                                   "--continue-live"},
        {o->ignore_checkpoints, o->replay, "--ignore-checkpoints goes with --replay FILE"},
        {o->json, o->command == OPTIONS_INFO, "--json goes with hindcast info FILE"},
        {o->from != FROM_START, o->command == OPTIONS_VERIFY, "--from goes with hindcast verify FILE"},
        {o->record && o->replay, o->continue_live, "--record with --replay FILE: nothing new happens without "
                                                   "--continue-live"},
        {o->run && o->gdb_stdio, false, "--run and --gdb stdio contradict each other: that gdb starts the guest"},
        {o->run && o->hold, false, "--run and -S contradict each other"},
        {o->gdb_stdio && o->listen_given, false, "--listen and --gdb stdio contradict each other: there is one debugger"},
        {!o->listen && !o->gdb_stdio, o->run || o->command != OPTIONS_SERVE || o->dumpdtb,
         "--listen none without --run: the guest would never start"},
        {o->dumpdtb && o->replay, false, "--dumpdtb is for a machine that options describe, not for a recorded one"},
        {o->dumpdtb && o->record, false, "--dumpdtb runs no guest: there is nothing to --record"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(list); i++)
        if (list[i].given && !list[i].has)
            return error_set(err, -EINVAL, "%s", list[i].text);
    return 0;
}

static int check_flash(const struct options *o, struct error *err)
{
    if (!o->write_back[0] && !o->write_back[1])
        return 0;
    if (o->replay)
        return error_set(err, -EINVAL, "--pflash FILE,write-back: a replay leaves files alone; monitor save_flash "
                                       "writes what is in a bank");
    if (o->record && !o->embed)
        return error_set(err, -EINVAL, "--pflash FILE,write-back: the recording needs the file as it was; add --embed");
    return 0;
}

static int check_drives(const struct options *o, struct error *err)
{
    for (unsigned i = 0; i < o->drives.count; i++) {
        const struct option_drive *d = &o->drives.list[i];

        if (d->write_back && o->replay)
            return error_set(err, -EINVAL, "--drive write-back: a replay leaves files alone; monitor commit writes what a "
                                           "drive holds");
        if (d->write_back && !d->write_back_file && o->record && !o->embed)
            return error_set(err, -EINVAL, "--drive write-back: the recording needs the image as it was; add --embed, or "
                                           "name a file: write-back=FILE");
    }
    return 0;
}

static int check_whole(const struct options *o, struct error *err)
{
    unsigned terminals = o->gdb_stdio;

    if (o->completion || o->gdb_helper)
        return 0;
    if (o->replay && o->machine_option)
        return error_set(err, -EINVAL, "--%s: what the machine is, the recording says; leave that option out",
                         o->machine_option);
    if (check_dependences(o, err) < 0 || check_flash(o, err) < 0 || check_drives(o, err) < 0)
        return -EINVAL;
    if (!options_file(o, IMAGE_KERNEL) && !options_file(o, IMAGE_BIOS) && !options_file(o, IMAGE_PFLASH0) && !o->replay &&
        !o->dumpdtb)
        return error_set(err, -EINVAL,
                         "nothing to boot: name a kernel (ELF, Multiboot, Linux bzImage or arm64 Image) or firmware by --bios or --pflash, "
                         "which boots from --drive, -hda, --cdrom, -fda (none comes with hindcast; Debian's package seabios has "
                         "--bios /usr/share/seabios/bios-256k.bin --vga-bios /usr/share/seabios/vgabios-stdvga.bin); "
                         "hindcast --help says more");
    terminals += chardevs_on_stdio(o);
    for (unsigned i = 0; i < o->serial_count; i++)
        terminals += !strcmp(o->serial[i], "stdio") || !strcmp(o->serial[i], "mon:stdio");
    if (terminals > 1)
        return error_set(err, -EINVAL, "only one of --gdb, --serial and --chardev can be stdio (--chardev stdio,id=ID,mux=on is for "
                         "several ports)");
    return 0;
}

/* ---- option by option ---- */

static bool named(const struct option_row *row, const char *name, size_t len)
{
    return (strlen(row->name) == len && !strncmp(row->name, name, len)) ||
           (row->alias && strlen(row->alias) == len && !strncmp(row->alias, name, len));
}

static int unknown_option(const char *name, size_t len, struct error *err)
{
    struct guess g;

    guess_begin(&g, name, len);
    for (const struct option_row *row = option_table; row->name; row++)
        guess_consider(&g, row->name);
    if (g.best)
        return error_set(err, -EINVAL, "unknown option '%.*s'; did you mean --%s?", (int)len, name, g.best);
    return error_set(err, -EINVAL, "unknown option '%.*s'; hindcast --help lists them", (int)len, name);
}

static int foreign_option(const char *name, size_t len, struct error *err)
{
    for (const struct option_foreign *f = option_foreign; f->name; f++)
        if (strlen(f->name) == len && !strncmp(f->name, name, len))
            return error_set(err, -EINVAL, "-%s: %s", f->name, f->text);
    return 0;
}

/* The option of that name, or the one that a part of a name is meant for. NULL with *err: there is none. */
static const struct option_row *find_option(const char *name, size_t len, struct error *err)
{
    const struct option_row *found = NULL;

    for (const struct option_row *row = option_table; row->name; row++)
        if (named(row, name, len))
            return row;
    if (foreign_option(name, len, err) < 0)
        return NULL;
    for (const struct option_row *row = option_table; row->name && len > 1; row++) {
        if (strncmp(row->name, name, len))
            continue;
        if (found) {
            error_set(err, -EINVAL, "'%.*s' is short for --%s, for --%s, or more", (int)len, name, found->name, row->name);
            return NULL;
        }
        found = row;
    }
    if (!found)
        unknown_option(name, len, err);
    return found;
}

struct command_line {
    int argc, at;    /* the word that is looked at */
    char **argv;
};

/* The word at `at` is an option: take it, and its value. */
static enum options_outcome take_option(struct command_line *c, struct options *o, struct error *err)
{
    const char *word = c->argv[c->at], *name = word + strspn(word, "-");
    size_t len = strcspn(name, "=");
    const struct option_row *row = find_option(name, len, err);
    char *value = name[len] ? c->argv[c->at] + (name - word) + len + 1 : NULL;

    if (!row)
        return OPTIONS_BAD;
    if (!row->take)
        return named(row, "help", 4) ? OPTIONS_HELP : OPTIONS_VERSION;
    if (value && !row->argument) {
        error_set(err, -EINVAL, "--%s takes no value", row->name);
        return OPTIONS_BAD;
    }
    if (row->argument && !value) {
        if (c->at + 1 >= c->argc) {
            error_set(err, -EINVAL, "--%s needs a value: %s", row->name, row->argument);
            return OPTIONS_BAD;
        }
        value = c->argv[++c->at];
    }
    if (value && !*value && !(row->flags & OPTION_EMPTY)) {
        error_set(err, -EINVAL, "--%s: its value is empty: %s", row->name, row->argument);
        return OPTIONS_BAD;
    }
    if (row->flags & OPTION_OF_MACHINE)
        o->machine_option = row->name;
    if ((o->command == OPTIONS_INFO && !(row->flags & OPTION_INFO)) ||
        (o->command == OPTIONS_VERIFY && !(row->flags & OPTION_VERIFY))) {
        error_set(err, -EINVAL, "--%s means nothing to hindcast %s", row->name, c->argv[1]);
        return OPTIONS_BAD;
    }
    return row->take(o, row, value, err) < 0 ? OPTIONS_BAD : OPTIONS_GO;
}

/* A word that is no option. */
static int take_word(struct command_line *c, struct options *o, struct error *err)
{
    struct option_files *kernel = &o->files[IMAGE_KERNEL];
    char *word = c->argv[c->at];

    if (o->command != OPTIONS_SERVE) {
        if (o->replay)
            return error_set(err, -EINVAL, "'%s' is one too many: hindcast %s takes one recording", word, c->argv[1]);
        o->replay = word;
        return 0;
    }
    if (kernel->count)
        return error_set(err, -EINVAL, "'%s' is one too many: the kernel is %s (quote the words of --append)", word,
                         kernel->path[0]);
    kernel->path[kernel->count++] = word;
    return 0;
}

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    o->gic_version = 2;
    o->memory_bytes = 256 * MIB;
    o->listen = OPTIONS_LISTEN_DEFAULT;
    o->sleep = true;
    o->checkpoint_bytes = OPTIONS_CHECKPOINTS_AUTO;
    o->debug_exit[o->debug_exit_count++] = 0xf4;
    o->debug_exit[o->debug_exit_count++] = 0x501;
}

uint64_t options_checkpoint_bytes(const struct options *o, uint64_t host_bytes)
{
    uint64_t copy = o->memory_bytes < host_bytes / 4 ? o->memory_bytes : host_bytes / 4;

    return o->checkpoint_bytes == OPTIONS_CHECKPOINTS_AUTO ? 1024 * MIB + copy : o->checkpoint_bytes;
}

enum options_outcome options_parse(int argc, char **argv, struct options *o, struct error *err)
{
    struct command_line c = {.argc = argc, .at = 1, .argv = argv};
    bool only_words = false;

    set_defaults(o);
    if (argc > 1 && (!strcmp(argv[1], "info") || !strcmp(argv[1], "verify"))) {
        o->command = *argv[1] == 'i' ? OPTIONS_INFO : OPTIONS_VERIFY;
        c.at = 2;
    }
    for (; c.at < argc; c.at++) {
        bool option = !only_words && argv[c.at][0] == '-' && argv[c.at][1];
        enum options_outcome outcome;

        if (option && !strcmp(argv[c.at], "--")) {
            only_words = true;
            continue;
        }
        outcome = option ? take_option(&c, o, err) : take_word(&c, o, err) < 0 ? OPTIONS_BAD : OPTIONS_GO;
        if (outcome != OPTIONS_GO)
            return outcome;
    }
    if (o->command != OPTIONS_SERVE && !o->replay) {
        error_set(err, -EINVAL, "%s: name a recording (made with --record FILE)", argv[1]);
        return OPTIONS_BAD;
    }
    for (unsigned i = 0; i < o->drives.nroms; i++)
        o->files[IMAGE_DEVICE_ROM].path[o->files[IMAGE_DEVICE_ROM].count++] = o->drives.roms[i];
    if (o->drives.device_help)
        return OPTIONS_DEVICES;
    if (o->net.card_help)
        return OPTIONS_CARDS;
    if (o->cpu && option_asks_help(o->cpu))
        return OPTIONS_CPUS;
    if (o->machine && option_asks_help(o->machine))
        return OPTIONS_MACHINES;
    if (!o->serial_count)
        o->serial[o->serial_count++] = o->gdb_stdio ? "stderr" : chardevs_on_stdio(o) ? "none" : "stdio";
    o->serial_ports = o->serial_count;
    return check_whole(o, err) < 0 ? OPTIONS_BAD : OPTIONS_GO;
}
