/*
 * hindcast: reads the images, builds the machine, starts the server.
 *
 * Exit status: 0 normal end; 1 an option, file or address cannot be used; with
 * --run --listen none what the guest's end says (options.c, --help).
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aarch64/virt.h"
#include "base/buffer.h"
#include "host/code_memory.h"
#include "host/file.h"
#include "host/host_memory.h"
#include "host/output.h"
#include "host/poller.h"
#include "host/writer.h"
#include "i386/cpu.h"
#include "i386/pc.h"
#include "server/backends.h"
#include "server/drives.h"
#include "server/images.h"
#include "server/option_usb.h"
#include "server/options.h"
#include "server/recordings.h"
#include "server/server.h"

#define STATUS_UNUSABLE 1
/* Address space for compiled guest code; memory is used as far as there is code. */
#define CODE_BYTES ((size_t)64 << 20)

/* What a machine is made with, besides the options. */
struct supplies {
    struct images images;
    struct drives drives;
};

static int fail(const struct error *err)
{
    fprintf(stderr, "hindcast: %s\n", err->text);
    return STATUS_UNUSABLE;
}

/* What is no board's. */
static int settle_machine(struct machine *m, const struct options *o)
{
    m->follow_host_clock = o->clock.follows_host;
    return 0;
}

/* In *out, what is plugged in, with its option ROMs. */
static const struct machine_parts *parts_with_roms(const struct supplies *su, struct machine_parts *out)
{
    *out = su->drives.parts;
    out->roms = images_of(&su->images, IMAGE_DEVICE_ROM, &out->nroms);
    return out;
}

static int build_virt(struct machine **m, const struct supplies *su, const struct options *o, struct error *err)
{
    const struct images *im = &su->images;
    struct virt_config c = VIRT_CONFIG_INIT;
    struct machine_parts parts;

    c.memory_bytes = o->memory_bytes;
    c.topology = o->topology;
    c.schedule = o->schedule;
    c.cpu_model = o->cpu;
    c.gic_version = o->gic_version;
    c.its = o->its;
    c.secure = o->secure;
    c.virtualization = o->virtualization;
    c.lowmem = o->lowmem;
    c.spin_table = o->spin_table;
    c.kernel = images_first(im, IMAGE_KERNEL);
    c.bios = images_first(im, IMAGE_BIOS);
    c.pflash[0] = images_first(im, IMAGE_PFLASH0);
    c.pflash[1] = images_first(im, IMAGE_PFLASH1);
    c.initrd = images_first(im, IMAGE_MODULE);
    if (o->dumpdtb && !c.kernel.data && !c.bios.data && !c.pflash[0].data)
        c.bios = (struct boot_image){.data = "", .name = "empty flash"}; /* a board can be described that starts nothing */
    c.append = o->append;
    c.icount_shift = o->icount_shift;
    c.no_reboot = o->no_reboot;
    c.semihosting = o->semihosting;
    c.semihost_cmdline = o->semihost_cmdline;
    c.parts = parts_with_roms(su, &parts);
    return virt_create(m, &c, err) < 0 ? err->code : settle_machine(*m, o);
}

static int build_pc(struct machine **m, const struct supplies *su, const struct options *o, struct error *err)
{
    const struct images *im = &su->images;
    struct pc_config c = PC_CONFIG_INIT;
    struct machine_parts parts;

    c.memory_bytes = o->memory_bytes;
    c.topology = o->topology;
    c.schedule = o->schedule;
    c.cpu_model = o->cpu;
    c.gdb_arch = o->gdb_arch;
    c.kernel = images_first(im, IMAGE_KERNEL);
    c.bios = images_first(im, IMAGE_BIOS);
    for (unsigned n = 0; n < OPTIONS_MAX_PFLASH; n++) {
        c.pflash[n] = images_first(im, IMAGE_PFLASH0 + n);
        c.pflash_read_only[n] = o->flash_read_only[n];
    }
    c.vga_bios = images_first(im, IMAGE_VGA_BIOS);
    c.roms = images_of(im, IMAGE_ROM, &c.nroms);
    c.modules = images_of(im, IMAGE_MODULE, &c.nmodules);
    c.vga = !strncmp(o->vga, "std", 3) ? PC_VGA_STD : !strncmp(o->vga, "virtio", 6) ? PC_VGA_VIRTIO : PC_VGA_NONE;
    c.vga_is_device = o->vga_text;
    c.vga_options = c.vga == PC_VGA_VIRTIO || strchr(o->vga, ',') ? o->vga : NULL;
    c.serial_count = o->serial_ports > c.serial_count ? o->serial_ports : c.serial_count;
    c.serial_out2 = o->serial_out2;
    c.hpet = o->hpet;
    c.s3 = o->s3;
    c.smbios = o->smbios;
    c.nsmbios = o->smbios_count;
    c.uuid = o->uuid;
    c.smbios_64 = o->smbios_64;
    c.append = o->append;
    c.pcspk_audiodev = *o->pcspk_audiodev ? o->pcspk_audiodev : NULL;
    c.icount_shift = o->icount_shift;
    c.no_reboot = o->no_reboot;
    c.debug_exit_count = o->debug_exit_count;
    memcpy(c.debug_exit_ports, o->debug_exit, sizeof c.debug_exit_ports);
    c.parts = parts_with_roms(su, &parts);
    return pc_create(m, &c, err) < 0 ? err->code : settle_machine(*m, o);
}

