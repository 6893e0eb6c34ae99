/*
 * The command line (getopt_long_only(3)).
 *
 * The one-letter options are long options of one letter, so that -smp is not
 * taken for -s -m p. Adding an option: the enum, the table, take_option(),
 * the help text, doc/hindcast.1.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"

#define MIB ((uint64_t)1 << 20)
#define PC_MEMORY_MAX ((uint64_t)3 << 30)
#define MEMORY_MAX    ((uint64_t)64 << 30)

enum {
    OPT_MACHINE = 1, OPT_CPU, OPT_MEMORY, OPT_KERNEL, OPT_INITRD, OPT_APPEND, OPT_BIOS, OPT_SERIAL,
    OPT_LISTEN, OPT_S, OPT_HOLD, OPT_RUN, OPT_GDB, OPT_ICOUNT, OPT_CHECKPOINT_MEMORY, OPT_DEBUG_EXIT,
    OPT_NO_REBOOT, OPT_NOGRAPHIC, OPT_PFLASH, OPT_DUMPDTB, OPT_SECURE, OPT_SEMIHOSTING, OPT_SEMIHOSTING_DIR, OPT_SEMIHOSTING_ARG,
    OPT_SEMIHOSTING_CONFIG, OPT_RECORD, OPT_REPLAY, OPT_CONTINUE_LIVE, OPT_EMBED, OPT_CHECKPOINTS_IN_FILE,
    OPT_IGNORE_CHECKPOINTS, OPT_ENGINE, OPT_FROM, OPT_VGA, OPT_VGA_BIOS, OPT_ROM, OPT_HELP, OPT_VERSION,
};

static const struct option option_table[] = {
    {"machine", required_argument, NULL, OPT_MACHINE},
    {"M", required_argument, NULL, OPT_MACHINE},
    {"cpu", required_argument, NULL, OPT_CPU},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"m", required_argument, NULL, OPT_MEMORY},
    {"kernel", required_argument, NULL, OPT_KERNEL},
    {"initrd", required_argument, NULL, OPT_INITRD},
    {"append", required_argument, NULL, OPT_APPEND},
    {"bios", required_argument, NULL, OPT_BIOS},
    {"vga", required_argument, NULL, OPT_VGA},
    {"vga-bios", required_argument, NULL, OPT_VGA_BIOS},
    {"option-rom", required_argument, NULL, OPT_ROM},
    {"pflash", required_argument, NULL, OPT_PFLASH},
    {"dumpdtb", required_argument, NULL, OPT_DUMPDTB},
    {"secure", no_argument, NULL, OPT_SECURE},
    {"semihosting", no_argument, NULL, OPT_SEMIHOSTING},
    {"semihosting-dir", required_argument, NULL, OPT_SEMIHOSTING_DIR},
    {"semihosting-arg", required_argument, NULL, OPT_SEMIHOSTING_ARG},
    {"semihosting-config", required_argument, NULL, OPT_SEMIHOSTING_CONFIG},
    {"serial", required_argument, NULL, OPT_SERIAL},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"s", no_argument, NULL, OPT_S},
    {"S", no_argument, NULL, OPT_HOLD},
    {"run", no_argument, NULL, OPT_RUN},
    {"gdb", required_argument, NULL, OPT_GDB},
    {"icount", required_argument, NULL, OPT_ICOUNT},
    {"checkpoint-memory", required_argument, NULL, OPT_CHECKPOINT_MEMORY},
    {"debug-exit", required_argument, NULL, OPT_DEBUG_EXIT},
    {"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
    {"nographic", no_argument, NULL, OPT_NOGRAPHIC},
    {"record", required_argument, NULL, OPT_RECORD},
    {"replay", required_argument, NULL, OPT_REPLAY},
    {"continue-live", no_argument, NULL, OPT_CONTINUE_LIVE},
    {"embed", no_argument, NULL, OPT_EMBED},
    {"checkpoints-in-file", required_argument, NULL, OPT_CHECKPOINTS_IN_FILE},
    {"ignore-checkpoints", no_argument, NULL, OPT_IGNORE_CHECKPOINTS},
    {"from", required_argument, NULL, OPT_FROM},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"help", no_argument, NULL, OPT_HELP},
    {"h", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0},
};

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;

    return m < c ? m : c;
}

unsigned edit_distance(const char *a, const char *b, unsigned limit)
{
    unsigned row[64];
    size_t la = strlen(a), lb = strlen(b);

    if (la >= 63 || lb >= 63)
        return limit + 1;
    for (unsigned j = 0; j <= lb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned up = row[j];

            row[j] = min3(up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = up;
        }
    }
    return row[lb] <= limit ? row[lb] : limit + 1;
}

static int unknown_option(const char *given, struct error *err)
{
    char name[64];
    const char *nearest = NULL;
    unsigned best = 4;

    given += strspn(given, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    for (const struct option *o = option_table; o->name; o++) {
        unsigned d = edit_distance(name, o->name, 3);

        if (strlen(o->name) > 1 && d < best && d < strlen(o->name)) {
            best = d;
            nearest = o->name;
        }
    }
    if (nearest)
        return error_set(err, -EINVAL, "unknown option '%s'; did you mean --%s?", name, nearest);
    return error_set(err, -EINVAL, "unknown option '%s'; hindcast --help lists them", name);
}

/* "256M", "1G", "65536K"; a bare number counts MiB, as QEMU's does. */
static int parse_size(const char *option, const char *text, uint64_t *bytes, struct error *err)
{
    char *end;
    unsigned long long n;
    uint64_t unit = MIB;

    errno = 0;
    n = strtoull(text, &end, 10);
    switch (*end) {
    case 'k': case 'K':
        unit = 1024, end++;
        break;
    case 'm': case 'M':
        end++;
        break;
    case 'g': case 'G':
        unit = MIB << 10, end++;
        break;
    default:
        break;
    }
    if (*text < '0' || *text > '9' || *end || errno || n > UINT64_MAX / unit)
        return error_set(err, -EINVAL, "--%s %s: write a size such as 512K, 256M or 1G", option, text);
    *bytes = n * unit;
    return 0;
}

