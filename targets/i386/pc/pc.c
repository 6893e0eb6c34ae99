/*
 * The PC board: which chips there are, which lines, ports and addresses connect
 * them, and how it is left for a guest that comes without firmware.
 *
 * Ports are those of the PC/AT and the PIIX (290550, 290562); the memory map is
 * in memmap.c.
 *
 * Interrupt lines meet in the PIIX3, which drives the 8259s and the I/O APIC; the
 * 8259s reach the core through LINT0 of the local APIC. A CPU model without APIC
 * gets neither of the two APICs' address ranges.
 *
 * To add a device: its ops in a file of its own, its wiring in board.h, a
 * line in create_devices() and one in claim_ports().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "i386/cpu.h"
#include "i386/fpu.h"
#include "i386/pc/board.h"
#include "i386/pc/smbios.h"
#include "i386/pc/tables.h"
#include "vm/dev/virtio_gpu.h"
#include "vm/gunzip.h"

#define MIN_MEMORY ((uint64_t)1 << 20)
#define PCI_PATH "/pci@i0cf8" /* by the address of its registers (vm/dev/boot_order.h) */
#define FIRST_PCI_PORT   0xc000u
#define FIRST_PCI_MEMORY 0xf0000000u /* up to the display's, without firmware */
#define MAX_MEMORY ((uint64_t)64 << 30)
#define MAX_MEMORY_32 ((uint64_t)3 << 30) /* of a 32-bit CPU: below the hole */

/* ---- lines ---- */

static void cpu_nmi(void *ctx)
{
    i386_raise_nmi(ctx);
}

/* Fits machine.nmi: the line is LINT1 of each local APIC. */
static void nmi(struct machine *m)
{
    struct pc *pc = m->board;

    for (unsigned n = 0; n < m->ncpus; n++)
        if (!pc->apics.apics[n] || !apic_pulse_lint1(pc->apics.apics[n]))
            i386_raise_nmi((struct i386_cpu *)(void *)m->cpus[n]);
}

/* Fits machine.smi: to the first CPU, as the power management's. */
static void board_smi(struct machine *m)
{
    i386_raise_smi((struct i386_cpu *)(void *)m->cpus[0]);
}

/* Fits machine.asleep. */
static bool board_asleep(const struct machine *m)
{
    const struct pc *pc = m->board;

    return piix4_pm_asleep(pc->pm);
}

/* Keyboard and mouse wake a machine that is asleep. Fits ps2_wiring.wakes. */
static bool touch_wakes(void *ctx)
{
    struct pc *pc = ctx;

    if (!piix4_pm_asleep(pc->pm))
        return false;
    piix4_pm_power_button(pc->pm);
    return true;
}

static void cpu_smi(void *ctx)
{
    i386_raise_smi(ctx);
}

static void cpu_init(void *ctx)
{
    i386_raise_init(ctx);
}

static void cpu_startup(void *ctx, uint8_t vector)
{
    i386_startup(ctx, vector);
}

static int cpu_intack(void *ctx)
{
    return apic_acknowledge(ctx);
}

static struct i386_cpu *nth_cpu(const struct pc *pc, unsigned n)
{
    return (struct i386_cpu *)(void *)pc->machine->cpus[n];
}

static void set_a20(struct pc *pc, bool level)
{
    for (unsigned n = 0; n < pc->machine->ncpus; n++)
        i386_set_a20(nth_cpu(pc, n), level);
}

static void a20_from_8042(void *ctx, unsigned n, bool level)
{
    struct pc *pc = ctx;

    (void)n;
    glue_note_a20(pc->glue, level);
    set_a20(pc, level);
}

static void a20_from_port_92(void *ctx, unsigned n, bool level)
{
    struct pc *pc = ctx;

    (void)n;
    i8042_note_a20(pc->i8042, level);
    set_a20(pc, level);
}

static void assert_ignne(void *ctx, unsigned n, bool level)
{
    struct pc *pc = ctx;

    (void)n;
    for (unsigned i = 0; level && i < pc->machine->ncpus; i++)
        i386_fpu_ignne(nth_cpu(pc, i));
}

static void map_changed(void *ctx)
{
    struct pc *pc = ctx;

    if (pc->ready)
        pc_update_map(pc);
}

static void pm_map_changed(void *ctx)
{
    struct pc *pc = ctx;
    uint16_t base = piix4_pm_base(pc->pm);

    if (pc->ready)
        ports_move(&pc->ports, pc->pm_ports, base, base != 0);
}

static void vga_map_changed(void *ctx)
{
    struct pc *pc = ctx;

    if (pc->ready)
        pc_update_vga_map(pc);
}

static enum apic_mode apic_mode_of(uint64_t base)
{
    return !(base & APIC_BASE_ENABLE) ? APIC_DISABLED : base & APIC_BASE_X2 ? APIC_X2 : APIC_MEMORY;
}

/* The local APIC of the CPU that runs. `ctx` is what IN and OUT get. */
static struct device *own_apic(void *ctx)
{
    const struct ports *ports = ctx;
    const struct pc *pc = ports->machine->board;

    return pc->apics.apics[ports->machine->runner->index];
}

static void apic_base_written(void *ctx, uint64_t value)
{
    struct device *apic = own_apic(ctx);

    apic_set_mode(apic, apic_mode_of(value));
    pc_update_map(apic->machine->board);
    machine_attention(apic->machine);
}

static bool read_apic_msr(void *ctx, uint32_t n, uint64_t *value)
{
    return apic_msr_read(own_apic(ctx), n, value);
}

static bool write_apic_msr(void *ctx, uint32_t n, uint64_t value)
{
    struct device *apic = own_apic(ctx);
    vtime_t deadline = apic_ops.deadline(apic);
    bool done = apic_msr_write(apic, n, value);

    if (apic_ops.deadline(apic) != deadline)
        machine_attention(apic->machine);
    return done;
}

static void tsc_written(void *ctx)
{
    struct device *apic = own_apic(ctx);

    machine_attention(apic->machine);
    apic_tsc_written(apic);
}

static void pmi(void *ctx)
{
    struct device *apic = own_apic(ctx);

    machine_attention(apic->machine);
    apic_pmi(apic);
}

static unsigned read_cr8(void *ctx)
{
    return apic_cr8(own_apic(ctx));
}

static void write_cr8(void *ctx, unsigned value)
{
    apic_set_cr8(own_apic(ctx), value);
}

static uint64_t cpu_tsc(void *ctx)
{
    return i386_tsc(ctx);
}

static void ioapic_input(void *ctx, unsigned n, bool level)
{
    ioapic_set_pin(ctx, n, level);
}

static struct line isa_irq(struct pc *pc, unsigned irq)
{
    return (struct line){.set = piix3_set_irq, .ctx = pc->piix3, .n = irq};
}

/* ---- devices ---- */

/* Firmware runs from the reset vector; else the board is set up as if some had run. */
static bool has_firmware(const struct pc_config *c)
{
    return c->bios.data || c->pflash[0].data;
}

static struct device *add(struct pc *pc, const struct device_ops *ops, const char *name, void *wiring)
{
    return machine_add_device(pc->machine, ops, name, wiring);
}

