/*
 * A board whose CPUs stand still, played by QEMU's qtest protocol (docs/devel/testing/qtest.rst, system/qtest.c) on
 * standard input and output: the other half of chips_diff.py, which plays the same accesses to QEMU.
 *
 *     qtest_board pc|virt [MEMORY_MB | KEY=VALUE | drive=ID,BYTES[,cd] | DEVICE...]
 *
 * DEVICE is as given to --device. Keys: cpu=MODEL, gic=2|3, its=1. Each command gets a line "OK [VALUE]"; lines of interrupts that
 * changed come before it ("IRQ raise N"; of the PC only: ISA numbers). Commands: inb inw inl, outb outw outl, readb readw
 * readl readq, writeb writew writel writeq, read ADDRESS BYTES, write ADDRESS BYTES 0xHEX, clock_step NS; all others are
 * ignored. Time passes by clock_step only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aarch64/virt.h"
#include "base/buffer.h"
#include "i386/pc.h"
#include "i386/pc/board.h"
#include "tests/whole/chip_time.h"

/* The host's clock: 2023-11-14 22:13:20 UTC. */
#define START_NS (1700000000ull * 1000000000ull)
#define FIRMWARE_BYTES 65536u
#define LINE_BYTES     (1u << 18)

static struct machine *m;
static bool is_pc;
static unsigned lines;

static uint64_t host_clock(void *ctx, struct machine *machine)
{
    (void)ctx;
    return START_NS + machine_now(machine);
}

/* Let virtual time go to `t`, with every deadline on the way served at its moment. */
static void run_to(vtime_t t)
{
    while (expire_next(m, t))
        ;
    m->st->warp = t;
}

/* The ISA interrupts as the PIIX3 drives them. */
static unsigned levels(void)
{
    const struct pc *pc = m->board;
    struct buffer b;
    unsigned now = 0;

    buffer_init(&b);
    pc->piix3->ops->describe(pc->piix3, &b);
    buffer_append(&b, "", 1);
    if (sscanf((const char *)b.data, "irq lines %x", &now) != 1)
        abort();
    buffer_finish(&b);
    return now;
}

static void tell_lines(void)
{
    unsigned now = is_pc ? levels() : 0, changed = now ^ lines;

    for (unsigned n = 0; n < 16; n++)
        if (changed >> n & 1u)
            printf("IRQ %s %u\n", now >> n & 1u ? "raise" : "lower", n);
    lines = now;
}

static unsigned size_of(char suffix)
{
    return suffix == 'q' ? 8 : suffix == 'l' ? 4 : suffix == 'w' ? 2 : 1;
}

static void read_block(uint64_t at, uint64_t len)
{
    printf("OK 0x");
    for (uint64_t i = 0; i < len; i++)
        printf("%02x", (unsigned)memory_read(&m->memory, at + i, 1));
    printf("\n");
}

static void write_block(uint64_t at, const char *hex)
{
    unsigned byte;

    for (hex += 2; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
        uint8_t b = (uint8_t)byte;

        memory_write_bytes(&m->memory, at++, &b, 1, false);
    }
    printf("OK\n");
}

static bool number(uint64_t *value)
{
    const char *word = strtok(NULL, " \n");

    if (word)
        *value = strtoull(word, NULL, 0);
    return word != NULL;
}

/* One command. Its answer is printed by whoever knows it; `verb` is not empty. */
static void obey(const char *verb)
{
    struct pc *pc = is_pc ? m->board : NULL;
    unsigned size = size_of(verb[strlen(verb) - 1]);
    bool port = pc && (!strncmp(verb, "in", 2) || !strncmp(verb, "out", 3));
    bool reads = !strncmp(verb, "in", 2) || !strncmp(verb, "read", 4);
    uint64_t at = 0, value = 0;

    number(&at);
    number(&value);
    if (!strcmp(verb, "clock_step")) {
        run_to(m->st->warp + at);
        tell_lines();
        printf("OK %llu\n", (unsigned long long)m->st->warp);
    } else if (!strcmp(verb, "read")) {
        read_block(at, value);
    } else if (!strcmp(verb, "write")) {
        write_block(at, strtok(NULL, " \n"));
    } else if (reads && (port || !strncmp(verb, "read", 4))) {
        value = port ? ports_read(&pc->ports, (uint16_t)at, size) : memory_read(&m->memory, at, size);
        run_to(m->st->warp);
        tell_lines();
        printf("OK 0x%llx\n", (unsigned long long)value);
    } else {
        if (port)
            ports_write(&pc->ports, (uint16_t)at, size, (uint32_t)value);
        else if (!strncmp(verb, "write", 5))
            memory_write(&m->memory, at, size, value);
        run_to(m->st->warp);
        tell_lines();
        printf("OK\n");
    }
}