/* Without the JIT the guest is slower and otherwise the same: that is worth a message only. */
static int choose_engine(struct machine *m, const struct options *o, struct error *err)
{
    struct code_memory memory = {0};
    int r;

    if (o->engine == ENGINE_INTERPRETER)
        return 0;
    r = code_memory_map(&memory, CODE_BYTES, err);
    if (r == 0 && ucpu_use_jit((struct ucpu *)(void *)m->cpus[0], &memory, 0))
        return 0;
    if (r == 0) {
        code_memory_unmap(&memory);
        r = error_set(err, -ENOSYS, "there is no JIT for this host, or not in this build");
        if (o->engine == ENGINE_AUTO)
            return 0;
    }
    if (o->engine == ENGINE_AUTO) {
        fprintf(stderr, "hindcast: %s; the guest is interpreted, which is slower\n", err->text);
        return 0;
    }
    machine_destroy(m);
    return r;
}

/* The machine that the options ask for, or else the kernel. */
static int build_machine(struct machine **m, struct supplies *su, struct options *o, struct recording *replay,
                         struct error *err)
{
    struct boot_image kernel = images_first(&su->images, IMAGE_KERNEL), flash = images_first(&su->images, IMAGE_PFLASH0);
    struct boot_image firmware = flash.data ? flash : images_first(&su->images, IMAGE_BIOS);
    /* A kernel that is another's is told so by the board that it is not for: it cannot stay in firmware's hands unseen. */
    bool for_virt = virt_recognises(kernel.data, kernel.len) ||
                    (flash.data && !pc_is_firmware(flash.data, flash.len) && !boot_image_elf_machine(&kernel));
    int r;

    /* Nothing to boot: a device tree is asked for, which only that board has. */
    for_virt = for_virt || (o->dumpdtb && !kernel.data && !pc_is_firmware(firmware.data, firmware.len));
    if (!o->cpu && o->kind != MACHINE_VIRT && !(o->kind == MACHINE_BY_KERNEL && for_virt) &&
        (pc_is_64bit(firmware.data, firmware.len) || pc_is_64bit(kernel.data, kernel.len)))
        o->cpu = "qemu64";
    r = options_settle(o, for_virt, err);

    if (r == 0)
        r = option_usb_settle(&o->drives, err);
    if (r == 0)
        r = drives_open(&su->drives, o, replay, err);
    if (r < 0)
        return r;
    r = o->kind == MACHINE_VIRT ? build_virt(m, su, o, err) : build_pc(m, su, o, err);
    if (r == 0)
        r = choose_engine(*m, o, err);
    return r;
}

/* What has an effect only later, and only if somebody asks for it. */
static void tell_of_late_effects(const struct options *o)
{
    if (!o->record && (o->embed || o->checkpoint_steps))
        fprintf(stderr, "hindcast: --%s is for what monitor save writes: there is no --record FILE\n",
                o->embed ? "embed" : "checkpoints-in-file");
}

/* gdb can read symbols from it. */
static bool is_elf(const struct boot_image *b)
{
    return b->len >= 4 && !memcmp(b->data, "\177ELF", 4);
}

/* Whose history is saved when an invariant of hindcast breaks. */
static struct server *panicking;

static void on_panic(void)
{
    if (panicking)
        server_rescue(panicking);
}

/* What another machine is made from. */
struct twin {
    const struct options *o;
    const struct supplies *su;
};

static struct machine *make_twin(void *ctx, struct error *err)
{
    const struct twin *t = ctx;
    struct machine *m;
    int r = t->o->kind == MACHINE_VIRT ? build_virt(&m, t->su, t->o, err) : build_pc(&m, t->su, t->o, err);