static void add_apic(struct pc *pc, unsigned n)
{
    char name[16];

    snprintf(name, sizeof(name), n ? "apic%u" : "apic", n);
    pc->apic_wiring[n] = (struct apic_wiring){.bus = &pc->apics, .id = nth_cpu(pc, n)->apic_id};
    pc->apics.apics[pc->apics.count++] = add(pc, &apic_ops, name, &pc->apic_wiring[n]);
}

/* Receivers of lines come before their senders, so that a reset finds them reset. */
static void create_devices(struct pc *pc)
{
    static const char *const uart_names[PC_MAX_SERIAL] = {"uart0", "uart1", "uart2", "uart3"};

    for (unsigned n = 0; n < pc->machine->ncpus; n++)
        add_apic(pc, n);
    pc->apic = pc->apics.apics[0];
    if (pc->cpu->model->has_apic)
        pc->ioapic = add(pc, &ioapic_ops, "ioapic", &pc->ioapic_wiring);
    pc->pic = add(pc, &pic_ops, "pic", &pc->pic_wiring);
    pc->pci = add(pc, &pci_host_ops, "pci", &pc->pci_bus);
    pc->i440fx = add(pc, &i440fx_ops, "i440fx", &pc->i440fx_wiring);
    pc->piix3 = add(pc, &piix3_ops, "piix3", &pc->piix3_wiring);
    pc->ide = add(pc, &ide_ops, "ide", &pc->ide_wiring);
    pc->pm = add(pc, &piix4_pm_ops, "piix4_pm", &pc->pm_wiring);
    if (pc->config.hpet)
        pc->hpet = add(pc, &hpet_ops, "hpet", &pc->hpet_wiring);
    pc->pit = add(pc, &pit_ops, "pit", &pc->pit_wiring);
    pc->rtc = add(pc, &rtc_ops, "rtc", &pc->rtc_wiring);
    pc->dma = add(pc, &dma_ops, "dma", &pc->dma_wiring);
    pc->glue = add(pc, &glue_ops, "glue", &pc->glue_wiring);
    pc->i8042 = add(pc, &i8042_ops, "i8042", &pc->i8042_wiring);
    pc->kbd = pc->machine->keyboard = add(pc, &ps2kbd_ops, "ps2kbd", &pc->kbd_wiring);
    pc->mouse = pc->machine->mouse = add(pc, &ps2mouse_ops, "ps2mouse", &pc->mouse_wiring);
    pc->debugcon = add(pc, &debugcon_ops, "debugcon", NULL);
    pc->shadow = add(pc, &pc_shadow_ops, "shadow", xcalloc(1, sizeof(uint32_t)));
    if (pc->config.vga != PC_VGA_NONE)
        pc->vga = add(pc, &vga_ops, "vga", &pc->vga_wiring);
    for (unsigned n = 0; n < 2; n++)
        if (pc->config.pflash[n].data)
            pc->flash[n] = add(pc, &cfi_flash_ops, n ? "flash1" : "flash0", &pc->flash_wiring[n]);
    pc->fwcfg = add(pc, &fwcfg_ops, "fwcfg", &pc->fwcfg_wiring);
    for (unsigned n = 0; n < pc->config.serial_count; n++)
        pc->uart[n] = add(pc, &uart16550_ops, uart_names[n], &pc->uart_wiring[n]);
    if (pc->config.pcspk_audiodev) {
        pc->pcspk = add(pc, &pcspk_ops, "pcspk", &pc->pcspk_wiring);
        snprintf(pc->pcspk->backend, sizeof(pc->pcspk->backend), "%s", pc->config.pcspk_audiodev);
        pc->pcspk->backend_kind = BACKEND_AUDIODEV;
    }
}

/* --boot; with drives and no word on it, as QEMU has it: disk, floppy, CD. */
static void take_boot_order(struct pc *pc)
{
    const struct machine_parts *p = pc->config.parts;
    struct rtc_wiring *w = &pc->rtc_wiring;

    if (!p || !(p->ndrives || *p->boot_order || *p->boot_once))
        return;
    snprintf(w->boot_order, sizeof(w->boot_order), "%.3s", *p->boot_order ? p->boot_order : "cad");
    snprintf(w->boot_once, sizeof(w->boot_once), "%.3s", p->boot_once);
}

/* Of PIT (0) and RTC (1): past the event timers, which may replace them. */
static struct line clock_irq(struct pc *pc, unsigned n)
{
    return pc->hpet ? (struct line){.set = hpet_set_legacy, .ctx = pc->hpet, .n = n} : isa_irq(pc, n ? 8 : 0);
}

static void clock_alarm(void *ctx)
{
    struct pc *pc = ctx;

    piix4_pm_rtc_alarm(pc->pm);
}

/* COM1 and COM3 share a line, and COM2 and COM4: it is asserted while one of them does. `n`: which pair. */
static void set_uart_irq(void *ctx, unsigned n, bool level)
{
    static const unsigned irq[2] = {4, 3};
    struct pc *pc = ctx;

    for (unsigned i = n; i < pc->config.serial_count; i += 2)
        level |= uart16550_interrupts(pc->uart[i]);
    piix3_set_irq(pc->piix3, irq[n], level);
}

/* Or is it an edge at masked inputs only, wherever its line is routed? */
static bool pit_is_heard(void *ctx)
{
    const struct pc *pc = ctx;

    if (pc->hpet && hpet_replaces(pc->hpet, 0))
        return false;
    return !pic_is_masked(pc->pic, 0) || (pc->ioapic && !(ioapic_is_masked(pc->ioapic, 0) && ioapic_is_masked(pc->ioapic, 2)));
}