static int take_memory(struct options *o, const char *arg, struct error *err)
{
    int r = parse_size("memory", arg, &o->memory_bytes, err);

    if (r < 0)
        return r;
    if (o->memory_bytes < MIB || o->memory_bytes > MEMORY_MAX)
        return error_set(err, -EINVAL, "--memory %s: there can be from 1M to 64G (a PC: to 3G)", arg);
    if (o->memory_bytes & ~PAGE_MASK)
        return error_set(err, -EINVAL, "--memory %s: not a multiple of 4K", arg);
    return 0;
}

/* One "name=value" of --machine. */
static int take_machine_property(struct options *o, const char *part, struct error *err)
{
    const char *value = strchr(part, '='), *machine = o->kind == MACHINE_PC ? "pc" : "virt";
    bool *flag;

    if (o->kind == MACHINE_PC) {
        if (strncmp(part, "serial-out2=", 12) != 0)
            return error_set(err, -EINVAL, "--machine pc,%s: there is serial-out2=on|off", part);
        flag = &o->serial_out2;
    } else if (!strcmp(part, "gic-version=2") || !strcmp(part, "gic-version=3")) {
        o->gic_version = (unsigned)(part[12] - '0');
        return 0;
    } else if (!strncmp(part, "secure=", 7)) {
        flag = &o->secure;
    } else if (!strncmp(part, "virtualization=", 15)) {
        flag = &o->virtualization;
    } else {
        return error_set(err, -EINVAL, "--machine virt,%s: there are gic-version=2|3, secure=on|off and "
                         "virtualization=on|off", part);
    }
    *flag = !strcmp(value, "=on");
    if (*flag || !strcmp(value, "=off"))
        return 0;
    return error_set(err, -EINVAL, "--machine %s,%s: write on or off", machine, part);
}