    if (r == 0)
        r = choose_engine(m, t->o, err);
    return r == 0 ? m : NULL;
}

static int serve(const struct options *o, struct supplies *su, struct machine *m, struct recording *replay)
{
    struct twin twin = {o, su};
    struct images *im = &su->images;
    const struct boot_image kernel = images_first(im, IMAGE_KERNEL);
    struct recordings_text text;
    struct server_config c = {
        .machine = m,
        .make_machine = make_twin,
        .make_ctx = &twin,
        .checkpoint_bytes = options_checkpoint_bytes(o, host_memory_bytes()),
        .clock = o->clock,
        .seeded = o->seeded,
        .seed = o->seed,
        .sleep = o->sleep,
        .listener = {.fd = -1},
        .gdb_stdio = o->gdb_stdio,
        .run = o->run,
        .hold = o->hold,
        .exit_at_end = o->run && !o->listen && !o->gdb_stdio,
        .version = PACKAGE_VERSION,
        .record = o->record,
        .force = o->force,
        .checkpoint_steps = o->checkpoint_steps,
        .replay = replay,
        .replay_name = o->replay,
        .continue_live = o->continue_live,
        .ignore_checkpoints = o->ignore_checkpoints,
        .drives = &su->drives,
        .symbols = is_elf(&kernel) ? kernel.name : NULL,
        .small_cpu = o->usual_cpu && o->kind == MACHINE_PC && m->cpus[0]->ops->address_bits == 32 && !kernel.data ? "qemu64" : NULL,
        .triple = o->kind == MACHINE_VIRT ? "aarch64-unknown-unknown" : m->cpus[0]->ops->address_bits == 64 ? "x86_64-unknown-unknown" : "i386-unknown-unknown",
    };
    struct error err = {0};
    struct server *s;
    int status;

    for (unsigned i = 0; i < OPTIONS_MAX_PFLASH; i++) {
        const struct boot_image bank = images_first(im, IMAGE_PFLASH0 + i);

        if (o->write_back[i])
            c.flash[i] = (struct server_flash){bank.name, bank.data, bank.len};
    }
    if (backends_open(&c, o, &err) < 0) {
        backends_close(&c);
        machine_destroy(m);
        return fail(&err);
    }
    tell_of_late_effects(o);
    recordings_describe(o, PACKAGE_VERSION, &text);
    images_describe(im, o->embed);
    c.description = (struct server_description){
        (const char *const (*)[2])text.pairs, text.npairs, im->described, im->count,
    };
    s = server_create(&c, &err);
    if (s) {
        panicking = s;
        panic_hook = on_panic;
        status = server_run(s);
        panicking = NULL;
        server_destroy(s);
    } else {
        status = fail(&err);
    }
    recordings_text_finish(&text);
    return status;
}

static int dump_device_tree(const char *path, bool force, struct machine *m)
{
    struct error err = {0};
    size_t len;
    const void *dtb = virt_device_tree(m, &len);
    int r = host_write_file(path, dtb, len, HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), &err);

    machine_destroy(m);
    return r < 0 ? fail(&err) : 0;
}

static void supplies_destroy(struct supplies *su)
{
    images_finish(&su->images);
    drives_close(&su->drives);
    free(su);
}

static void tell_of_drives(const struct supplies *su, const struct machine *m)
{
    struct buffer b;

    buffer_init(&b);
    drives_remark(&su->drives, m, &b);
    if (b.len)
        fwrite(b.data, 1, b.len, stderr);
    buffer_finish(&b);
}

static int boot(struct options *o)
{
    struct supplies *su = xcalloc(1, sizeof *su);
    struct error err = {0};
    struct machine *m;
    int status;

    if (images_load(&su->images, o, &err) < 0 || build_machine(&m, su, o, NULL, &err) < 0) {
        status = fail(&err);
    } else if (o->dumpdtb) {
        status = dump_device_tree(o->dumpdtb, o->force, m);
    } else {
        tell_of_drives(su, m);
        status = serve(o, su, m, NULL);
    }
    supplies_destroy(su);
    return status;
}

struct recorded {
    struct supplies *su;
    struct options *o;
    struct recording *r;
};

static int build_recorded(void *ctx, struct machine **m, struct error *err)
{
    const struct recorded *d = ctx;

    return build_machine(m, d->su, d->o, d->r, err);
}