static void connect_lines(struct pc *pc)
{
    for (unsigned n = 0; n < pc->machine->ncpus; n++) {
        struct apic_wiring *w = &pc->apic_wiring[n];

        *w = (struct apic_wiring){
            .bus = w->bus, .id = w->id, .intr = {.set = i386_set_intr, .ctx = nth_cpu(pc, n)}, .pic = pc->pic,
            .ioapic = pc->ioapic, .nmi = cpu_nmi, .smi = cpu_smi, .init = cpu_init, .startup = cpu_startup,
            .tsc = i386_has(nth_cpu(pc, n)->model, FEATURE_TSC_DEADLINE) ? cpu_tsc : NULL, .cpu = nth_cpu(pc, n)};
    }
    pc->ioapic_wiring.bus = &pc->apics;
    pc->pic_wiring.intr = (struct line){.set = apic_set_lint0, .ctx = pc->apic};
    pc->piix3_wiring = (struct piix3_wiring){.pic = pc->pic, .ioapic = pc->ioapic};
    pc->hpet_wiring = (struct hpet_wiring){.irq0 = isa_irq(pc, 0), .irq8 = isa_irq(pc, 8)};
    if (pc->ioapic)
        pc->hpet_wiring.gsi2 = (struct line){.set = ioapic_input, .ctx = pc->ioapic, .n = 2};
    pc->pit_wiring.irq = clock_irq(pc, 0);
    pc->pit_wiring.irq_heard = pit_is_heard;
    pc->pit_wiring.irq_ctx = pc;
    if (pc->pcspk)
        pcspk_connect(pc->pcspk, &pc->pcspk_wiring, pc->pit, &pc->pit_wiring);
    pc->rtc_wiring = (struct rtc_wiring){.irq = clock_irq(pc, 1), .alarm = clock_alarm, .alarm_ctx = pc,
                                         .memory_bytes = pc->config.memory_bytes, .cpus = pc->machine->ncpus};
    take_boot_order(pc);
    pc->pm_wiring =
        (struct piix4_pm_wiring){.sci = isa_irq(pc, PM_SCI_IRQ), .has_s3 = pc->config.s3, .map_changed = pm_map_changed, .map_ctx = pc,
                                 .smi = cpu_smi, .smi_ctx = pc->cpu}; /* of the first CPU, as on QEMU's board: firmware
                                                                       * relocates no other's SMBASE */
    pc->i440fx_wiring = (struct i440fx_wiring){.map_changed = map_changed, .map_ctx = pc};
    pc->vga_wiring = (struct vga_wiring){.map_changed = vga_map_changed, .map_ctx = pc,
                                         .has_rom = pc->config.vga_bios.data != NULL};
    pc->kbd_wiring.ready = (struct line){.set = i8042_set_ready, .ctx = pc->i8042, .n = 0};
    pc->mouse_wiring.ready = (struct line){.set = i8042_set_ready, .ctx = pc->i8042, .n = 1};
    pc->kbd_wiring.wakes = pc->mouse_wiring.wakes = touch_wakes;
    pc->kbd_wiring.wakes_ctx = pc->mouse_wiring.wakes_ctx = pc;
    pc->i8042_wiring = (struct i8042_wiring){.kbd = pc->kbd, .mouse = pc->mouse, .irq1 = isa_irq(pc, 1),
                                             .irq12 = isa_irq(pc, 12), .a20 = {.set = a20_from_8042, .ctx = pc}};
    pc->glue_wiring = (struct glue_wiring){.a20 = {.set = a20_from_port_92, .ctx = pc}, .fpu_irq = isa_irq(pc, 13),
                                           .ignne = {.set = assert_ignne, .ctx = pc}};
    for (unsigned n = 0; n < IDE_CHANNELS; n++)
        pc->ide_wiring.irq[n] = isa_irq(pc, 14 + n);
    for (unsigned n = 0; n < pc->config.serial_count; n++)
        pc->uart_wiring[n] = (struct uart16550_wiring){.irq = {.set = set_uart_irq, .ctx = pc, .n = n % 2},
                                                       .irq_needs_out2 = pc->config.serial_out2};
    pc->cpu->ferr_line = isa_irq(pc, 13);
}

/* A message to the local APICs (SDM 3A, "Message Signalled Interrupts"). */
static bool pci_message(void *ctx, uint32_t requester, paddr_t address, uint32_t data)
{
    struct pc *pc = ctx;

    (void)requester;
    if (address >> 20 != APIC_DEFAULT_BASE >> 20)
        return false;
    apic_message(&pc->apics, (uint8_t)(address >> 12), address >> 2 & 1u, data >> 8 & 7u, (uint8_t)data, data >> 15 & 1u);
    machine_attention(pc->machine);
    return true;
}

/* The bus: what is not memory and not the APICs' is PCI's; PIRQs turn with the slot (290550, table 1). */
static void create_bus(struct pc *pc)
{
    uint64_t low = boot_low_bytes(pc->config.memory_bytes);
    uint64_t high = ((uint64_t)1 << 32) + pc->config.memory_bytes - low;

    pc->pci_bus = (struct pci_bus){
        .machine = pc->machine, .ports = &pc->ports, .turn = 3, .nwindows = 2,
        .windows = {{low, IOAPIC_BASE - low}, {high, ((uint64_t)1 << i386_phys_bits(pc->cpu->model)) - high}},
        .message = pci_message, .message_ctx = pc, .firmware_path = PCI_PATH};
    for (unsigned n = 0; n < PCI_LINES; n++)
        pc->pci_bus.lines[n] = (struct line){.set = piix3_set_pirq, .ctx = pc->piix3, .n = n};
}

static void plug_functions(struct pc *pc)
{
    i440fx_plug(pc->i440fx, &pc->pci_bus);
    piix3_plug(pc->piix3, &pc->pci_bus);
    ide_plug(pc->ide, &pc->pci_bus, PCI_DEVFN(1, 1));
    piix4_pm_plug(pc->pm, &pc->pci_bus);
}

/* The display, in slot 2. */
static int plug_display(struct pc *pc, struct error *err)
{
    const char *what = !pc->config.vga_is_device ? "--vga" : pc->config.vga == PC_VGA_STD ? "--device VGA" : "--device virtio-vga";
    struct option_list props;
    int r = 0;

    if (!pc->vga)
        return 0;
    r = option_list_parse(&props, what, pc->config.vga_options ? pc->config.vga_options : "std,edid=off", "type", NULL, err);
    if (r == 0 && pc->config.vga == PC_VGA_VIRTIO) {
        r = virtio_vga_make(pc->machine, &pc->pci_bus, PCI_DEVFN(2, 0), pc->vga, &props, err);
    } else if (r == 0) {
        vga_plug(pc->vga, &pc->pci_bus, PCI_DEVFN(2, 0));
        r = vga_take_edid(&pc->vga_wiring, &props, err);
    }
    option_list_finish(&props);
    return r;
}

static void claim_video_and_disk_ports(struct pc *pc)
{
    struct ports *p = &pc->ports;

    ports_claim(p, pc->ide, 0x1f0, 8, IDE_COMMAND_0, 4);
    ports_claim(p, pc->ide, 0x3f6, 1, IDE_CONTROL_0, 1);
    ports_claim(p, pc->ide, 0x170, 8, IDE_COMMAND_1, 4);
    ports_claim(p, pc->ide, 0x376, 1, IDE_CONTROL_1, 1);
    if (!pc->vga)
        return;
    ports_claim(p, pc->vga, 0x1ce, 4, VGA_VBE_PORTS, 2);
    ports_claim(p, pc->vga, 0x3b0, 0x30, VGA_PORTS, 1);
}

static const uint16_t uart_base[PC_MAX_SERIAL] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

