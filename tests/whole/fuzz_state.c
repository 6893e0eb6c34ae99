/*
 * States that no machine was ever in: what a checkpoint in a recording from a
 * stranger may hold. A guest is run for a while, its arena is changed at random, and
 * whatever machine_impossible_part() lets pass must not bring hindcast down: not when
 * it runs on, not when devices are accessed, not when a debugger looks at it. Some
 * such states go the whole way: into a recording's checkpoint, hashes and checksums in
 * order, and from there into another machine.
 *
 *     fuzz_state pc|virt KERNEL [ROUNDS [SEED [COMPONENT]]]
 *
 * A round that hangs ends the program by SIGALRM; its number is told, and is the SEED
 * (with 1 round) to try it again alone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "aarch64/virt.h"
#include "checkpoint/checkpoint.h"
#include "i386/pc.h"
#include "i386/pc/board.h"
#include "image_file.h"
#include "replay/recorder.h"

#define WARM_STEPS 3000000u
#define STEPS      100000u
#define POKES      300u
#define PATIENCE_S 60 /* of the processor, for a round */
/* One in so many goes by way of a file. */
#define FILE_ROUNDS 20

static uint64_t rng;
static uint64_t round_now;

static uint32_t roll(uint32_t n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return n ? (uint32_t)(rng >> 33) % n : 0;
}

static void on_alarm(int sig)
{
    char text[64];
    int n = snprintf(text, sizeof text, "fuzz_state: round %llu hangs\n", (unsigned long long)round_now);

    (void)sig;
    if (write(2, text, (size_t)n) < 0)
        _exit(3);
    abort();
}

/* SIGPROF after so many seconds of processor time; 0: never. */
static void be_patient(long seconds)
{
    const struct itimerval t = {.it_value.tv_sec = seconds};

    setitimer(ITIMER_PROF, &t, NULL);
}

/* A drive for everything that takes one. */
static void add_drive(struct machine_parts *p, const char *name, enum drive_media media, enum drive_interface interface,
                      unsigned index)
{
    p->drives[p->ndrives++] = (struct drive_part){
        .interface = interface, .index = index,
        .config = {.name = name, .media = media, .size = media == DRIVE_FLOPPY ? 1440 << 10 : 1 << 20,
                   .sector_size = media == DRIVE_CDROM ? 2048 : 512, .read_only = media == DRIVE_CDROM, .latency_ns = DRIVE_LATENCY_NS, .rate = DRIVE_RATE}};
}

static const struct machine_parts *make_parts(bool pc)
{
    static const char *const devices[] = {
        "nvme,drive=n0,serial=1", "ich9-ahci", "ide-hd,drive=a0", "ide-cd,drive=a1", "virtio-blk-pci,drive=b0",
        "virtio-scsi-pci", "scsi-hd,drive=s0", "scsi-cd,drive=s1", "sdhci-pci", "sd-card,drive=c0", "piix3-usb-uhci", "usb-tablet",
        "usb-hub", "usb-ehci,id=e", "usb-hub,bus=e", "usb-kbd,bus=e",
        "usb-host,bus=e,vendorid=1,speed=high,descriptors=12010002000000406b1ddefa0001000100010902200001010080320904000002ff000000"
        "07058102000200" "07050202000200", "qemu-xhci,id=x", "usb-kbd,bus=x", "usb-mouse,bus=x", "usb-storage,bus=x,drive=u0", "usb-serial,bus=x,chardev=c",
        "bochs-display,vgamem=4M", "secondary-vga", "ramfb", "virtio-gpu-pci", "pci-testdev",
        "virtio-blk-device,drive=m0", "virtio-scsi-device"};
    static const char *const names[] = {"n0", "a0", "a1", "b0", "s0", "s1", "c0", "u0", "m0"};
    static struct machine_parts p;

    p = (struct machine_parts){.ndrives = 0};
    if (pc) {
        add_drive(&p, "f0", DRIVE_FLOPPY, DRIVE_IF_FLOPPY, 0);
        add_drive(&p, "h0", DRIVE_DISK, DRIVE_IF_IDE, 0);
        add_drive(&p, "h1", DRIVE_CDROM, DRIVE_IF_IDE, 1);
    }
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (!pc || i != 8)
            add_drive(&p, names[i], i == 2 || i == 5 ? DRIVE_CDROM : DRIVE_DISK, DRIVE_IF_NONE, 0);
    for (unsigned i = 0; i < ARRAY_LEN(devices); i++)
        if (!pc || i < 27)
            p.devices[p.ndevices++] = devices[i];
    p.devices[p.ndevices++] = "AC97,audiodev=A";
    p.devices[p.ndevices++] = "intel-hda";
    p.devices[p.ndevices++] = "hda-duplex,audiodev=A";
    if (pc) {
        p.devices[p.ndevices++] = "pc-testdev";
        p.devices[p.ndevices++] = "e1000e";
    }
    return &p;
}