int options_take_machine(struct options *o, const char *arg, struct error *err)
{
    const char *comma = strchr(arg, ',');
    size_t n = comma ? (size_t)(comma - arg) : strlen(arg);
    int r = 0;

    o->machine = arg;
    o->gic_version = 2;
    o->secure = o->virtualization = o->serial_out2 = false;
    if (n == 2 && !strncmp(arg, "pc", n))
        o->kind = MACHINE_PC;
    else if (n == 4 && !strncmp(arg, "virt", n))
        o->kind = MACHINE_VIRT;
    else
        return error_set(err, -EINVAL, "--machine %s: there are pc and virt, each with [,PROPERTY=VALUE...]", arg);
    while (r == 0 && comma) {
        char part[64];

        arg = comma + 1;
        comma = strchr(arg, ',');
        n = comma ? (size_t)(comma - arg) : strlen(arg);
        snprintf(part, sizeof part, "%.*s", (int)(n < sizeof part ? n : sizeof part - 1), arg);
        r = take_machine_property(o, part, err);
    }
    return r;
}

/* The words that the user gave, or as for a program that was started: its name and arguments. */
static void make_semihost_cmdline(struct options *o)
{
    struct buffer b;

    buffer_init(&b);
    if (o->semihost_args)
        buffer_printf(&b, "%s", o->semihost_args);
    else
        buffer_printf(&b, "%s%s%s", o->kernel ? o->kernel : "", o->append ? " " : "", o->append ? o->append : "");
    buffer_append_byte(&b, 0);
    free(o->semihost_cmdline);
    o->semihost_cmdline = (char *)b.data;
}

void options_finish(struct options *o)
{
    free(o->semihost_args);
    free(o->semihost_cmdline);
    o->semihost_args = o->semihost_cmdline = NULL;
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

int options_settle(struct options *o, bool for_virt, struct error *err)
{
    if (o->kind == MACHINE_BY_KERNEL)
        options_take_machine(o, for_virt || o->secure_option || o->dumpdtb ? "virt" : "pc", NULL);
    if (o->secure_option && settle_secure(o, err) < 0)
        return -EINVAL;
    if (!o->cpu)
        o->cpu = o->kind == MACHINE_VIRT ? "cortex-a57" : "pentium4";
    if (o->kind == MACHINE_VIRT) {
        if (o->vga || o->vga_bios || o->rom_count)
            return error_set(err, -EINVAL, "%s is for --machine pc",
                             o->vga ? "--vga" : o->vga_bios ? "--vga-bios" : "--option-rom");
        if (o->initrd_count > 1)
            return error_set(err, -EINVAL, "--initrd: the virt machine takes one");
        make_semihost_cmdline(o);
        return 0;
    }
    if (o->semihosting)
        return error_set(err, -EINVAL, "--semihosting is for --machine virt");
    if (!o->vga)
        o->vga = "std";
    if (o->memory_bytes > PC_MEMORY_MAX)
        return error_set(err, -EINVAL, "--memory: a PC here has from 1M to 3G");
    if (o->pflash[0] || o->dumpdtb)
        return error_set(err, -EINVAL, "%s is for --machine virt",
                         o->pflash[0] ? "--pflash" : "--dumpdtb");
    return 0;
}

static int take_switch(const char *what, const char *value, bool *out, struct error *err)
{
    *out = !strcmp(value, "on");
    if (*out || !strcmp(value, "off"))
        return 0;
    return error_set(err, -EINVAL, "--icount %s=%s: write on or off", what, value);
}

static int take_shift(const char *value, unsigned *shift, struct error *err)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end || n > 10)
        return error_set(err, -EINVAL,
                         "--icount shift=%s: write a number from 0 to 10 (an instruction takes 2^N ns)", value);
    *shift = (unsigned)n;
    return 0;
}

static int take_icount(struct options *o, char *arg, struct error *err)
{
    char *next = arg;
    int r = 0;

    while (r == 0 && next) {
        char *part = strsep(&next, ",");

        if (!strncmp(part, "shift=", 6))
            r = take_shift(part + 6, &o->icount_shift, err);
        else if (!strncmp(part, "sleep=", 6))
            r = take_switch("sleep", part + 6, &o->sleep, err);
        else if (*part >= '0' && *part <= '9')
            r = take_shift(part, &o->icount_shift, err);
        else
            r = error_set(err, -EINVAL, "--icount %s: there are shift=N and sleep=on|off", part);
    }
    return r;
}