static void claim_ports(struct pc *pc)
{
    struct ports *p = &pc->ports;

    ports_claim(p, pc->dma, 0x00, 16, DMA_8BIT, 1);
    ports_claim(p, pc->pic, 0x20, 2, PIC_MASTER, 1);
    ports_claim(p, pc->pit, 0x40, 4, PIT_COUNTERS, 1);
    ports_claim(p, pc->i8042, 0x60, 1, I8042_DATA, 1);
    ports_claim(p, pc->pit, 0x61, 1, PIT_PORT_61, 1);
    ports_claim(p, pc->i8042, 0x64, 1, I8042_COMMAND, 1);
    ports_claim(p, pc->rtc, 0x70, 4, 0, 1);
    ports_claim(p, pc->dma, 0x80, 16, DMA_PAGES, 1);
    ports_claim(p, pc->glue, 0x92, 1, GLUE_PORT_92, 1);
    ports_claim(p, pc->pic, 0xa0, 2, PIC_SLAVE, 1);
    ports_claim(p, pc->pm, 0xb2, 2, PM_APM, 1);
    ports_claim(p, pc->dma, 0xc0, 32, DMA_16BIT, 1);
    ports_claim(p, pc->debugcon, 0xe9, 1, 0, 1);
    ports_claim(p, pc->glue, 0xf0, 2, GLUE_FPU, 1);
    for (unsigned n = 0; n < pc->config.serial_count; n++)
        ports_claim(p, pc->uart[n], uart_base[n], UART16550_PORTS, 0, 1);
    claim_video_and_disk_ports(pc);
    ports_claim(p, pc->pic, 0x4d0, 2, PIC_ELCR, 1);
    ports_claim(p, pc->fwcfg, 0x510, 12, 0, 4);
    pc->pm_ports = ports_claim(p, pc->pm, 0, PM_IO_BYTES, PM_IO, 4);
    ports_move(p, pc->pm_ports, 0, false);
    ports_claim(p, pc->pci, 0xcf8, 4, PCI_HOST_ADDRESS, 4);
    ports_claim(p, pc->piix3, 0xcf9, 1, 0, 1);
    ports_claim(p, pc->pci, 0xcfc, 4, PCI_HOST_DATA, 4);
    for (unsigned n = 0; n < pc->config.debug_exit_count; n++)
        ports_claim(p, pc->glue, pc->config.debug_exit_ports[n], 4, GLUE_DEBUG_EXIT, 4);
    for (unsigned n = 0; n < pc->machine->ncpus; n++) {
        struct i386_cpu *c = nth_cpu(pc, n);

        c->io_read = ports_read;
        c->io_write = ports_write;
        c->io_ctx = p;
        c->intack = cpu_intack;
        c->intack_ctx = pc->apics.apics[n];
        c->apic_base_written = apic_base_written;
        if (!c->model->has_apic)
            continue;
        c->apic_msr_read = read_apic_msr;
        c->apic_msr_write = write_apic_msr;
        c->tsc_written = tsc_written;
        c->pmi = pmi;
        c->cr8_read = read_cr8;
        c->cr8_write = write_cr8;
    }
}

/* ---- topology ---- */

static unsigned cpu_count(const struct pc_config *c)
{
    return c->topology.cpus ? c->topology.cpus : 1;
}

/* Bits of an APIC ID for one of `n`. */
static unsigned id_bits(unsigned n)
{
    return n > 1 ? 32u - (unsigned)__builtin_clz(n - 1) : 0;
}

/* Thread, core and socket have bits of their own (SDM 3A 8.9). */
static unsigned apic_id_of(const struct cpu_topology *t, unsigned cpu)
{
    unsigned threads = t->threads ? t->threads : 1, cores = t->cores ? t->cores : 1;
    unsigned id = cpu / (threads * cores) << id_bits(cores) | cpu / threads % cores;

    return id << id_bits(threads) | cpu % threads;
}

/* ---- firmware configuration ---- */

static void add_rom(void *ctx, const struct boot_image *rom)
{
    const char *slash = strrchr(rom->name, '/');
    struct pc *pc = ctx;
    char name[56];

    snprintf(name, sizeof(name), "genroms/%s", slash ? slash + 1 : rom->name);
    fwcfg_set_file(&pc->fwcfg_wiring, name, rom->data, rom->len);
}

static void add_roms(struct pc *pc)
{
    for (unsigned i = 0; i < pc->config.nroms; i++)
        add_rom(pc, &pc->config.roms[i]);
}

static bool has_floppy(const struct machine_parts *p)
{
    for (unsigned i = 0; p && i < p->ndrives; i++)
        if (p->drives[i].interface == DRIVE_IF_FLOPPY)
            return true;
    return false;
}

static struct tables_config tables_config(const struct pc *pc)
{
    const struct i386_model *model = &pc->model;
    uint64_t low = boot_low_bytes(pc->config.memory_bytes), gib = (uint64_t)1 << 30;
    struct tables_config t = {
        .apic = model->has_apic,
        .hpet = pc->config.hpet,
        .s3 = pc->config.s3,
        .floppy = pc->has_floppy,
        .tpm = pc->tpm,
        .vga = pc->config.vga != PC_VGA_NONE,
        .firmware = has_firmware(&pc->config),
        .memory_bytes = pc->config.memory_bytes,
        .pci_hole = (uint32_t)low,
        .serial_count = pc->config.serial_count,
        .cpus = cpu_count(&pc->config),
    };

    if (i386_has(model, FEATURE_LM)) {
        t.pci_high = (4 * gib + pc->config.memory_bytes - low + gib - 1) & ~(gib - 1);
        t.pci_high_end = (uint64_t)1 << i386_phys_bits(model);
    }
    for (unsigned n = 0; n < t.cpus; n++)
        t.apic_ids[n] = (uint8_t)apic_id_of(&pc->config.topology, n);
    return t;
}

static int build_smbios(const struct pc *pc, struct buffer *entry, struct buffer *structures, uint32_t address,
                        struct error *err)
{
    const struct i386_model *model = &pc->model;
    const struct cpu_topology *t = &pc->config.topology;
    unsigned cores = t->cores ? t->cores : 1, threads = t->threads ? t->threads : 1;
    struct smbios_config c = {
        .options = pc->config.smbios, .count = pc->config.nsmbios, .entry_64 = pc->config.smbios_64,
        .firmware = has_firmware(&pc->config), .cores = cores, .threads = threads,
        .sockets = (cpu_count(&pc->config) + cores * threads - 1) / (cores * threads),
        .cpu_signature = model->signature, .cpu_features = model->features_edx | (model->has_apic ? 1u << 9 : 0),
        .memory_bytes = pc->config.memory_bytes, .low_bytes = boot_low_bytes(pc->config.memory_bytes)};

    if (pc->config.uuid && !smbios_parse_uuid(pc->config.uuid, c.uuid))
        return error_set(err, -EINVAL, "--uuid %s: write it as 01234567-89ab-cdef-0123-456789abcdef", pc->config.uuid);
    return smbios_build(entry, structures, &c, address, err);
}

/* The tables say where firmware has put the PM I/O space: a function of the state, looked at when they are read. */
static void refresh_tables(void *ctx)
{
    struct pc *pc = ctx;
    struct tables_config config = tables_config(pc);
    struct tables_files f = {0};

    if (piix4_pm_base(pc->pm) == pc->tables_pm_base)
        return;
    config.pm_base = pc->tables_pm_base = piix4_pm_base(pc->pm);
    tables_for_firmware(&f, &config);
    fwcfg_update_file(&pc->fwcfg_wiring, "etc/acpi/tables", f.tables.data, f.tables.len);
    tables_files_finish(&f);
}

/* Where firmware finds the physical presence interface, the TPM's version (2.0) and the interface's (1.30). */
static void add_tpm_config(struct fwcfg_wiring *w)
{
    uint8_t config[6] = {[4] = 2, [5] = 1};

    put_le32(config, TPM_PPI_BASE);
    fwcfg_add_file(w, "etc/tpm/config", config, sizeof(config));
}

static void add_acpi(struct pc *pc)
{
    struct fwcfg_wiring *w = &pc->fwcfg_wiring;
    struct tables_config config = tables_config(pc);
    struct tables_files f = {0};

    tables_for_firmware(&f, &config);
    fwcfg_add_file(w, "etc/acpi/tables", f.tables.data, f.tables.len);
    fwcfg_add_file(w, "etc/acpi/rsdp", f.rsdp.data, f.rsdp.len);
    fwcfg_add_file(w, "etc/table-loader", f.script.data, f.script.len);
    if (f.tpm_log.len)
        fwcfg_add_file(w, "etc/tpm/log", f.tpm_log.data, f.tpm_log.len);
    if (pc->tpm.there && pc->tpm.ppi)
        add_tpm_config(w);
    tables_files_finish(&f);
    w->refresh = refresh_tables;
    w->refresh_ctx = pc;
}

