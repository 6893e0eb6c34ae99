/*
 * The virt board: which chips there are, which lines and addresses connect
 * them, and how it is left for a guest that comes without firmware.
 *
 * Memory map and interrupt numbers are QEMU's (board.h, dtb.c tells the guest).
 * With `secure`, EL3 exists, and with it a second UART, memory and a GPIO that
 * only Secure accesses reach; the first flash bank is one of these, too.
 *
 * Not modelled: ITS, SMMU, the platform bus, ACPI tables. Messages reach a GICv3, too, by the frame of version 2m.
 *
 * To add a device: its ops in a file of its own, its wiring in board.h, a
 * line each in create_devices(), connect_lines() and map_devices(), and a node
 * in dtb.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aarch64/virt/board.h"

#define PCI_PATH "/pci@ffffffffffffffff" /* as on QEMU's board, which does not know its address (vm/dev/boot_order.h) */
#define MIN_MEMORY ((uint64_t)1 << 20)
#define MAX_MEMORY ((uint64_t)64 << 30)
#define POWER_KEY_NS ((vtime_t)100000000)

#define SCR_NS  (1ull << 0)
#define SCR_RW  (1ull << 10)
#define SCR_HCE (1ull << 8)
#define SCR_FIXED (3ull << 4)
#define HCR_RW  (1ull << 31)

/* ---- devices ---- */

static struct device *add(struct virt *v, const struct device_ops *ops, const char *name, void *wiring)
{
    return machine_add_device(v->machine, ops, name, wiring);
}

static void add_gics(struct virt *v)
{
    const struct device_ops *first = v->config.gic_version == 3 ? &gicv3_ops : &gicv2_ops;
    char name[16];

    for (unsigned n = 0; n < v->machine->ncpus; n++) {
        struct gic_wiring *w = &v->gic_wiring[n];

        *w = v->gic_wiring[0];
        w->bus = &v->gics;
        w->number = n;
        w->affinity = virt_affinity(v, n);
        w->cpu = virt_cpu(v, n);
        snprintf(name, sizeof(name), n ? "gic%u" : "gic", n);
        v->gics.gics[n] = add(v, n ? &gic_cpu_ops : first, name, w);
        v->gics.count = n + 1;
    }
    v->gic = v->gics.gics[0];
}

/* Receivers of lines come before their senders, so that a reset finds them reset. */
/* LPIs of each CPU, and what makes them of messages. */
static void add_its(struct virt *v)
{
    for (unsigned n = 0; n < v->machine->ncpus; n++) {
        char name[16];

        snprintf(name, sizeof(name), "lpi%u", n);
        v->lpi_wiring[n] = (struct lpi_wiring){.gic = v->gics.gics[n], .security = v->config.secure};
        v->gic_wiring[n].lpis = v->its_wiring.lpis[n] = add(v, &lpi_ops, name, &v->lpi_wiring[n]);
    }
    v->its_wiring.count = v->machine->ncpus;
    v->its = add(v, &its_ops, "its", &v->its_wiring);
}

static void create_devices(struct virt *v)
{
    add_gics(v);
    if (v->config.its)
        add_its(v);
    v->v2m = add(v, &gicv2m_ops, "gicv2m", &v->v2m_wiring);
    v->pci = add(v, &pci_host_ops, "pci", &v->pci_bus);
    v->pci_root = add(v, &pci_root_ops, "pci-root", &v->pci_root_wiring);
    v->uart[0] = add(v, &pl011_ops, "uart0", &v->uart_wiring[0]);
    if (v->config.secure)
        v->uart[1] = add(v, &pl011_ops, "uart1", &v->uart_wiring[1]);
    v->rtc = add(v, &pl031_ops, "rtc", &v->rtc_wiring);
    v->gpio = add(v, &pl061_ops, "gpio", &v->gpio_wiring);
    if (v->config.secure)
        v->secure_gpio = add(v, &pl061_ops, "secure-gpio", &v->secure_gpio_wiring);
    v->fwcfg = add(v, &fwcfg_ops, "fwcfg", &v->fwcfg_wiring);
    v->mmio = add(v, &virtio_mmio_ops, "virtio", NULL);
    v->flash[0] = add(v, &cfi_flash_ops, "flash0", &v->flash_wiring[0]);
    v->flash[1] = add(v, &cfi_flash_ops, "flash1", &v->flash_wiring[1]);
    if (v->config.semihosting)
        v->semihost = add(v, &semihost_ops, "semihosting", v);
}