static int take_debug_exit(struct options *o, const char *arg, struct error *err)
{
    o->debug_exit_count = 0;
    if (!strcmp(arg, "none"))
        return 0;
    for (const char *p = arg;;) {
        char *end;
        unsigned long port = strtoul(p, &end, 0);

        if (*p < '0' || *p > '9' || port > 0xffff || (*end && *end != ','))
            return error_set(err, -EINVAL, "--debug-exit %s: write I/O ports such as 0xf4,0x501, or none", arg);
        if (o->debug_exit_count == OPTIONS_MAX_DEBUG_EXIT)
            return error_set(err, -EINVAL, "--debug-exit: at most %d ports", OPTIONS_MAX_DEBUG_EXIT);
        o->debug_exit[o->debug_exit_count++] = (uint16_t)port;
        if (!*end)
            return 0;
        p = end + 1;
    }
}

static int take_vga(struct options *o, const char *arg, struct error *err)
{
    if (strcmp(arg, "std") && strcmp(arg, "none"))
        return error_set(err, -EINVAL, "--vga %s: there are std and none", arg);
    o->vga = arg;
    return 0;
}

static int take_rom(struct options *o, const char *arg, struct error *err)
{
    if (o->rom_count == OPTIONS_MAX_ROMS)
        return error_set(err, -EINVAL, "--option-rom: at most %d", OPTIONS_MAX_ROMS);
    o->rom[o->rom_count++] = arg;
    return 0;
}

static int take_gdb(struct options *o, const char *arg)
{
    o->gdb_stdio = !strcmp(arg, "stdio");
    if (!o->gdb_stdio)
        o->listen = !strcmp(arg, "none") ? NULL : arg;
    return 0;
}

/* "every=10M" or "10M": steps. */
static int take_checkpoints(const char *arg, uint64_t *steps, struct error *err)
{
    const char *text = strncmp(arg, "every=", 6) ? arg : arg + 6;
    unsigned long long n, unit = 1;
    char *end;

    errno = 0;
    n = strtoull(text, &end, 10);
    switch (*end) {
    case 'k': case 'K':
        unit = 1000, end++;
        break;
    case 'm': case 'M':
        unit = 1000000, end++;
        break;
    case 'g': case 'G':
        unit = 1000000000, end++;
        break;
    default:
        break;
    }
    if (*text < '0' || *text > '9' || *end || errno || !n || n > UINT64_MAX / unit)
        return error_set(err, -EINVAL,
                         "--checkpoints-in-file %s: write every=N, a number of instructions such as 500M or 1G", arg);
    *steps = n * unit;
    return 0;
}

/* Of verify: "start", "checkpoints", a position. */
static int take_from(struct options *o, const char *arg, struct error *err)
{
    char *end;

    o->from = !strcmp(arg, "start") ? FROM_START : !strcmp(arg, "checkpoints") ? FROM_CHECKPOINTS : FROM_POSITION;
    if (o->from != FROM_POSITION)
        return 0;
    errno = 0;
    o->from_position = strtoull(arg, &end, 0);
    if (*arg < '0' || *arg > '9' || *end || errno)
        return error_set(err, -EINVAL, "--from %s: write start, checkpoints, or a position", arg);
    return 0;
}

static void add_semihost_word(struct options *o, const char *word)
{
    struct buffer b;

    buffer_init(&b);
    if (o->semihost_args)
        buffer_printf(&b, "%s ", o->semihost_args);
    buffer_append(&b, word, strlen(word) + 1);
    free(o->semihost_args);
    o->semihost_args = (char *)b.data;
    o->semihosting = true;
}