/* ---- the machine ---- */

static struct machine_parts parts;

static void add_drive(char *text)
{
    char *id = strtok(text, ","), *bytes = strtok(NULL, ","), *kind = strtok(NULL, ",");
    struct drive_part *p = &parts.drives[parts.ndrives++];
    bool cd = kind && !strcmp(kind, "cd"), floppy = kind && !strcmp(kind, "floppy");

    p->config = (struct drive_config){.name = id, .size = strtoull(bytes, NULL, 0), .sector_size = cd ? 2048 : 512,
                                      .media = cd ? DRIVE_CDROM : floppy ? DRIVE_FLOPPY : DRIVE_DISK, .read_only = cd, .serial = "serial"};
    p->interface = floppy ? DRIVE_IF_FLOPPY : DRIVE_IF_NONE;
}

static int create(int argc, char **argv, struct error *err)
{
    static uint8_t firmware[FIRMWARE_BYTES];
    struct pc_config pc = PC_CONFIG_INIT;
    struct virt_config virt = VIRT_CONFIG_INIT;

    memset(firmware, 0xf4, sizeof(firmware));
    pc.memory_bytes = virt.memory_bytes = (uint64_t)64 << 20;
    pc.cpu_model = "qemu64";
    pc.bios = virt.bios = (struct boot_image){.data = firmware, .len = sizeof(firmware), .name = "firmware"};
    pc.debug_exit_count = 0;
    for (int i = 2; i < argc; i++) {
        if (!strncmp(argv[i], "cpu=", 4))
            pc.cpu_model = virt.cpu_model = argv[i] + 4;
        else if (!strncmp(argv[i], "gic=", 4))
            virt.gic_version = (unsigned)atoi(argv[i] + 4);
        else if (!strcmp(argv[i], "its=1"))
            virt.its = true;
        else if (!strncmp(argv[i], "drive=", 6))
            add_drive(argv[i] + 6);
        else
            parts.devices[parts.ndevices++] = argv[i];
    }
    pc.parts = virt.parts = &parts;
    return is_pc ? pc_create(&m, &pc, err) : virt_create(&m, &virt, err);
}

/* A line of standard input; what was said is out before it is waited for. */
static bool next_line(char *line)
{
    static char held[LINE_BYTES];
    static size_t from, to;
    size_t n = 0;

    for (;;) {
        while (from < to && n < LINE_BYTES - 1) {
            line[n] = held[from++];
            if (line[n++] == '\n') {
                line[n] = 0;
                return true;
            }
        }
        fflush(stdout);
        from = 0;
        ssize_t got = read(0, held, sizeof(held));
        if (got <= 0)
            return false;
        to = (size_t)got;
    }
}

int main(int argc, char **argv)
{
    static const struct machine_env env = {.host_clock = host_clock};
    static char line[LINE_BYTES];
    struct error err;

    is_pc = argc > 1 && !strcmp(argv[1], "pc");
    if (argc < 2 || (!is_pc && strcmp(argv[1], "virt"))) {
        fprintf(stderr, "usage: qtest_board pc|virt [KEY=VALUE | DEVICE...]\n");
        return 2;
    }
    if (create(argc, argv, &err) < 0) {
        fprintf(stderr, "qtest_board: %s\n", err.text);
        return 2;
    }
    m->env = &env;
    m->runner = m->cpus[0];
    if (is_pc)
        lines = 0;
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    while (next_line(line)) {
        const char *verb = strtok(line, " \n");

        if (verb)
            obey(verb);
    }
    machine_destroy(m);
    return 0;
}