static struct line spi(struct virt *v, unsigned n)
{
    return (struct line){.set = gic_set_line, .ctx = v->gic, .n = GIC_FIRST_SPI + n};
}

/* A message that a PCI function sends. */
static bool pci_message(void *ctx, uint32_t requester, paddr_t address, uint32_t data)
{
    struct virt *v = ctx;

    if (v->its && address == VIRT_GIC_ITS + ITS_TRANSLATER) {
        its_message(v->its, requester, data);
        machine_attention(v->machine);
        return true;
    }
    if (v->its || address != VIRT_GIC_V2M + GICV2M_SETSPI)
        return false;
    gicv2m_ops.write(v->v2m, 0, GICV2M_SETSPI, 4, data);
    machine_attention(v->machine);
    return true;
}

static void create_bus(struct virt *v)
{
    v->pci_bus = (struct pci_bus){
        .machine = v->machine, .ports = &v->ports, .nwindows = v->config.lowmem ? 1 : 2,
        .windows = {{VIRT_PCI_MEMORY, VIRT_PCI_MEMORY_BYTES}, {VIRT_PCI_HIGH, VIRT_PCI_HIGH_BYTES}},
        .message = pci_message, .message_ctx = v, .firmware_path = PCI_PATH,
        .port_zero = true};
    v->ports.machine = v->machine;
    for (unsigned n = 0; n < PCI_LINES; n++)
        v->pci_bus.lines[n] = spi(v, SPI_PCI + n);
    pci_root_plug(v->pci_root, &v->pci_bus);
}

static struct line ppi(struct virt *v, unsigned cpu, unsigned n)
{
    return (struct line){.set = gic_set_line, .ctx = v->gics.gics[cpu], .n = GIC_FIRST_PPI + n};
}

static struct line cpu_pin(struct virt *v, unsigned cpu, unsigned n)
{
    return (struct line){.set = a64_set_line, .ctx = virt_cpu(v, cpu), .n = n};
}

/* Fits struct line: what Secure firmware drives. */
static void set_power_line(void *ctx, unsigned n, bool level)
{
    struct virt *v = ctx;

    if (level && n == GPIO_POWER_OFF)
        machine_end(v->machine, GUEST_POWEROFF, 0);
    else if (level)
        machine_request_reset(v->machine);
}

static void connect_cpu(struct virt *v, unsigned cpu)
{
    static const unsigned timers[TIMER_COUNT] = {[TIMER_PHYS] = PPI_TIMER_PHYS, [TIMER_VIRT] = PPI_TIMER_VIRT,
                                                 [TIMER_HYP] = PPI_TIMER_HYP, [TIMER_SEC] = PPI_TIMER_SEC};
    struct gic_wiring *w = &v->gic_wiring[cpu];
    struct a64_cpu *c = virt_cpu(v, cpu);

    w->irq = cpu_pin(v, cpu, 0);
    w->fiq = cpu_pin(v, cpu, 1);
    w->virq = cpu_pin(v, cpu, 2);
    w->vfiq = cpu_pin(v, cpu, 3);
    for (unsigned i = 0; i < TIMER_COUNT; i++)
        c->timer_line[i] = ppi(v, cpu, timers[i]);
    c->pmu_line = ppi(v, cpu, PPI_PMU);
    if (v->config.gic_version == 3) {
        c->gic_read = gicv3_sysreg_read;
        c->gic_write = gicv3_sysreg_write;
        c->gic_trap = gicv3_sysreg_trap;
        c->gic_ctx = v->gics.gics[cpu];
        if (v->config.secure)
            c->security_changed = gic_security_changed;
    }
    c->firmware_call = virt_firmware_call;
    c->firmware_ctx = v;
    if (v->config.semihosting)
        c->semihost = virt_semihost;
    c->semihost_ctx = v;
}