/* QEMU's enable=on|off,target=native|auto,userspace=off,arg=WORD...; two commas are one in a word. */
static int take_semihosting_config(struct options *o, char *arg, struct error *err)
{
    o->semihosting = true;
    while (*arg) {
        char *to = arg, *from = arg, *part = arg;

        while (*from && (*from != ',' || from[1] == ',')) {
            from += *from == ',';
            *to++ = *from++;
        }
        arg = *from ? from + 1 : from;
        *to = 0;
        if (!strncmp(part, "arg=", 4))
            add_semihost_word(o, part + 4);
        else if (!strcmp(part, "enable=off") || !strcmp(part, "off"))
            o->semihosting = false;
        else if (strcmp(part, "enable=on") && strcmp(part, "enable") && strcmp(part, "on") &&
                 strcmp(part, "target=native") && strcmp(part, "target=auto") && strcmp(part, "userspace=off"))
            return error_set(err, -EINVAL, "--semihosting-config %s: there are enable=on|off, target=native and "
                             "arg=WORD (its console is where the first --serial is)", part);
    }
    return 0;
}

/* Is it one of those that say what the machine is? */
static bool of_machine(int which)
{
    return which == OPT_MACHINE || which == OPT_CPU || which == OPT_MEMORY || which == OPT_APPEND ||
           which == OPT_VGA || which == OPT_ICOUNT || which == OPT_DEBUG_EXIT || which == OPT_NO_REBOOT ||
           which == OPT_SECURE || which == OPT_SEMIHOSTING || which == OPT_SEMIHOSTING_ARG || which == OPT_SEMIHOSTING_CONFIG;
}

/* FILE or FILE,write-back */
static int take_pflash(struct options *o, char *arg, struct error *err)
{
    static const char suffix[] = ",write-back";
    size_t len = strlen(arg), n = sizeof(suffix) - 1;
    unsigned bank = o->pflash[0] ? 1 : 0;

    if (o->pflash[1])
        return error_set(err, -EINVAL, "--pflash: there are %d flash banks", OPTIONS_MAX_PFLASH);
    o->pflash[bank] = arg;
    if (len > n && !strcmp(arg + len - n, suffix)) {
        o->pflash_write_back[bank] = true;
        arg[len - n] = 0;
    }
    return 0;
}

static int take_engine(struct options *o, const char *arg, struct error *err)
{
    static const char *const names[] = {
        [ENGINE_AUTO] = "auto", [ENGINE_JIT] = "jit", [ENGINE_INTERPRETER] = "interpreter",
    };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(arg, names[i])) {
            o->engine = (enum options_engine)i;
            return 0;
        }
    return error_set(err, -EINVAL, "--engine is auto, jit or interpreter, not '%s'", arg);
}