static int add_smbios(struct pc *pc, struct error *err)
{
    struct buffer entry, structures;
    int rc;

    buffer_init(&entry);
    buffer_init(&structures);
    rc = build_smbios(pc, &entry, &structures, 0, err);
    if (rc == 0) {
        fwcfg_add_file(&pc->fwcfg_wiring, "etc/smbios/smbios-anchor", entry.data, entry.len);
        fwcfg_add_file(&pc->fwcfg_wiring, "etc/smbios/smbios-tables", structures.data, structures.len);
    }
    buffer_finish(&entry);
    buffer_finish(&structures);
    return rc;
}

static void add_memory_map(struct pc *pc)
{
    uint64_t low = boot_low_bytes(pc->config.memory_bytes);
    uint64_t high = pc->config.memory_bytes - low, base = (uint64_t)1 << 32;
    uint8_t e820[2 * 20] = {0};

    put_le64(e820 + 8, low);
    put_le32(e820 + 16, E820_RAM);
    put_le64(e820 + 20, base);
    put_le64(e820 + 28, high);
    put_le32(e820 + 36, E820_RAM);
    fwcfg_add_file(&pc->fwcfg_wiring, "etc/e820", e820, high ? 40 : 20);
}

/* One block of event timers, with room for seven more: its ID, address, least ticks in periodic mode, protection. */
static void add_hpet(struct pc *pc)
{
    uint8_t blocks[1 + 8 * 15] = {1};

    put_le32(blocks + 1, HPET_BLOCK_ID);
    put_le64(blocks + 5, HPET_BASE);
    if (pc->hpet)
        fwcfg_add(&pc->fwcfg_wiring, FWCFG_HPET, blocks, sizeof(blocks));
}

static void add_uuid(struct pc *pc)
{
    uint8_t uuid[SMBIOS_UUID_BYTES] = {0};

    if (pc->config.uuid)
        smbios_parse_uuid(pc->config.uuid, uuid);
    fwcfg_add(&pc->fwcfg_wiring, FWCFG_UUID, uuid, sizeof(uuid));
}