static void connect_lines(struct virt *v)
{
    for (unsigned n = 0; n < v->machine->ncpus; n++)
        connect_cpu(v, n);
    v->v2m_wiring = (struct gicv2m_wiring){
        .gic = v->gic, .first = GIC_FIRST_SPI + SPI_MESSAGES, .count = VIRT_MESSAGES};
    v->uart_wiring[0].irq = spi(v, SPI_UART);
    v->uart_wiring[1].irq = spi(v, SPI_SECURE_UART);
    v->rtc_wiring.irq = spi(v, SPI_RTC);
    v->gpio_wiring.irq = spi(v, SPI_GPIO);
    v->secure_gpio_wiring.irq = spi(v, SPI_SECURE_GPIO);
    for (unsigned n = GPIO_POWER_OFF; n <= GPIO_RESTART; n++)
        v->secure_gpio_wiring.out[n] = (struct line){.set = set_power_line, .ctx = v, .n = n};
}

/* ---- memory map ---- */

static void map_device_for(struct virt *v, paddr_t base, uint64_t size, struct device *dev, unsigned range, bool secure)
{
    const struct region r = {.base = base, .size = size, .kind = REGION_MMIO, .dev = dev, .range = range,
                             .enabled = true, .secure = secure};

    memory_map(&v->machine->memory, &r);
}

static void map_device(struct virt *v, paddr_t base, uint64_t size, struct device *dev, unsigned range)
{
    map_device_for(v, base, size, dev, range, false);
}

static void map_ram(struct virt *v, const char *name, paddr_t base, uint64_t size, bool secure)
{
    const struct region r = {.base = base, .size = size, .kind = REGION_RAM,
                             .page = memory_alloc(&v->machine->memory, name, size), .enabled = true, .secure = secure};

    memory_map(&v->machine->memory, &r);
}

/* The contents of flash survive resets: they are put there once. */
static void map_flash(struct virt *v, unsigned n, const struct boot_image *image)
{
    struct memory *mem = &v->machine->memory;
    struct cfi_flash_wiring *w = &v->flash_wiring[n];
    struct region r = {.base = VIRT_FLASH + n * VIRT_FLASH_BYTES, .size = VIRT_FLASH_BYTES, .kind = REGION_ROMD,
                       .dev = v->flash[n], .enabled = true, .secure = n == 0 && v->config.secure};

    r.page = memory_alloc(mem, n ? "flash1" : "flash0", VIRT_FLASH_BYTES);
    w->page = r.page;
    w->size = VIRT_FLASH_BYTES;
    w->region = memory_map(mem, &r);
    if (image->data)
        memory_write_bytes(mem, r.base, image->data, image->len, true);
}