static int take_option(int which, char *arg, struct options *o, struct error *err)
{
    switch (which) {
    case OPT_MACHINE:
        return options_take_machine(o, arg, err);
    case OPT_PFLASH:
        return take_pflash(o, arg, err);
    case OPT_DUMPDTB:
        o->dumpdtb = arg;
        return 0;
    case OPT_SECURE:
        o->secure_option = true;
        return 0;
    case OPT_SEMIHOSTING:
        o->semihosting = true;
        return 0;
    case OPT_SEMIHOSTING_DIR:
        o->semihost_dir = arg;
        return 0;
    case OPT_SEMIHOSTING_ARG:
        add_semihost_word(o, arg);
        return 0;
    case OPT_SEMIHOSTING_CONFIG:
        return take_semihosting_config(o, arg, err);
    case OPT_CPU:
        o->cpu = arg;
        return 0;
    case OPT_MEMORY:
        return take_memory(o, arg, err);
    case OPT_KERNEL:
        o->kernel = arg;
        return 0;
    case OPT_INITRD:
        if (o->initrd_count == OPTIONS_MAX_MODULES)
            return error_set(err, -EINVAL, "--initrd: at most %d", OPTIONS_MAX_MODULES);
        o->initrd[o->initrd_count++] = arg;
        return 0;
    case OPT_APPEND:
        o->append = arg;
        return 0;
    case OPT_BIOS:
        o->bios = arg;
        return 0;
    case OPT_VGA:
        return take_vga(o, arg, err);
    case OPT_VGA_BIOS:
        o->vga_bios = arg;
        return 0;
    case OPT_ROM:
        return take_rom(o, arg, err);
    case OPT_SERIAL:
        if (o->serial_count == OPTIONS_MAX_SERIAL)
            return error_set(err, -EINVAL, "--serial: this machine has %d serial ports", OPTIONS_MAX_SERIAL);
        o->serial[o->serial_count++] = arg;
        return 0;
    case OPT_LISTEN:
        o->listen = !strcmp(arg, "none") ? NULL : arg;
        return 0;
    case OPT_S:
        o->listen = "127.0.0.1:1234";
        return 0;
    case OPT_HOLD:
        o->hold = true;
        return 0;
    case OPT_RUN:
        o->run = true;
        return 0;
    case OPT_GDB:
        return take_gdb(o, arg);
    case OPT_ICOUNT:
        return take_icount(o, arg, err);
    case OPT_CHECKPOINT_MEMORY:
        return parse_size("checkpoint-memory", arg, &o->checkpoint_bytes, err);
    case OPT_DEBUG_EXIT:
        return take_debug_exit(o, arg, err);
    case OPT_NO_REBOOT:
        o->no_reboot = true;
        return 0;
    case OPT_ENGINE:
        return take_engine(o, arg, err);
    case OPT_RECORD:
        o->record = arg;
        return 0;
    case OPT_REPLAY:
        o->replay = arg;
        return 0;
    case OPT_CONTINUE_LIVE:
        o->continue_live = true;
        return 0;
    case OPT_EMBED:
        o->embed = true;
        return 0;
    case OPT_CHECKPOINTS_IN_FILE:
        return take_checkpoints(arg, &o->checkpoint_steps, err);
    case OPT_IGNORE_CHECKPOINTS:
        o->ignore_checkpoints = true;
        return 0;
    case OPT_FROM:
        return take_from(o, arg, err);
    default: /* --nographic: no display is shown anyway */
        return 0;
    }
}

static int check_whole(const struct options *o, struct error *err)
{
    unsigned terminals = o->gdb_stdio;

    if (o->replay && o->machine_option)
        return error_set(err, -EINVAL, "--%s: what the machine is, the recording says; leave that option out",
                         o->machine_option);
    if (o->semihost_dir && !o->semihosting && !o->replay)
        return error_set(err, -EINVAL, "--semihosting-dir goes with --semihosting");
    if (o->continue_live && !o->replay)
        return error_set(err, -EINVAL, "--continue-live goes with --replay FILE");
    if (o->ignore_checkpoints && !o->replay)
        return error_set(err, -EINVAL, "--ignore-checkpoints goes with --replay FILE");
    if (o->from != FROM_START && o->command != OPTIONS_VERIFY)
        return error_set(err, -EINVAL, "--from goes with hindcast verify FILE");
    if (o->record && o->replay && !strcmp(o->record, o->replay))
        return error_set(err, -EINVAL, "--record and --replay name the same file");
    if (o->record && o->replay && !o->continue_live)
        return error_set(err, -EINVAL, "--record with --replay FILE: nothing new happens without --continue-live");
    if ((o->pflash_write_back[0] || o->pflash_write_back[1]) && o->replay)
        return error_set(err, -EINVAL, "--pflash FILE,write-back: a replay leaves files alone; monitor save_flash "
                                       "writes what is in a bank");
    if ((o->pflash_write_back[0] || o->pflash_write_back[1]) && o->record && !o->embed)
        return error_set(err, -EINVAL, "--pflash FILE,write-back: the recording needs the file as it was; add --embed");
    if (!o->kernel && !o->bios && !o->pflash[0] && !o->replay && !o->dumpdtb)
        return error_set(err, -EINVAL,
                         "nothing to boot: name a kernel (ELF, Multiboot, Linux bzImage or arm64 Image) or a --bios image; "
                         "hindcast --help says more");
    for (unsigned i = 0; i < o->serial_count; i++)
        terminals += !strcmp(o->serial[i], "stdio") || !strcmp(o->serial[i], "mon:stdio");
    if (terminals > 1)
        return error_set(err, -EINVAL, "only one of --gdb and --serial can be stdio");
    if (o->run && o->hold)
        return error_set(err, -EINVAL, "--run and -S contradict each other");
    if (!o->listen && !o->gdb_stdio && !o->run)
        return error_set(err, -EINVAL, "--listen none without --run: the guest would never start");
    return 0;
}