/* `b` must stay. */
static struct machine *make_machine(const char *board, const char *kernel, struct buffer *image)
{
    struct machine *m = NULL;
    struct error err = {0};
    struct buffer b;
    int r;

    if (!read_image(kernel, &b))
        return NULL;
    *image = b;
    if (!strcmp(board, "virt")) {
        struct virt_config c = VIRT_CONFIG_INIT;

        c.memory_bytes = 16 << 20;
        c.kernel = (struct boot_image){.data = b.data, .len = b.len, .name = kernel};
        c.gic_version = roll(2) + 2;
        c.secure = c.virtualization = true;
        c.parts = make_parts(false);
        r = virt_create(&m, &c, &err);
    } else {
        struct pc_config c = PC_CONFIG_INIT;

        c.memory_bytes = 16 << 20;
        c.kernel = (struct boot_image){.data = b.data, .len = b.len, .name = kernel};
        c.parts = make_parts(true);
        c.pcspk_audiodev = "A";
        r = pc_create(&m, &c, &err);
    }
    if (r < 0)
        fprintf(stderr, "fuzz_state: %s\n", err.text);
    return r < 0 ? NULL : m;
}

/* A number that somebody may not have thought of. */
static uint64_t odd_number(const struct machine *m)
{
    switch (roll(8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX >> roll(64);
    case 2:
        return (uint64_t)1 << roll(64);
    case 3:
        return roll(300);
    case 4:
        return (uint64_t)0 - roll(300);
    case 5:
        return machine_now(m) + roll(2000) - 1000;
    case 6:
        return (uint64_t)roll(UINT32_MAX) << roll(33);
    default:
        return (uint64_t)roll(UINT32_MAX) << 32 | roll(UINT32_MAX);
    }
}

static void change(struct machine *m, unsigned component)
{
    const struct component *c = &m->components[component];
    unsigned size = 1u << roll(4);
    uint64_t value = odd_number(m);
    uint32_t at;

    if (c->size < size)
        return;
    at = roll(c->size / size) * size;
    /* Where it is, and when, the file has said already. */
    if (component == 0 && at < 16)
        return;
    memcpy(m->arena + c->offset + at, &value, size);
}

static void poke(struct machine *m, bool pc)
{
    for (unsigned i = 0; i < POKES; i++) {
        const struct region *r = &m->memory.regions[roll(m->memory.nregions)];
        unsigned size = 1u << roll(4);

        if (pc && roll(2)) {
            struct pc *board = m->board;
            const struct port_range *p = &board->ports.ranges[roll(board->ports.nranges)];
            uint16_t port = (uint16_t)(p->base + roll(p->len));

            size = size > 4 ? 4 : size;
            if (roll(2))
                ports_read(&board->ports, port, size);
            else
                ports_write(&board->ports, port, size, (uint32_t)odd_number(m));
        } else if (r->dev) {
            paddr_t at = r->base + (roll(r->size > UINT32_MAX ? UINT32_MAX : (uint32_t)r->size) & ~(uint64_t)(size - 1));

            if (roll(2))
                memory_read(&m->memory, at, size);
            else
                memory_write(&m->memory, at, size, odd_number(m));
        }
    }
}

/* What a debugger sees. */
static void look(struct machine *m)
{
    const struct cpu_ops *ops = m->cpus[0]->ops;
    struct buffer text;
    uint8_t value[64];
    paddr_t pa;

    buffer_init(&text);
    for (unsigned i = 0; i < ops->nregs; i++)
        ops->read_reg(m->cpus[0], i, value);
    if (ops->describe)
        ops->describe(m->cpus[0], &text);
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->ops->describe)
            m->devices[i]->ops->describe(m->devices[i], &text);
    for (unsigned i = 0; i < 50; i++)
        ops->translate(m->cpus[0], odd_number(m), &pa);
    ops->pc(m->cpus[0]);
    ops->in_progress(m->cpus[0]);
    buffer_finish(&text);
}