static void map_memory(struct virt *v)
{
    map_ram(v, "ram", VIRT_RAM_BASE, v->config.memory_bytes, false);
    if (v->config.secure)
        map_ram(v, "secure-ram", VIRT_SECURE_MEM, VIRT_SECURE_MEM_BYTES, true);
    map_flash(v, 0, &v->config.pflash[0]);
    map_flash(v, 1, &v->config.pflash[1]);
    if (v->config.gic_version == 3) {
        map_device(v, VIRT_GIC_DIST, 0x10000, v->gic, GICV3_DIST);
        map_device(v, VIRT_GIC_REDIST, (uint64_t)v->machine->ncpus * VIRT_REDIST_BYTES, v->gic, GICV3_REDIST);
    } else {
        map_device(v, VIRT_GIC_DIST, 0x10000, v->gic, GICV2_DIST);
        map_device(v, VIRT_GIC_CPU, 0x10000, v->gic, GICV2_CPU);
        if (v->gic_wiring[0].virtualization) {
            map_device(v, VIRT_GIC_HYP, 0x10000, v->gic, GICV2_HYP);
            map_device(v, VIRT_GIC_VCPU, 0x10000, v->gic, GICV2_VCPU);
        }
    }
    if (v->its)
        map_device(v, VIRT_GIC_ITS, ITS_BYTES, v->its, 0);
    else
        map_device(v, VIRT_GIC_V2M, 0x1000, v->v2m, 0);
    for (unsigned n = 0; n < v->pci_bus.nwindows; n++)
        map_device(v, v->pci_bus.windows[n].base, v->pci_bus.windows[n].size, v->pci, PCI_HOST_WINDOW);
    map_device(v, VIRT_PCI_IO, PCI_IO_BYTES, v->pci, PCI_HOST_IO);
    if (v->config.lowmem)
        map_device(v, VIRT_PCI_ECAM_LOW, VIRT_PCI_ECAM_LOW_BYTES, v->pci, PCI_HOST_ECAM);
    else
        map_device(v, VIRT_PCI_ECAM, PCI_ECAM_BYTES, v->pci, PCI_HOST_ECAM);
    map_device(v, VIRT_UART, 0x1000, v->uart[0], 0);
    if (v->config.secure) {
        map_device_for(v, VIRT_SECURE_UART, 0x1000, v->uart[1], 0, true);
        map_device_for(v, VIRT_SECURE_GPIO, 0x1000, v->secure_gpio, 0, true);
    }
    map_device(v, VIRT_RTC, 0x1000, v->rtc, 0);
    map_device(v, VIRT_FW_CFG, 24, v->fwcfg, FWCFG_MMIO);
    map_device(v, VIRT_GPIO, 0x1000, v->gpio, 0);
    map_device(v, VIRT_MMIO, VIRT_MMIO_SLOTS * VIRTIO_MMIO_SLOT_BYTES, v->mmio, 0);
}

/* ---- firmware configuration ---- */