/* Items for SeaBIOS and OVMF: those that QEMU's pc has. */
static void fill_fwcfg(struct pc *pc)
{
    struct fwcfg_wiring *w = &pc->fwcfg_wiring;
    /* SLP_TYP of S0 to S5, with a flag for those that there are. */
    const uint8_t states[6] = {0x80, [3] = pc->config.s3 ? 0x80 | PM_SLP_TYP_S3 : 0, [5] = 0x80};
    const uint32_t id = 3; /* ports and DMA */
    const struct machine_parts *parts = pc->config.parts;
    const uint32_t retry = parts && parts->boot_retry_ms > 0 ? (uint32_t)parts->boot_retry_ms : UINT32_MAX; /* never */
    const uint16_t one = 1, none = 0, cpus = (uint16_t)pc->machine->ncpus;
    const uint16_t ids = (uint16_t)(apic_id_of(&pc->config.topology, cpus - 1u) + 1);
    const uint8_t irq0_override = 1, no_nodes[8] = {0};

    fwcfg_add(w, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_add(w, FWCFG_ID, &id, sizeof(id));
    add_uuid(pc);
    fwcfg_add(w, FWCFG_RAM_SIZE, &pc->config.memory_bytes, 8);
    /* Without a display the firmware's text goes to the first serial port. */
    fwcfg_add(w, FWCFG_NOGRAPHIC, pc->config.vga == PC_VGA_NONE ? &one : &none, sizeof(one));
    fwcfg_add(w, FWCFG_CPUS, &cpus, sizeof(cpus));
    fwcfg_add(w, FWCFG_MAX_CPUS, &ids, sizeof(ids));
    fwcfg_add(w, FWCFG_NUMA, no_nodes, sizeof(no_nodes));
    fwcfg_add(w, FWCFG_IRQ0_OVERRIDE, &irq0_override, 1);
    add_hpet(pc);
    add_memory_map(pc);
    fwcfg_add_file(w, "etc/system-states", states, sizeof(states));
    fwcfg_add_file(w, "etc/boot-fail-wait", &retry, sizeof(retry));
    if (has_firmware(&pc->config))
        add_acpi(pc);
    add_roms(pc);
    boot_order_files(&pc->boot, has_firmware(&pc->config) && pc->config.kernel.data ? BOOT_LINUX_ROM : NULL, parts, w);
    fwcfg_seal(w);
}

/* ---- reset ---- */

/* The display as a video BIOS leaves it, in mode 3, or in the mode that the kernel asked for. */
static void video_setup(struct pc *pc)
{
    const struct boot_video *v = &pc->plan.video;

    vga_firmware_setup(pc->vga);
    if (v->width)
        vga_set_mode(pc->vga, v->width, v->height, v->bpp);
}

static void put_video_data(uint8_t *bda)
{
    bda[0x49] = 3;               /* mode */
    put_le16(bda + 0x4a, 80);  /* columns */
    put_le16(bda + 0x4c, 4096); /* bytes of a page */
    put_le16(bda + 0x60, 0x0d0e); /* cursor shape */
    put_le16(bda + 0x63, 0x3d4);  /* the CRT controller's port */
    bda[0x84] = 24;              /* rows, less one */
    put_le16(bda + 0x85, 16);  /* character height */
    bda[0x87] = 0x60;            /* 256 KiB, active */
    bda[0x88] = 0xf9;
    bda[0x89] = 0x51;            /* VGA active, 400 lines */
}

#define BIOS_SERVICE 0xff00u /* offsets in the BIOS segment */
#define BIOS_IGNORE  0xff53u /* where the PC's BIOS has its IRET, too */
#define BIOS_SEGMENT 0xf000u

/* Interrupt vectors of real mode: services fail, the rest does nothing. */
static void set_vectors(struct memory *mem)
{
    static const uint8_t service[] = {
        0xb4, 0x86,             /* mov ah, 86h: there is no such function */
        0x55, 0x89, 0xe5,       /* push bp; mov bp, sp */
        0x83, 0x4e, 0x06, 0x01, /* or word [bp + 6], 1: carry */
        0x5d, 0xcf,             /* pop bp; iret */
    };
    uint8_t vectors[4 * 256];

    for (unsigned n = 0; n < 256; n++) {
        put_le16(vectors + 4 * n, n >= 0x10 && n <= 0x1a ? BIOS_SERVICE : BIOS_IGNORE);
        put_le16(vectors + 4 * n + 2, BIOS_SEGMENT);
    }
    memory_write_bytes(mem, 0, vectors, sizeof(vectors), true);
    memory_write_bytes(mem, (BIOS_SEGMENT << 4) + BIOS_SERVICE, service, sizeof(service), true);
    memory_write_bytes(mem, (BIOS_SEGMENT << 4) + BIOS_IGNORE, "\xcf", 1, true); /* iret */
}

/* How a BIOS leaves the chips. */
static void chips_setup(struct pc *pc)
{
    for (unsigned n = 0; n < I440FX_SEGMENTS; n++)
        i440fx_set_pam(pc->i440fx, n, n == I440FX_BIOS_SEGMENT ? PAM_READ | PAM_WRITE : PAM_READ);
    for (unsigned n = 0; n < 4; n++)
        piix3_route(pc->piix3, n, n < 2 ? 10 : 11);
    pic_ops.write(pc->pic, PIC_ELCR, 1, 1, 0x0e); /* IRQ 9, 10, 11 */
    pic_firmware_setup(pc->pic);
    piix4_pm_firmware_setup(pc->pm);
    ide_firmware_setup(pc->ide);
    dma_firmware_setup(pc->dma);
    if (pc->fdc)
        fdc_firmware_setup(pc->fdc);
    i8042_firmware_setup(pc->i8042);
    pit_ops.write(pc->pit, PIT_COUNTERS, 3, 1, 0x36); /* the BIOS's clock: 18.2 Hz */
    pit_ops.write(pc->pit, PIT_COUNTERS, 0, 1, 0);
    pit_ops.write(pc->pit, PIT_COUNTERS, 0, 1, 0);
    if (pc->ioapic) { /* its ID, as the tables say */
        ioapic_ops.write(pc->ioapic, 0, 0x00, 4, 0);
        ioapic_ops.write(pc->ioapic, 0, 0x10, 4, tables_ioapic_id(pc->machine->ncpus) << 24);
        ioapic_ops.write(pc->ioapic, 0, 0x00, 4, 0);
    }
    if (pc->vga)
        video_setup(pc);
}

/* And what it puts into memory. */
static void memory_setup(struct pc *pc)
{
    struct memory *mem = &pc->machine->memory;
    uint8_t bda[0x100] = {0};

    if (pc->vga)
        put_video_data(bda);
    set_vectors(mem);
    /* BIOS data area: COM ports, EBDA segment, equipment, base memory. */
    for (unsigned n = 0; n < pc->config.serial_count; n++)
        put_le16(bda + 2 * n, uart_base[n]);
    put_le16(bda + 0x0e, BOOT_EBDA >> 4);
    put_le16(bda + 0x10, 0x0006 | (pc->vga ? 0x20 : 0) | pc->config.serial_count << 9 |
                            rtc_floppy_equipment(&pc->rtc_wiring));
    put_le16(bda + 0x13, BOOT_EBDA >> 10);
    memory_write_bytes(mem, 0x400, bda, sizeof(bda), true);
    memory_write_bytes(mem, BOOT_EBDA, "\x01", 1, true); /* the EBDA's size in KiB */
    memory_write_bytes(mem, COREBOOT_TABLE_BASE, pc->coreboot.data, pc->coreboot.len, true);
    memory_write_bytes(mem, TABLES_BASE, pc->tables.data, pc->tables.len, true);
}

/* Addresses for what is on the bus, as a BIOS gives them. */
static void assign_addresses(struct pc *pc)
{
    static const uint8_t irq[PCI_LINES] = {10, 10, 11, 11};

    pci_assign(&pc->pci_bus, FIRST_PCI_PORT, FIRST_PCI_MEMORY, VGA_FIRMWARE_LFB, irq);
}

/* What a BIOS does when the machine wakes (ACPI 6.5, 16.3.2): chips as after a start, memory left alone, and a jump to where
 * the FACS says. Without such an address (of real mode; that of 64 bits is not looked at) there is nothing to resume. */
static bool resume(struct pc *pc)
{
    uint8_t vector[4] = {0};

    memory_read_bytes(&pc->machine->memory, TABLES_WAKING_VECTOR, vector, sizeof(vector));
    if (!get_le32(vector) || get_le32(vector) >= 1u << 20)
        return false;
    chips_setup(pc);
    assign_addresses(pc);
    i386_resume_at(pc->cpu, get_le32(vector));
    return true;
}

/* Suspended to RAM, and the user resets it. */
static void board_reset(struct machine *m)
{
    struct pc *pc = m->board;

    if (m->resetting == RESET_SYSTEM && piix4_pm_asleep(pc->pm))
        rtc_forget_sleep(pc->rtc);
}

static void board_started(struct machine *m)
{
    struct pc *pc = m->board;

    for (unsigned n = 0; n < m->ncpus; n++)
        apic_set_mode(pc->apics.apics[n], apic_mode_of(nth_cpu(pc, n)->st->apic_base));
    set_a20(pc, true); /* as the chips that drive it came out of their reset */
    pc_update_map(pc);
    if (m->resetting == RESET_SLEEP) {
        for (unsigned n = 0; n < m->ncpus; n++)
            i386_power_off(nth_cpu(pc, n));
        return;
    }
    if (has_firmware(&pc->config) || (m->resetting == RESET_WAKE && resume(pc)))
        return;
    chips_setup(pc);
    memory_setup(pc);
    assign_addresses(pc);
    boot_apply(&pc->plan, &m->memory, pc->cpu);
}

static void board_restored(struct machine *m)
{
    struct pc *pc = m->board;

    pc_update_map(pc);
    pm_map_changed(pc);
}

static void powerdown(struct machine *m)
{
    struct pc *pc = m->board;

    piix4_pm_power_button(pc->pm);
}

static void board_destroy(struct machine *m)
{
    struct pc *pc = m->board;

    boot_finish(&pc->plan);
    buffer_finish(&pc->tables);
    buffer_finish(&pc->coreboot);
    fwcfg_finish(&pc->fwcfg_wiring);
    free(pc->unpacked);
    if (pc->shadow)
        free(pc->shadow->wiring);
    free(pc);
    m->board = NULL;
}

/* ---- creation ---- */

static void create_cpus(struct pc *pc)
{
    const struct cpu_topology *t = &pc->config.topology;

    for (unsigned n = 0; n < cpu_count(&pc->config); n++) {
        struct i386_cpu *c = i386_create(pc->machine, &pc->model);

        c->apic_id = (uint8_t)apic_id_of(t, n);
        c->thread_bits = (uint8_t)id_bits(t->threads);
        c->core_bits = (uint8_t)id_bits(t->cores);
        c->threads = (uint8_t)t->threads;
        c->cores = (uint8_t)t->cores;
        if (pc->config.gdb_arch && strcmp(pc->config.gdb_arch, "x86-64") != 0)
            i386_show_32(c, !strcmp(pc->config.gdb_arch, "i8086"));
    }
    pc->cpu = nth_cpu(pc, 0);
}

static int check_config(const struct pc_config *c, struct i386_model *model, struct error *err)
{
    if (i386_model_parse(model, c->cpu_model, err) < 0)
        return err->code;
    if (c->memory_bytes < MIN_MEMORY || c->memory_bytes > MAX_MEMORY || c->memory_bytes % PAGE_SIZE)
        return error_set(err, -EINVAL, "memory of %llu bytes: between 1 MiB and 64 GiB in steps of 4 KiB, please",
                         (unsigned long long)c->memory_bytes);
    if (c->memory_bytes > MAX_MEMORY_32 && !i386_has(model, FEATURE_LM))
        return error_set(err, -EINVAL, "--memory: a PC here has from 1M to 3G (with a 64-bit --cpu to 64G)");
    if (cpu_count(c) > 1 && !model->has_apic)
        return error_set(err, -EINVAL, "%u CPUs of model '%s': that has no APIC to reach another one by", cpu_count(c),
                         c->cpu_model);
    if (cpu_count(c) > MACHINE_MAX_CPUS || apic_id_of(&c->topology, cpu_count(c) - 1) >= 0xff)
        return error_set(err, -EINVAL, "%u CPUs, or their APIC IDs: %d and 254 are the most", cpu_count(c),
                         MACHINE_MAX_CPUS);
    if (c->gdb_arch && !strcmp(c->gdb_arch, "x86-64") && !i386_has(model, FEATURE_LM))
        return error_set(err, -EINVAL, "--gdb-arch x86-64: the CPU %s has 32 bits", c->cpu_model);
    if (c->serial_count > PC_MAX_SERIAL)
        return error_set(err, -EINVAL, "%u serial ports: this board has room for %d", c->serial_count, PC_MAX_SERIAL);
    if (c->nmodules > PC_MAX_MODULES)
        return error_set(err, -EINVAL, "%u modules: %d is the most", c->nmodules, PC_MAX_MODULES);
    if (c->debug_exit_count > PC_MAX_DEBUG_EXIT)
        return error_set(err, -EINVAL, "%u debug-exit ports: %d is the most", c->debug_exit_count, PC_MAX_DEBUG_EXIT);
    if (!has_firmware(c) && !c->kernel.data)
        return error_set(err, -EINVAL, "nothing to boot: give a kernel, or a firmware image with --bios or --pflash");
    if (c->kernel.len >= 4 && !memcmp(c->kernel.data, "\177ELF", 4) && !i386_has(model, FEATURE_LM) &&
        pc_is_64bit(c->kernel.data, c->kernel.len) && !boot_is_multiboot(&c->kernel) &&
        !boot_is_multiboot2(&c->kernel)) /* (those say it themselves, and so does Linux, by its 32-bit entry) */
        return error_set(err, -EINVAL, "%s: an ELF file for x86-64; the CPU %s has 32 bits (--cpu qemu64)", c->kernel.name, c->cpu_model);
    if (c->nroms > PC_MAX_ROMS)
        return error_set(err, -EINVAL, "%u option ROMs: %d is the most", c->nroms, PC_MAX_ROMS);
    if ((c->nroms || c->vga_bios.data) && !has_firmware(c))
        return error_set(err, -EINVAL, "%s: a ROM needs firmware that looks for it (--bios, --pflash)",
                         c->nroms ? c->roms[0].name : c->vga_bios.name);
    if (c->vga_bios.data && c->vga == PC_VGA_NONE)
        return error_set(err, -EINVAL, "a video BIOS (%s) without a display", c->vga_bios.name);
    if (c->vga_bios.data && (!c->vga_bios.len || c->vga_bios.len > VGA_ROM_BYTES))
        return error_set(err, -EINVAL, "%s: a video BIOS has 512 bytes to 64 KiB, not %zu", c->vga_bios.name,
                         c->vga_bios.len);
    if (c->nmodules && !c->kernel.data)
        return error_set(err, -EINVAL, "an initrd without a kernel");
    return 0;
}

static void name_images(struct pc *pc, const struct pc_config *config)
{
    struct pc_config *c = &pc->config;

    *c = *config;
    if (!c->kernel.data)
        c->kernel = (struct boot_image){0};
    if (!c->bios.data)
        c->bios = (struct boot_image){0};
    if (!c->vga_bios.data)
        c->vga_bios = (struct boot_image){0};
    c->vga_bios.name = c->vga_bios.name ? c->vga_bios.name : "video bios";
    c->kernel.name = c->kernel.name ? c->kernel.name : "kernel";
    c->bios.name = c->bios.name ? c->bios.name : "bios";
    for (unsigned n = 0; n < 2; n++) {
        if (!c->pflash[n].data)
            c->pflash[n] = (struct boot_image){0};
        c->pflash[n].name = c->pflash[n].name ? c->pflash[n].name : n ? "pflash 1" : "pflash 0";
    }
    for (unsigned i = 0; i < c->nmodules && i < PC_MAX_MODULES; i++) {
        pc->modules[i] = c->modules[i];
        if (!pc->modules[i].name)
            pc->modules[i].name = "initrd";
    }
    c->modules = pc->modules;
}

/* Behind the other tables: entry point and structures. */
static int append_smbios(struct pc *pc, struct error *err)
{
    struct buffer entry, structures;
    uint32_t at = (uint32_t)((pc->tables.len + 15) & ~(size_t)15);
    int rc;

    buffer_init(&entry);
    buffer_init(&structures);
    rc = build_smbios(pc, &entry, &structures, TABLES_BASE + at + 32, err);
    if (rc == 0 && at + 32 + structures.len > TABLES_MAX)
        rc = error_set(err, -EINVAL, "--smbios: %zu bytes of structures do not fit into the BIOS segment", structures.len);
    if (rc == 0) {
        buffer_append_le(&pc->tables, 0, at - pc->tables.len);
        buffer_append(&pc->tables, entry.data, entry.len);
        buffer_append_le(&pc->tables, 0, 32 - entry.len);
        buffer_append(&pc->tables, structures.data, structures.len);
    }
    buffer_finish(&entry);
    buffer_finish(&structures);
    return rc;
}

static int plan_firmware(struct pc *pc, struct error *err)
{
    int rc = pc->config.bios.data ? boot_check_bios(&pc->config.bios, err) : 0;

    if (rc == 0)
        rc = add_smbios(pc, err);
    return rc || !pc->config.kernel.data ? rc : boot_linux_rom(&pc->fwcfg_wiring, &pc->config, err);
}

/* A gzip file: what is in it is the kernel. */
static int unpack_kernel(struct pc *pc, struct error *err)
{
    struct boot_image *k = &pc->config.kernel;
    size_t len;
    int rc = gunzip(k->name, k->data, k->len, pc->config.memory_bytes, &pc->unpacked, &len, err);

    if (rc == 0)
        *k = (struct boot_image){.data = pc->unpacked, .len = len, .name = k->name, .cmdline = k->cmdline};
    return rc;
}

static int plan_boot(struct pc *pc, struct error *err)
{
    struct tables_config tables = tables_config(pc);
    struct boot_tables told;
    size_t smbios;
    uint32_t rsdp;
    int rc = boot_check_flash(&pc->config, err);

    if (rc)
        return rc;
    if (has_firmware(&pc->config))
        return plan_firmware(pc, err);
    if (pc->config.kernel.data && gunzip_recognises(pc->config.kernel.data, pc->config.kernel.len)) {
        rc = unpack_kernel(pc, err);
        if (rc)
            return rc;
    }
    rsdp = tables_build(&pc->tables, &tables);
    smbios = (pc->tables.len + 15) & ~(size_t)15;
    rc = append_smbios(pc, err);
    if (rc)
        return rc;
    coreboot_table_build(&pc->coreboot, pc->config.memory_bytes, pc->config.serial_count);
    told = (struct boot_tables){.rsdp = rsdp, .rsdp_bytes = pc->tables.data, .rsdp_len = TABLES_RSDP_BYTES,
                                .smbios = pc->tables.data + smbios, .smbios_len = pc->config.smbios_64 ? 24 : 31};
    return boot_load(&pc->plan, &pc->config, &told, err);
}

static void discard(struct pc *pc)
{
    fwcfg_finish(&pc->fwcfg_wiring);
    free(pc->unpacked);
    boot_finish(&pc->plan);
    buffer_finish(&pc->tables);
    buffer_finish(&pc->coreboot);
    free(pc);
}

/* All storage besides RAM. */
static uint64_t rom_bytes(const struct pc_config *c)
{
    return c->bios.len + c->pflash[0].len + c->pflash[1].len + parts_rom_bytes(c->parts) + parts_storage(c->parts) +
           (c->vga != PC_VGA_NONE ? VGA_MEMORY_BYTES + VGA_TEXT_BYTES + VGA_ROM_BYTES : 0);
}

/* ---- what the user plugs in ---- */

/* The controller is there if a drive is. */
static void add_fdc(struct pc *pc)
{
    pc->fdc_wiring = (struct fdc_wiring){.irq = isa_irq(pc, FDC_IRQ), .dma = pc->dma};
    pc->fdc = add(pc, &fdc_ops, "fdc", &pc->fdc_wiring);
    ports_claim(&pc->ports, pc->fdc, 0x3f0, 6, FDC_PORTS, 1);
    ports_claim(&pc->ports, pc->fdc, 0x3f7, 1, FDC_INPUT, 1);
}

static int plug_floppy(struct pc *pc, struct drive *d, unsigned place, struct error *err)
{
    char path[BOOT_PATH_BYTES];

    if (!pc->fdc)
        add_fdc(pc);
    if (fdc_plug(pc->fdc, d, place, err) < 0)
        return -EINVAL;
    snprintf(path, sizeof(path), PCI_PATH "/isa@1/fdc@03f0/floppy@%x", place);
    boot_order_add(&pc->boot, place ? 'b' : 'a', path);
    pc->rtc_wiring.floppies[place] = (uint8_t)pc->fdc_wiring.kind[place];
    return 0;
}

/* Fits sockets.isa_irq. */
static struct line part_irq(void *ctx, unsigned irq)
{
    return isa_irq(ctx, irq);
}

/* Fit struct isa_dma. */
static void part_dma_request(void *ctx, unsigned channel, bool level)
{
    const struct pc *pc = ctx;

    dma_request(pc->dma, channel, level);
}

static uint32_t part_dma_transfer(void *ctx, unsigned channel, uint8_t *bytes, uint32_t len, bool *ended)
{
    const struct pc *pc = ctx;

    return dma_transfer(pc->dma, channel, bytes, len, ended);
}

static void part_dma_follow(void *ctx, unsigned channel, void (*look)(void *arg), void *arg)
{
    struct pc *pc = ctx;

    pc->dma_wiring.users[channel].look = look;
    pc->dma_wiring.users[channel].arg = arg;
}

/* Fits sockets.debug_exit. The ports that --debug-exit gives may be among them. */
static int more_debug_exit(void *ctx, uint16_t base, uint16_t len, struct error *err)
{
    struct pc *pc = ctx;
    struct ports *p = &pc->ports;

    for (unsigned port = base; port < base + (unsigned)len; port++) {
        const struct port_range *r = p->owner[port] ? &p->ranges[p->owner[port] - 1] : NULL;

        if (r && (r->dev != pc->glue || r->range < GLUE_DEBUG_EXIT))
            return error_set(err, -EINVAL, "a device answers at port %#x already", port);
    }
    ports_claim(p, pc->glue, base, len, GLUE_DEBUG_EXIT_ANY, 4);
    return 0;
}

/* Drives of the IDE channels and of the floppy controller. Fits sockets.drive. */
static int plug_drive(void *ctx, struct drive *d, const struct drive_part *part, struct error *err)
{
    struct pc *pc = ctx;
    char path[BOOT_PATH_BYTES];
    struct drive **place;

    if (part->interface == DRIVE_IF_FLOPPY)
        return plug_floppy(pc, d, part->index, err);
    if (part->interface != DRIVE_IF_IDE)
        return parts_no_place(part, err);
    if (part->index >= 2 * IDE_CHANNELS)
        return error_set(err, -EINVAL, "index=%u: there are IDE drives 0 to %u", part->index, 2 * IDE_CHANNELS - 1);
    place = &pc->ide_wiring.drive[part->index / 2][part->index % 2];
    if (*place)
        return error_set(err, -EINVAL, "index=%u: there is an IDE drive already", part->index);
    *place = d;
    d->wiring = pc->ide;
    snprintf(path, sizeof(path), PCI_PATH "/ide@1,1/drive@%x/disk@%x", part->index / 2, part->index % 2);
    boot_order_add(&pc->boot, parts_drive_kind(d), path);
    return 0;
}

static int plug_parts(struct pc *pc, struct error *err)
{
    struct sockets s = {.machine = pc->machine, .pci = &pc->pci_bus, .next_slot = 3, .ctx = pc, .drive = plug_drive,
                        .isa_irq = part_irq, .option_rom = add_rom, .debug_exit = more_debug_exit, .boot = &pc->boot,
                        .fwcfg = &pc->fwcfg_wiring, .tpm_base = TPM_BASE, .isa_dma = &pc->isa_dma,
                        .models = {[DRIVE_IF_VIRTIO] = "virtio-blk-pci", [DRIVE_IF_SD] = "sdhci-pci"}};

    pc->isa_dma = (struct isa_dma){.ctx = pc, .request = part_dma_request, .transfer = part_dma_transfer, .follow = part_dma_follow};
    if (pc->config.parts && parts_plug(pc->config.parts, &s, err) < 0)
        return err->code;
    if (pc->tpm.there && pc->tpm.ppi)
        tpm_ppi_add(pc->machine, TPM_PPI_BASE);
    return 0;
}

int pc_create(struct machine **out, const struct pc_config *config, struct error *err)
{
    struct pc *pc = xcalloc(1, sizeof(*pc));
    struct machine *m;
    int rc;

    buffer_init(&pc->tables);
    buffer_init(&pc->coreboot);
    name_images(pc, config);
    pc->has_floppy = has_floppy(config->parts);
    pc->tpm = tpm_describe_parts(config->parts);
    rc = check_config(&pc->config, &pc->model, err);
    if (!rc)
        rc = plan_boot(pc, err);
    if (rc) {
        discard(pc);
        return rc;
    }
    m = machine_create((uint32_t)((pc->config.memory_bytes + rom_bytes(&pc->config)) >> PAGE_SHIFT));
    if (!m) {
        discard(pc);
        return error_set(err, -ENOMEM, "no address space for %llu MiB of guest memory",
                         (unsigned long long)(config->memory_bytes >> 20));
    }
    pc->machine = m;
    m->board = pc;
    m->icount_shift = config->icount_shift;
    m->no_reboot = config->no_reboot;
    m->board_reset = board_reset;
    m->board_started = board_started;
    m->board_restored = board_restored;
    m->board_destroy = board_destroy;
    m->powerdown = powerdown;
    m->asleep = board_asleep;
    m->nmi = nmi;
    m->smi = board_smi;
    if (config->schedule.quantum)
        m->schedule = config->schedule;
    create_cpus(pc);
    pc->ports.machine = m;
    create_devices(pc);
    connect_lines(pc);
    claim_ports(pc);
    create_bus(pc);
    pc_map_memory(pc);
    plug_functions(pc);
    rc = plug_display(pc, err);
    if (!rc)
        rc = plug_parts(pc, err);
    if (rc) {
        machine_destroy(m);
        return rc;
    }
    fill_fwcfg(pc);
    pc->ready = true;
    machine_reset(m);
    *out = m;
    return 0;
}