static void give_input(struct machine *m)
{
    static const uint8_t bytes[] = "\1\0\2\0\3\0\4\0";

    for (unsigned i = 0; i < m->ndevices; i++) {
        const struct event e = {.kind = EVENT_INPUT, .source = (uint16_t)i, .len = 8, .data = bytes};
        struct device *d = m->devices[i];

        if (d->ops->input && (!d->ops->input_room || d->ops->input_room(d)))
            d->ops->input(d, &e);
    }
}

static void run(struct machine *m, uint32_t steps)
{
    icount_t until = m->st->position + steps;
    struct stop stop;

    do {
        machine_run(m, until, &stop);
        if (stop.kind == STOP_IDLE && stop.wake != VTIME_NEVER && stop.wake >= machine_now(m))
            machine_warp(m, stop.wake);
        else if (stop.kind != STOP_LIMIT)
            return;
    } while (m->st->position < until && roll(2000));
}

static bool one_round(struct machine *m, struct checkpoint_store *s, struct checkpoint *c, bool pc, int component)
{
    checkpoint_restore(s, c);
    for (unsigned n = 1 + roll(6) * roll(6); n; n--)
        change(m, component >= 0 ? (unsigned)component : roll(m->ncomponents));
    if (machine_impossible_part(m)) {
        checkpoint_restore(s, c);
        return false;
    }
    machine_restored(m);
    look(m);
    give_input(m);
    run(m, STEPS);
    poke(m, pc);
    run(m, STEPS / 10);
    look(m);
    return true;
}

/* ---- by way of a file ---- */

/* A state may have a long way before it, of empty time. A user can interrupt that. (What the clock shows here is the
 * time that this process has had: a busy host makes nobody impatient.) */
#define USER_PATIENCE_NS 300000000u

struct user {
    uint64_t since;
    bool patient; /* until nothing will happen any more */
    bool enough;
};