static void fill_fwcfg(struct virt *v)
{
    struct fwcfg_wiring *w = &v->fwcfg_wiring;
    const struct virt_config *c = &v->config;
    const uint32_t id = 3; /* data register and DMA */
    const uint16_t one = 1, cpus = (uint16_t)v->machine->ncpus;
    const uint8_t zeros[16] = {0};
    uint32_t n;

    fwcfg_add(w, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_add(w, FWCFG_ID, &id, sizeof(id));
    fwcfg_add(w, FWCFG_UUID, zeros, 16);
    fwcfg_add(w, FWCFG_RAM_SIZE, &c->memory_bytes, 8);
    fwcfg_add(w, FWCFG_NOGRAPHIC, &one, sizeof(one));
    fwcfg_add(w, FWCFG_CPUS, &cpus, sizeof(cpus));
    fwcfg_add(w, FWCFG_MAX_CPUS, &cpus, sizeof(cpus));
    if (!v->direct && c->kernel.data) { /* firmware boots it */
        n = (uint32_t)c->kernel.len;
        fwcfg_add(w, FWCFG_KERNEL_SIZE, &n, 4);
        fwcfg_add(w, FWCFG_KERNEL_DATA, c->kernel.data, c->kernel.len);
        if (c->initrd.data) {
            n = (uint32_t)c->initrd.len;
            fwcfg_add(w, FWCFG_INITRD_SIZE, &n, 4);
            fwcfg_add(w, FWCFG_INITRD_DATA, c->initrd.data, c->initrd.len);
        }
        if (c->append) {
            n = (uint32_t)strlen(c->append) + 1;
            fwcfg_add(w, FWCFG_CMDLINE_SIZE, &n, 4);
            fwcfg_add(w, FWCFG_CMDLINE_DATA, c->append, n);
        }
    }
    boot_order_files(&v->boot, NULL, c->parts, w);
    fwcfg_seal(w);
}

/* ---- reset ---- */

/* What firmware at EL3 and EL2 would have done before it went to the kernel's level. */
static void enter_kernel(struct virt *v)
{
    struct a64_state *st = v->cpu->st;

    for (unsigned n = 0; v->topmost && n < v->machine->ncpus; n++) {
        a64_enter_el(virt_cpu(v, n), 3, v->plan.entry);
        virt_cpu(v, n)->st->x[0] = v->plan.dtb;
    }
    if (v->topmost)
        return;
    if (v->config.secure) {
        st->scr_el3 |= SCR_NS | SCR_RW | SCR_HCE | SCR_FIXED;
        gic_all_nonsecure(v->gic);
    }
    if (v->config.virtualization)
        st->hcr_el2 |= HCR_RW;
    a64_enter_el(v->cpu, v->config.virtualization ? 2 : 1, v->plan.entry);
    st->x[0] = v->plan.dtb;
}

static void board_started(struct machine *m)
{
    struct virt *v = m->board;
    paddr_t dtb = v->direct ? v->plan.dtb : VIRT_RAM_BASE;

    if (v->direct)
        a64_boot_apply(&v->plan, &m->memory);
    memory_write_bytes(&m->memory, dtb, v->dtb.data, v->dtb.len, true);
    if (v->direct)
        enter_kernel(v);
    for (unsigned n = 1; n < m->ncpus && v->psci != PSCI_NONE; n++) {
        if (v->plan.pen)
            a64_switch_on(virt_cpu(v, n), v->config.virtualization ? 2 : 1, v->plan.pen, 0);
        else
            a64_switch_off(virt_cpu(v, n)); /* else firmware has all of them from the reset on */
    }
}

static void powerdown(struct machine *m)
{
    struct virt *v = m->board;

    pl061_pulse(v->gpio, GPIO_POWER_KEY, POWER_KEY_NS);
}

static void discard(struct virt *v)
{
    a64_boot_finish(&v->plan);
    buffer_finish(&v->dtb);
    fwcfg_finish(&v->fwcfg_wiring);
    free(v);
}

static void board_destroy(struct machine *m)
{
    discard(m->board);
    m->board = NULL;
}

const void *virt_device_tree(const struct machine *m, size_t *len)
{
    const struct virt *v = m->board;

    *len = v->dtb.len;
    return v->dtb.data;
}

/* ---- creation ---- */

unsigned virt_cpu_count(const struct virt *v)
{
    return v->config.topology.cpus ? v->config.topology.cpus : 1;
}

/* In clusters of as many as an SGI can be sent to at once (QEMU's board). */
uint32_t virt_affinity(const struct virt *v, unsigned n)
{
    unsigned cluster = v->config.gic_version == 3 ? 16 : 8;

    return n % cluster | n / cluster << 8;
}

static void create_cpus(struct virt *v)
{
    unsigned features = (v->config.virtualization ? A64_HAS_EL2 : 0) | (v->config.secure ? A64_HAS_EL3 : 0);

    for (unsigned n = 0; n < virt_cpu_count(v); n++) {
        struct a64_cpu *c = a64_create(v->machine, a64_model_find(v->config.cpu_model), features);
        uint32_t affinity = virt_affinity(v, n);

        c->mpidr = UINT64_C(0x80000000) | (affinity & 0xffffffu) | (uint64_t)(affinity >> 24) << 32;
    }
    v->cpu = virt_cpu(v, 0);
}

static int check_config(const struct virt_config *c, struct error *err)
{
    if (c->memory_bytes < MIN_MEMORY || c->memory_bytes > MAX_MEMORY || c->memory_bytes % PAGE_SIZE)
        return error_set(err, -EINVAL, "memory of %llu bytes: between 1 MiB and 64 GiB in steps of 4 KiB, please",
                         (unsigned long long)c->memory_bytes);
    if (c->lowmem && c->memory_bytes > ((uint64_t)4 << 30) - VIRT_RAM_BASE)
        return error_set(err, -EINVAL, "highmem=off: below 4 GiB there is room for 3 GiB of memory");
    if (strchr(c->cpu_model, ','))
        return error_set(err, -EINVAL, "--cpu %s: a model has its features, none is added or taken away; there are: %s (max has all)",
                         c->cpu_model, a64_model_names);
    if (!a64_model_find(c->cpu_model))
        return error_set(err, -EINVAL, "no CPU model '%s'; there are: %s", c->cpu_model, a64_model_names);
    if (c->gic_version != 2 && c->gic_version != 3)
        return error_set(err, -EINVAL, "gic-version=%u: there are 2 and 3", c->gic_version);
    if (c->its && c->gic_version == 2)
        return error_set(err, -EINVAL, "an ITS needs a GIC of version 3");
    if (c->topology.cpus > (c->gic_version == 2 ? 8 : MACHINE_MAX_CPUS))
        return error_set(err, -EINVAL, "%u CPUs: a GIC of version 2 is for 8, one of version 3 for %d here", c->topology.cpus,
                         MACHINE_MAX_CPUS);
    if (c->bios.data && c->pflash[0].data)
        return error_set(err, -EINVAL, "a bios and a first pflash: both would be at address 0");
    for (unsigned i = 0; i < 2; i++)
        if (c->pflash[i].len > VIRT_FLASH_BYTES)
            return error_set(err, -EFBIG, "%s: larger than a flash bank, which has 64 MiB", c->pflash[i].name);
    if (c->bios.len > VIRT_FLASH_BYTES)
        return error_set(err, -EFBIG, "%s: larger than a flash bank, which has 64 MiB", c->bios.name);
    if (!c->kernel.data && !c->bios.data && !c->pflash[0].data)
        return error_set(err, -EINVAL, "nothing to boot: neither a kernel nor firmware");
    if (c->spin_table && (c->bios.data || c->pflash[0].data))
        return error_set(err, -EINVAL, "enable-method=spin-table: the CPUs are the firmware's to start; it is for a kernel without");
    if (c->initrd.data && !c->kernel.data)
        return error_set(err, -EINVAL, "an initrd without a kernel");
    if (c->kernel.len > UINT32_MAX || c->initrd.len > UINT32_MAX)
        return error_set(err, -EFBIG, "a kernel or initrd of 4 GiB and more");
    return 0;
}

static void name_image(struct boot_image *image, const char *name)
{
    if (!image->data)
        *image = (struct boot_image){0};
    if (!image->name)
        image->name = name;
}

/* An ELF program is no kernel that wants firmware below it: where EL3 exists, it is started there, as QEMU does, and finds
 * the board as a reset leaves it. (One that waits for a spin-table's CPUs is a kernel.) */
static bool is_topmost(const struct virt *v)
{
    return v->direct && v->config.secure && !v->config.spin_table && strcmp(v->plan.protocol, "ELF") == 0;
}

/* PSCI is ours, unless firmware at EL3 has its own. */
static enum psci_conduit choose_psci(const struct virt *v)
{
    if (v->config.secure && (!v->direct || v->topmost))
        return PSCI_NONE;
    return v->config.secure || v->config.virtualization ? PSCI_SMC : PSCI_HVC;
}

static int plan_boot(struct virt *v, struct error *err)
{
    struct virt_config *c = &v->config;
    int rc;

    name_image(&c->kernel, "kernel");
    name_image(&c->initrd, "initrd");
    name_image(&c->bios, "bios");
    name_image(&c->pflash[0], "pflash 0");
    name_image(&c->pflash[1], "pflash 1");
    rc = check_config(c, err);
    if (rc)
        return rc;
    if (c->bios.data)
        c->pflash[0] = c->bios;
    v->direct = !c->pflash[0].data;
    v->gic_wiring[0] = (struct gic_wiring){
        .version = c->gic_version, .security = c->secure, .virtualization = c->virtualization};
    if (v->direct)
        rc = a64_boot_load(&v->plan, c, err);
    if (rc)
        return rc;
    v->topmost = is_topmost(v);
    v->psci = choose_psci(v);
    return virt_make_device_tree(v, err);
}

/* Fits sockets.mmio_slot: from the last slot down, as QEMU fills them. */
static int mmio_slot(void *ctx, unsigned wanted, struct device *dev, struct line *irq, paddr_t *base, struct error *err)
{
    struct virt *v = ctx;
    unsigned n = wanted == PARTS_ANY_SLOT ? VIRT_MMIO_SLOTS - 1 : wanted;

    if (n >= VIRT_MMIO_SLOTS)
        return error_set(err, -EINVAL, "bus=virtio-mmio-bus.%u: there are slots 0 to %u", n, VIRT_MMIO_SLOTS - 1);
    while (v->mmio_used >> n & 1u) {
        if (wanted != PARTS_ANY_SLOT)
            return error_set(err, -EINVAL, "bus=virtio-mmio-bus.%u: there is a device already", n);
        if (!n--)
            return error_set(err, -EINVAL, "all %u slots are taken", VIRT_MMIO_SLOTS);
    }
    v->mmio_used |= 1u << n;
    *base = VIRT_MMIO + n * VIRTIO_MMIO_SLOT_BYTES;
    map_device(v, *base, VIRTIO_MMIO_SLOT_BYTES, dev, 0);
    *irq = spi(v, SPI_MMIO + n);
    return 0;
}

static int plug_parts(struct virt *v, struct error *err)
{
    struct sockets s = {.machine = v->machine, .pci = &v->pci_bus, .next_slot = 1, .ctx = v, .mmio_slot = mmio_slot,
                        .boot = &v->boot, .fwcfg = &v->fwcfg_wiring, .tpm_base = VIRT_PLATFORM_BUS,
                        .models = {[DRIVE_IF_VIRTIO] = "virtio-blk-pci", [DRIVE_IF_SD] = "sdhci-pci"}};

    return v->config.parts ? parts_plug(v->config.parts, &s, err) : 0;
}

int virt_create(struct machine **out, const struct virt_config *config, struct error *err)
{
    struct virt *v = xcalloc(1, sizeof(*v));
    uint64_t bytes = config->memory_bytes + 2 * VIRT_FLASH_BYTES + (config->secure ? VIRT_SECURE_MEM_BYTES : 0) +
                     parts_rom_bytes(config->parts) + parts_storage(config->parts);
    struct machine *m;
    int rc;

    buffer_init(&v->dtb);
    v->config = *config;
    v->tpm = tpm_describe_parts(config->parts).there;
    rc = plan_boot(v, err);
    if (rc) {
        discard(v);
        return rc;
    }
    m = machine_create((uint32_t)(bytes >> PAGE_SHIFT));
    if (!m) {
        discard(v);
        return error_set(err, -ENOMEM, "no address space for %llu MiB of guest memory",
                         (unsigned long long)(config->memory_bytes >> 20));
    }
    v->machine = m;
    m->board = v;
    m->icount_shift = config->icount_shift;
    m->no_reboot = config->no_reboot;
    m->board_started = board_started;
    m->board_destroy = board_destroy;
    m->powerdown = powerdown;
    if (config->schedule.quantum)
        m->schedule = config->schedule;
    create_cpus(v);
    create_devices(v);
    connect_lines(v);
    create_bus(v);
    map_memory(v);
    rc = plug_parts(v, err);
    if (rc) {
        machine_destroy(m);
        return rc;
    }
    fill_fwcfg(v);
    machine_reset(m);
    *out = m;
    return 0;
}