/* --replay and `hindcast verify`: the machine is the recording's. */
static int boot_recorded(struct options *o, struct recording *r)
{
    struct supplies *su = xcalloc(1, sizeof *su);
    struct recorded d = {su, o, r};
    struct error err = {0};
    struct machine *m;
    int status;

    if (recordings_configure(r, o, &err) < 0 || images_load_recorded(&su->images, r, o, &err) < 0) {
        status = fail(&err);
    } else {
        if (o->command == OPTIONS_VERIFY)
            status = recordings_verify(o, r, &su->drives, build_recorded, &d);
        else if (build_machine(&m, su, o, r, &err) < 0)
            status = fail(&err);
        else
            status = serve(o, su, m, r);
    }
    supplies_destroy(su);
    return status;
}

static int replay(struct options *o)
{
    struct error err = {0};
    struct host_reader file;
    struct recording *r;
    int status;

    r = xcalloc(1, sizeof *r);
    if (recordings_load(o->replay, &file, o->command == OPTIONS_VERIFY, r, &err) < 0) {
        status = fail(&err);
    } else {
        if (*r->note && o->command == OPTIONS_SERVE)
            fprintf(stderr, "hindcast: %s: %s; its history is used as far as it is whole, to position %llu\n",
                    o->replay, r->note, (unsigned long long)r->edge);
        if (o->command == OPTIONS_SERVE)
            recordings_tell_harms(r, stderr, "hindcast: ");
        status = boot_recorded(o, r);
        recording_finish(r);
    }
    free(r);
    host_reader_close(&file);
    return status;
}

static bool has_key(const struct device_model *d, const char *key)
{
    for (const struct option_key *k = d->keys; k && k->name; k++)
        if (!strcmp(k->name, key))
            return true;
    return false;
}

/* --device help; of those that have the property `key`. NULL: of all. */
static void list_devices(const char *key)
{
    for (const struct device_model *d = device_models; d->name; d++)
        if (!key || has_key(d, key))
            printf("%-22s %-5s %s\n", d->name, d->bus, d->text);
}

/* --device NAME,help: each property, and its values. */
static void list_properties(const struct device_model *d)
{
    struct option_key keys[PARTS_MAX_KEYS];

    parts_model_keys(d, keys);
    printf("%s: %s (%s)\n", d->name, d->text, d->bus);
    for (const struct option_key *k = keys; k->name; k++)
        if (strcmp(k->name, "driver") != 0)
            printf("  %s=%s\n", k->name, k->values ? k->values : "TEXT");
}

/* --cpu help */
static void list_cpus(void)
{
    printf("pc: %s\nvirt: %s\nflags (pc: --cpu MODEL,+FLAG,-FLAG,FLAG=on|off):", i386_model_names, a64_model_names);
    for (unsigned n = 0; i386_flag_name(n); n++)
        printf("%s%s", n % 14 ? " " : "\n  ", i386_flag_name(n));
    printf("\nproperties (pc): pmu=on|off vendor=TEXT model-id=TEXT family=N model=N stepping=N level=N xlevel=N phys-bits=N\n");
}

static int run(int argc, char **argv, struct options *o)
{
    struct error err = {0};

    switch (options_parse(argc, argv, o, &err)) {
    case OPTIONS_HELP:
        options_print_help(i386_model_names, a64_model_names);
        return 0;
    case OPTIONS_VERSION:
        printf("hindcast %s\n", PACKAGE_VERSION);
        return 0;
    case OPTIONS_DEVICES:
        if (o->drives.device_asked)
            list_properties(o->drives.device_asked);
        else
            list_devices(NULL);
        return 0;
    case OPTIONS_CARDS:
        list_devices("netdev");
        return 0;
    case OPTIONS_CPUS:
        list_cpus();
        return 0;
    case OPTIONS_MACHINES:
        options_print_machines();
        return 0;
    case OPTIONS_BAD:
        return fail(&err);
    case OPTIONS_GO:
        break;
    }
    if (o->completion) {
        options_print_completion(o->completion);
        return 0;
    }
    if (o->gdb_helper) {
        options_print_gdb_helper();
        return 0;
    }
    host_signals_install();
    host_output_spare_program();
    if (o->command == OPTIONS_INFO)
        return recordings_info(o->replay, o->json);
    return o->replay ? replay(o) : boot(o);
}

int main(int argc, char **argv)
{
    struct options o;
    int status;

    host_memory_keep_freed();
    status = run(argc, argv, &o);
    options_finish(&o);
    return status;
}