static const char *long_name(int which)
{
    const struct option *o = option_table;

    while (o->val != which)
        o++;
    return o->name;
}

enum options_outcome options_parse(int argc, char **argv, struct options *o, struct error *err)
{
    int which;

    memset(o, 0, sizeof *o);
    o->gic_version = 2;
    o->memory_bytes = 256 * MIB;
    o->listen = "127.0.0.1:1234";
    o->sleep = true;
    o->checkpoint_bytes = 1024 * MIB;
    o->debug_exit[o->debug_exit_count++] = 0xf4;
    o->debug_exit[o->debug_exit_count++] = 0x501;
    opterr = 0;
    optind = 1;
    if (argc > 1 && (!strcmp(argv[1], "info") || !strcmp(argv[1], "verify"))) {
        o->command = *argv[1] == 'i' ? OPTIONS_INFO : OPTIONS_VERIFY;
        optind = 2;
    }
    /* Leading ':': a missing argument is told apart from an unknown option. */
    while ((which = getopt_long_only(argc, argv, ":", option_table, NULL)) != -1) {
        if (which == OPT_HELP)
            return OPTIONS_HELP;
        if (which == OPT_VERSION)
            return OPTIONS_VERSION;
        if (which == ':') {
            error_set(err, -EINVAL, "%s needs a value", argv[optind - 1]);
            return OPTIONS_BAD;
        }
        if (which == '?') {
            if (optopt)
                error_set(err, -EINVAL, "%s takes no value", argv[optind - 1]);
            else
                unknown_option(argv[optind - 1], err);
            return OPTIONS_BAD;
        }
        if (of_machine(which))
            o->machine_option = long_name(which);
        if (take_option(which, optarg, o, err) < 0)
            return OPTIONS_BAD;
    }
    if (o->command != OPTIONS_SERVE) {
        if (optind >= argc) {
            error_set(err, -EINVAL, "hindcast %s: name a recording (made with --record FILE)", argv[1]);
            return OPTIONS_BAD;
        }
        o->replay = argv[optind++];
    }
    for (; optind < argc; optind++) {
        if (o->kernel) {
            error_set(err, -EINVAL, "'%s' is one too many: the kernel is %s (quote the words of --append)",
                      argv[optind], o->kernel);
            return OPTIONS_BAD;
        }
        o->kernel = argv[optind];
    }
    if (!o->serial_count)
        o->serial[o->serial_count++] = o->gdb_stdio ? "stderr" : "stdio";
    return check_whole(o, err) < 0 ? OPTIONS_BAD : OPTIONS_GO;
}