static uint64_t host_now(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t host_wall(void *ctx)
{
    (void)ctx;
    return 1700000000000000000u;
}

static void host_entropy(void *ctx, void *buf, size_t len)
{
    (void)ctx;
    memset(buf, 1, len);
}

/* Nothing will wake it: enough. */
static uint64_t host_wait(void *ctx, uint64_t ns)
{
    ((struct user *)ctx)->enough = true;
    return ns == UINT64_MAX ? 1 : ns;
}

static bool host_poll(void *ctx)
{
    struct user *u = ctx;

    return u->enough || (!u->patient && host_now(NULL) - u->since > USER_PATIENCE_NS);
}

static struct timeline *make_timeline(struct machine *m, bool live, struct user *user)
{
    const struct timeline_config config = {.live = live};
    const struct timeline_host host = {
        .ctx = user, .now_ns = host_now, .wall_clock_ns = host_wall, .entropy = host_entropy,
        .wait = host_wait, .poll = host_poll,
    };

    *user = (struct user){.since = host_now(NULL)};
    return timeline_create(m, &config, &host);
}

static int write_file(void *ctx, const void *data, size_t len)
{
    buffer_append(ctx, data, len);
    return 0;
}

/* A recording whose one checkpoint holds a state that was made up. */
static void write_recording(struct buffer *file, const char *board, const char *kernel, int component)
{
    const struct recorder_config config = {.ctx = file, .write = write_file, .checkpoint_steps = 1};
    struct buffer image = {0};
    struct machine *m = make_machine(board, kernel, &image);
    struct timeline_stop stop;
    struct recorder *rec;
    struct timeline *tl;
    struct user user;

    tl = make_timeline(m, true, &user);
    rec = recorder_create(tl, &config);
    user.patient = true;
    timeline_seek(tl, 500000 + roll(1000000), &stop);
    for (unsigned n = 1 + roll(6); n; n--)
        change(m, component >= 0 ? (unsigned)component : roll(m->ncomponents));
    timeline_checkpoint(tl);
    recorder_close(rec);
    recorder_destroy(rec);
    timeline_destroy(tl);
    buffer_finish(&image);
}

/* Did it come through? */
static bool file_round(const char *board, const char *kernel, int component)
{
    struct buffer file = {0}, image = {0};
    struct timeline_stop stop;
    struct error err = {0};
    struct recording r;
    struct timeline *tl;
    uint64_t state = rng;
    struct user user;
    bool came = false;

    write_recording(&file, board, kernel, component);
    if (recording_open(&r, file.data, file.len, &err) < 0 || r.ncheckpoints != 1) {
        fprintf(stderr, "fuzz_state: the recording does not open: %s\n", err.text);
        abort();
    }
    /* The same choices of hardware. */
    rng = state;
    tl = make_timeline(make_machine(board, kernel, &image), true, &user);
    if (recorder_check_machine(&r, timeline_machine(tl), &err) == 0 && recorder_adopt(tl, &r, true, &err) == 0) {
        struct recorder_checks *k = recorder_checks_create(tl, &r);

        came = !*r.note;
        user.since = host_now(NULL);
        timeline_seek(tl, r.checkpoints[0].position, &stop);
        timeline_seek(tl, r.checkpoints[0].position + STEPS, &stop);
        timeline_step(tl, BACKWARD, TIMELINE_ALL_CPUS, &stop);
        look(timeline_machine(tl));
        recorder_checks_destroy(k);
    } else {
        fprintf(stderr, "fuzz_state: %s\n", err.text);
    }
    timeline_destroy(tl);
    recording_finish(&r);
    buffer_finish(&file);
    buffer_finish(&image);
    return came;
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 3 ? strtoull(argv[3], NULL, 0) : 1000, seed = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
    uint64_t passed = 0;
    struct checkpoint_store *s;
    struct checkpoint *c;
    struct buffer image = {0};
    struct machine *m;
    int component = -1;

    if (argc < 3) {
        fprintf(stderr, "usage: fuzz_state pc|virt KERNEL [ROUNDS [SEED [COMPONENT]]]\n");
        return 2;
    }
    rng = seed;
    m = make_machine(argv[1], argv[2], &image);
    if (!m)
        return 2;
    for (unsigned i = 0; argc > 5 && i < m->ncomponents; i++)
        if (!strcmp(m->components[i].name, argv[5]))
            component = (int)i;
    signal(SIGPROF, on_alarm);
    s = checkpoint_store_create(m, (uint64_t)256 << 20);
    m->stop_when_idle = true;
    run(m, WARM_STEPS);
    if (m->between)
        machine_restored(m);
    c = checkpoint_take(s, CHECKPOINT_AUTO);
    if (machine_impossible_part(m)) {
        fprintf(stderr, "fuzz_state: the machine is in a state that it finds impossible: %s\n", machine_impossible_part(m));
        return 1;
    }
    for (uint64_t i = 0; i < rounds; i++) {
        round_now = seed + i;
        if (getenv("VERBOSE"))
            fprintf(stderr, "round %llu\n", (unsigned long long)round_now);
        rng = round_now * 0x9e3779b97f4a7c15u;
        be_patient(PATIENCE_S);
        passed += one_round(m, s, c, !strcmp(argv[1], "pc"), component);
    }
    printf("fuzz_state %s: %llu rounds, %llu of them with a state that passes\n", argv[1], (unsigned long long)rounds,
           (unsigned long long)passed);
    passed = 0;
    for (uint64_t i = 0; i < rounds / FILE_ROUNDS; i++) {
        round_now = seed + i;
        rng = round_now * 0x9e3779b97f4a7c15u;
        be_patient(PATIENCE_S);
        passed += file_round(argv[1], argv[2], component);
    }
    be_patient(0);
    printf("fuzz_state %s: %llu by way of a file, %llu of them pass\n", argv[1], (unsigned long long)rounds / FILE_ROUNDS,
           (unsigned long long)passed);
    checkpoint_store_destroy(s);
    machine_destroy(m);
    buffer_finish(&image);
    return 0;
}