void options_print_help(const char *pc_models, const char *virt_models)
{
    printf(
        "Usage: hindcast [OPTION...] KERNEL\n"
        "       hindcast --replay RECORDING [OPTION...]\n"
        "       hindcast info|verify RECORDING\n"
        "Boot an i386 PC or aarch64 guest that gdb can run forwards and backwards.\n"
        "\n"
        "The guest waits at its first instruction until gdb attaches (target remote :1234).\n"
        "Options may be written with one dash or two, and shortened.\n"
        "\n"
        "Guest:\n"
        "      --kernel FILE     ELF, Multiboot 1 or 2, Linux bzImage or arm64 Image (KERNEL is the same)\n"
        "      --initrd FILE     initial RAM disk, or a Multiboot module (\"FILE WORDS\"); may be repeated\n"
        "      --append WORDS    kernel command line\n"
        "      --bios FILE       flat firmware image, started at the reset vector; with --kernel, it is\n"
        "                        given a Linux bzImage to start (SeaBIOS does: iPXE, GRUB, memdisk)\n"
        "      --vga std|none    pc: display (default std); monitor screen and monitor screendump show it\n"
        "      --vga-bios FILE   pc: video BIOS in the display's ROM, for a --bios that looks for one\n"
        "      --option-rom FILE pc: a ROM that the --bios loads (SeaBIOS: genroms/); may be repeated\n"
        "      --pflash FILE[,write-back]  virt: contents of the first (the second) flash bank; what the guest\n"
        "                        programs stays in memory, or is written to FILE at the end\n"
        "      --machine NAME    pc[,serial-out2=on] or\n"
        "                        virt[,gic-version=2|3][,virtualization=on][,secure=on]; as a rule the\n"
        "                        kernel image shows which\n"
        "      --secure          virt: EL3 and Secure memory, as secure=on\n"
        "      --cpu MODEL       pc: %s (default pentium4);\n"
        "                        virt: %s (default cortex-a57)\n"
        "      --dumpdtb FILE    virt: write the device tree to FILE and exit\n"
        "      --semihosting     virt: the guest's HLT #0xf000 asks for console, time, files and exit\n"
        "      --semihosting-dir DIR   the directory whose files it may read and write (default: none)\n"
        "      --semihosting-arg WORD  its command line; may be repeated (default: the kernel's name and --append)\n"
        "      --semihosting-config enable=on,arg=WORD...  the same in QEMU's words\n"
        "  -m, --memory SIZE     guest memory (default 256M)\n"
        "      --serial WHAT     serial ports in order: stdio (default), tcp:HOST:PORT[,server[,nowait]],\n"
        "                        unix:PATH[,server[,nowait]], pty, file:PATH, gdb (shown by gdb), stderr,\n"
        "                        none. On stdio: Ctrl-a x ends hindcast, Ctrl-a h helps\n"
        "      --debug-exit PORTS  I/O ports through which the guest ends itself (default 0xf4,0x501), or none\n"
        "      --no-reboot       a guest's reset is its end\n"
        "      --icount shift=N,sleep=on|off  an instruction takes 2^N ns of guest time (default 0); an idle\n"
        "                        guest waits in real time (on, the default) or jumps ahead (off)\n"
        "\n"
        "Debugger:\n"
        "      --listen WHERE    [HOST:]PORT or unix:PATH (default 127.0.0.1:1234), or none\n"
        "  -s                    --listen 127.0.0.1:1234\n"
        "      --gdb stdio       gdb is on stdin and stdout: target remote | hindcast --gdb stdio KERNEL\n"
        "  -S                    hold the guest whenever no debugger runs it: at its first instruction\n"
        "                        (as without -S), and also after gdb's detach\n"
        "      --run             start the guest at once; gdb may attach at any time\n"
        "      --engine WHICH    auto, jit (x86-64 hosts) or interpreter; histories are the same (default auto)\n"
        "      --checkpoint-memory SIZE  memory for going back fast (default 1G)\n"
        "\n"
        "Recordings:\n"
        "      --record FILE     write the guest's history to FILE as it happens\n"
        "      --embed           put the images into it, too: it can be opened anywhere\n"
        "      --checkpoints-in-file every=N  and a checkpoint each N instructions (500M, 1G), so that opening\n"
        "                        it far from its beginning is quick\n"
        "      --replay FILE     go through a recorded history; the machine is the recorded one. --kernel,\n"
        "                        --initrd, --bios say where its images are now, if they were moved\n"
        "      --continue-live   at the end of the recording, go on\n"
        "      --ignore-checkpoints  do not use those in the recording\n"
        "      info FILE         what a recording holds\n"
        "      verify FILE       replay it without a debugger, comparing the state with every recorded hash\n"
        "      --from WHERE      verify: begin at the last checkpoint in it before a position; checkpoints:\n"
        "                        begin at its start, and then once more at every checkpoint in it\n"
        "\n"
        "  -h, --help            this\n"
        "      --version\n"
        "\n"
        "In gdb: reverse-continue, reverse-step, reverse-finish..., and monitor help.\n"
        "Exit status: 0 normal end; 1 unusable option, file or address; with --run --listen none,\n"
        "what the guest's end says (0 power-off, the debug-exit or semihosting status, 3 anything else).\n",
        pc_models, virt_models);
}
