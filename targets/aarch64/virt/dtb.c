/*
 * The device tree of the virt board (Devicetree Specification 0.4 and the
 * bindings that come with Linux), made with libfdt. Nodes, addresses and
 * interrupts are those of QEMU's board, so that a guest for the one finds its
 * way on the other.
 *
 * There are no seeds (kaslr-seed, rng-seed): what the guest sees is a function
 * of the configuration, and its kernel lies where its symbols say.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "aarch64/virt/board.h"

#define PHANDLE_GIC   1u
#define PHANDLE_CLOCK 2u
#define PHANDLE_GPIO  3u
#define PHANDLE_CPU   4u
#define PHANDLE_SECURE_GPIO 5u
#define PHANDLE_MESSAGES 6u
#define PHANDLE_CPUS  0x8000u /* and their numbers: the others */

#define MAX_CELLS 160u /* of a property */
#define FIRMWARE_DTB_BYTES ((size_t)1 << 20)

#define LEVEL_HIGH  4u
#define EDGE_RISING 1u
#define SPI 0u
#define PPI 1u
#define KEY_POWER 116u

/* libfdt's sequential writer; the first error stays. */
struct writer {
    void *fdt;
    int rc;
};

static void node(struct writer *w, const char *name)
{
    if (!w->rc)
        w->rc = fdt_begin_node(w->fdt, name);
}

static void end(struct writer *w)
{
    if (!w->rc)
        w->rc = fdt_end_node(w->fdt);
}

static void bytes(struct writer *w, const char *name, const void *data, size_t len)
{
    if (!w->rc)
        w->rc = fdt_property(w->fdt, name, data, (int)len);
}

static void string(struct writer *w, const char *name, const char *value)
{
    bytes(w, name, value, strlen(value) + 1);
}

static void flag(struct writer *w, const char *name)
{
    bytes(w, name, NULL, 0);
}

static void cells(struct writer *w, const char *name, const uint32_t *values, unsigned n)
{
    fdt32_t be[MAX_CELLS];

    for (unsigned i = 0; i < n; i++)
        be[i] = cpu_to_fdt32(values[i]);
    bytes(w, name, be, n * sizeof(be[0]));
}

static void cell(struct writer *w, const char *name, uint32_t value)
{
    cells(w, name, &value, 1);
}

/* Pairs of a 64-bit address and a 64-bit size. */
static void reg(struct writer *w, const char *name, const uint64_t *pairs, unsigned n)
{
    uint32_t c[16];

    for (unsigned i = 0; i < 2 * n; i++) {
        c[2 * i] = (uint32_t)(pairs[i] >> 32);
        c[2 * i + 1] = (uint32_t)pairs[i];
    }
    cells(w, name, c, 4 * n);
}

static void reg1(struct writer *w, uint64_t base, uint64_t size)
{
    reg(w, "reg", (const uint64_t[]){base, size}, 1);
}

static void interrupt(struct writer *w, uint32_t type, uint32_t n, uint32_t flags)
{
    cells(w, "interrupts", (const uint32_t[]){type, n, flags}, 3);
}

static void begin_at(struct writer *w, const char *name, uint64_t base)
{
    char full[48];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)base);
    node(w, full);
}

#define STRINGS(w, name, list) bytes(w, name, list, sizeof(list))

/* The node is for the Secure state only. */
static void only_secure(struct writer *w)
{
    string(w, "status", "disabled");
    string(w, "secure-status", "okay");
}

/* PPIs of version 2 carry a mask of CPUs. */
static uint32_t ppi_flags(const struct virt *v)
{
    return LEVEL_HIGH | (v->config.gic_version == 2 ? ((1u << virt_cpu_count(v)) - 1) << 8 : 0);
}

static void add_psci(struct writer *w, const struct virt *v)
{
    if (v->psci == PSCI_NONE)
        return;
    node(w, "psci");
    STRINGS(w, "compatible", "arm,psci-1.0\0arm,psci-0.2\0arm,psci");
    string(w, "method", v->psci == PSCI_HVC ? "hvc" : "smc");
    cell(w, "cpu_suspend", 0xc4000001);
    cell(w, "cpu_off", 0x84000002);
    cell(w, "cpu_on", 0xc4000003);
    cell(w, "migrate", 0xc4000005);
    end(w);
}

/* Which CPUs share a core and a socket, where the user said so. */
static void add_cpu_map(struct writer *w, const struct virt *v)
{
    const struct cpu_topology *t = &v->config.topology;
    char name[24];

    if (t->cpus < 2 || t->cores * t->threads < 2)
        return;
    node(w, "cpu-map");
    for (unsigned n = 0; n < t->cpus; n++) {
        unsigned core = n / t->threads;

        if (n % (t->cores * t->threads) == 0) {
            snprintf(name, sizeof(name), "socket%u", n / (t->cores * t->threads));
            node(w, name);
            node(w, "cluster0");
        }
        if (n % t->threads == 0) {
            snprintf(name, sizeof(name), "core%u", core % t->cores);
            node(w, name);
        }
        if (t->threads > 1) {
            snprintf(name, sizeof(name), "thread%u", n % t->threads);
            node(w, name);
        }
        cell(w, "cpu", n ? PHANDLE_CPUS + n : PHANDLE_CPU);
        if (t->threads > 1)
            end(w);
        if (n % t->threads == t->threads - 1)
            end(w);
        if (n % (t->cores * t->threads) == t->cores * t->threads - 1) {
            end(w);
            end(w);
        }
    }
    end(w);
}

static void add_release(struct writer *w, paddr_t at)
{
    string(w, "enable-method", "spin-table");
    cells(w, "cpu-release-addr", (const uint32_t[]){(uint32_t)(at >> 32), (uint32_t)at}, 2);
}

static void add_cpu(struct writer *w, const struct virt *v)
{
    char compatible[48];

    snprintf(compatible, sizeof(compatible), "arm,%s",
             strcmp(v->config.cpu_model, "max") == 0 ? "armv8" : v->config.cpu_model);
    node(w, "cpus");
    cell(w, "#size-cells", 0);
    cell(w, "#address-cells", 1);
    for (unsigned n = 0; n < virt_cpu_count(v); n++) {
        begin_at(w, "cpu", n);
        string(w, "device_type", "cpu");
        string(w, "compatible", compatible);
        cell(w, "reg", virt_affinity(v, n));
        if (virt_cpu_count(v) > 1 && v->plan.pen)
            add_release(w, v->plan.pen + A64_PEN_RELEASE(n));
        else if (virt_cpu_count(v) > 1 && v->psci != PSCI_NONE)
            string(w, "enable-method", "psci");
        cell(w, "phandle", n ? PHANDLE_CPUS + n : PHANDLE_CPU);
        end(w);
    }
    add_cpu_map(w, v);
    end(w);
    node(w, "pmu");
    string(w, "compatible", "arm,armv8-pmuv3");
    interrupt(w, PPI, PPI_PMU, ppi_flags(v));
    end(w);
}

static void add_timer(struct writer *w, const struct virt *v)
{
    uint32_t f = ppi_flags(v);

    node(w, "timer");
    STRINGS(w, "compatible", "arm,armv8-timer\0arm,armv7-timer");
    flag(w, "always-on");
    cells(w, "interrupts",
          (const uint32_t[]){PPI, PPI_TIMER_SEC, f, PPI, PPI_TIMER_PHYS, f, PPI, PPI_TIMER_VIRT, f, PPI,
                             PPI_TIMER_HYP, f},
          12);
    end(w);
}

static void add_gic(struct writer *w, const struct virt *v)
{
    const uint64_t v2[] = {VIRT_GIC_DIST, 0x10000, VIRT_GIC_CPU, 0x10000, VIRT_GIC_HYP, 0x10000,
                           VIRT_GIC_VCPU, 0x10000};
    const uint64_t v3[] = {VIRT_GIC_DIST, 0x10000, VIRT_GIC_REDIST, (uint64_t)virt_cpu_count(v) * VIRT_REDIST_BYTES};

    begin_at(w, "intc", VIRT_GIC_DIST);
    cell(w, "phandle", PHANDLE_GIC);
    cell(w, "#interrupt-cells", 3);
    flag(w, "interrupt-controller");
    cell(w, "#address-cells", 2);
    cell(w, "#size-cells", 2);
    flag(w, "ranges");
    if (v->config.gic_version == 3) {
        string(w, "compatible", "arm,gic-v3");
        cell(w, "#redistributor-regions", 1);
        reg(w, "reg", v3, 2);
    } else {
        string(w, "compatible", "arm,cortex-a15-gic");
        reg(w, "reg", v2, v->gic_wiring[0].virtualization ? 4 : 2);
    }
    if (v->gic_wiring[0].virtualization)
        interrupt(w, PPI, PPI_MAINTENANCE, LEVEL_HIGH);
    begin_at(w, v->config.its ? "its" : "v2m", v->config.its ? VIRT_GIC_ITS : VIRT_GIC_V2M);
    string(w, "compatible", v->config.its ? "arm,gic-v3-its" : "arm,gic-v2m-frame");
    flag(w, "msi-controller");
    if (v->config.its)
        cell(w, "#msi-cells", 1);
    reg1(w, v->config.its ? VIRT_GIC_ITS : VIRT_GIC_V2M, v->config.its ? ITS_BYTES : 0x1000);
    cell(w, "phandle", PHANDLE_MESSAGES);
    end(w);
    end(w);
}

/* Which SPI a pin of a slot is: they turn with the slot, so four slots say it for all. */
static void add_interrupt_map(struct writer *w)
{
    uint32_t map[PCI_LINES * PCI_LINES * 10], *c = map;

    for (uint32_t slot = 0; slot < PCI_LINES; slot++)
        for (uint32_t pin = 0; pin < PCI_LINES; pin++) {
            const uint32_t entry[10] = {slot << 11, 0, 0, pin + 1, PHANDLE_GIC, 0, 0, SPI,
                                        SPI_PCI + (slot + pin) % PCI_LINES, LEVEL_HIGH};

            memcpy(c, entry, sizeof(entry));
            c += ARRAY_LEN(entry);
        }
    cells(w, "interrupt-map", map, ARRAY_LEN(map));
    cells(w, "interrupt-map-mask", (const uint32_t[]){0x1800, 0, 0, 7}, 4);
}

#define HIGH(n) (uint32_t)((uint64_t)(n) >> 32)
#define LOW(n)  (uint32_t)((uint64_t)(n) & 0xffffffffu)
/* Kinds of addresses on the bus (PCI bus binding to Open Firmware, 2.2.1.1). */
#define OF_PCI_IO  0x01000000u
#define OF_PCI_32  0x02000000u
#define OF_PCI_64  0x03000000u

static void add_pci(struct writer *w, const struct virt *v)
{
    bool low = v->config.lowmem;

    begin_at(w, "pcie", VIRT_PCI_MEMORY);
    string(w, "compatible", "pci-host-ecam-generic");
    string(w, "device_type", "pci");
    cell(w, "#address-cells", 3);
    cell(w, "#size-cells", 2);
    cell(w, "linux,pci-domain", 0);
    cells(w, "bus-range", (const uint32_t[]){0, low ? 0xf : 0xff}, 2);
    flag(w, "dma-coherent");
    cells(w, "msi-map", (const uint32_t[]){0, PHANDLE_MESSAGES, 0, 0x10000}, 4);
    reg1(w, low ? VIRT_PCI_ECAM_LOW : VIRT_PCI_ECAM, low ? VIRT_PCI_ECAM_LOW_BYTES : PCI_ECAM_BYTES);
    cells(w, "ranges",
          (const uint32_t[]){OF_PCI_IO, 0, 0, 0, VIRT_PCI_IO, 0, PCI_IO_BYTES,
                             OF_PCI_32, 0, VIRT_PCI_MEMORY, 0, VIRT_PCI_MEMORY, 0, VIRT_PCI_MEMORY_BYTES,
                             OF_PCI_64, HIGH(VIRT_PCI_HIGH), LOW(VIRT_PCI_HIGH), HIGH(VIRT_PCI_HIGH),
                             LOW(VIRT_PCI_HIGH), HIGH(VIRT_PCI_HIGH_BYTES), LOW(VIRT_PCI_HIGH_BYTES)},
          low ? 14 : 21);
    cell(w, "#interrupt-cells", 1);
    add_interrupt_map(w);
    end(w);
}

static void add_clock(struct writer *w)
{
    node(w, "apb-pclk");
    string(w, "compatible", "fixed-clock");
    cell(w, "#clock-cells", 0);
    cell(w, "clock-frequency", 24000000);
    string(w, "clock-output-names", "clk24mhz");
    cell(w, "phandle", PHANDLE_CLOCK);
    end(w);
}

static void add_uart(struct writer *w, uint64_t base, uint32_t spi, bool secure)
{
    begin_at(w, "pl011", base);
    STRINGS(w, "compatible", "arm,pl011\0arm,primecell");
    reg1(w, base, 0x1000);
    interrupt(w, SPI, spi, LEVEL_HIGH);
    cells(w, "clocks", (const uint32_t[]){PHANDLE_CLOCK, PHANDLE_CLOCK}, 2);
    STRINGS(w, "clock-names", "uartclk\0apb_pclk");
    if (secure)
        only_secure(w);
    end(w);
}

static void add_rtc(struct writer *w)
{
    begin_at(w, "pl031", VIRT_RTC);
    STRINGS(w, "compatible", "arm,pl031\0arm,primecell");
    reg1(w, VIRT_RTC, 0x1000);
    interrupt(w, SPI, SPI_RTC, LEVEL_HIGH);
    cell(w, "clocks", PHANDLE_CLOCK);
    string(w, "clock-names", "apb_pclk");
    end(w);
}

static void add_pl061(struct writer *w, uint64_t base, uint32_t spi, uint32_t phandle, bool secure)
{
    begin_at(w, "pl061", base);
    STRINGS(w, "compatible", "arm,pl061\0arm,primecell");
    reg1(w, base, 0x1000);
    cell(w, "#gpio-cells", 2);
    flag(w, "gpio-controller");
    interrupt(w, SPI, spi, LEVEL_HIGH);
    cell(w, "clocks", PHANDLE_CLOCK);
    string(w, "clock-names", "apb_pclk");
    cell(w, "phandle", phandle);
    if (secure)
        only_secure(w);
    end(w);
}

static void add_gpio(struct writer *w)
{
    add_pl061(w, VIRT_GPIO, SPI_GPIO, PHANDLE_GPIO, false);
    node(w, "gpio-keys");
    string(w, "compatible", "gpio-keys");
    node(w, "poweroff");
    string(w, "label", "GPIO Key Poweroff");
    cell(w, "linux,code", KEY_POWER);
    cells(w, "gpios", (const uint32_t[]){PHANDLE_GPIO, GPIO_POWER_KEY, 0}, 3);
    end(w);
    end(w);
}

static void add_power_line(struct writer *w, const char *name, uint32_t line)
{
    node(w, name);
    string(w, "compatible", name);
    cells(w, "gpios", (const uint32_t[]){PHANDLE_SECURE_GPIO, line, 0}, 3);
    only_secure(w);
    end(w);
}

static void add_secure_gpio(struct writer *w)
{
    add_pl061(w, VIRT_SECURE_GPIO, SPI_SECURE_GPIO, PHANDLE_SECURE_GPIO, true);
    add_power_line(w, "gpio-poweroff", GPIO_POWER_OFF);
    add_power_line(w, "gpio-restart", GPIO_RESTART);
}

static void add_fw_cfg(struct writer *w)
{
    begin_at(w, "fw-cfg", VIRT_FW_CFG);
    string(w, "compatible", "qemu,fw-cfg-mmio");
    reg1(w, VIRT_FW_CFG, 0x18);
    flag(w, "dma-coherent");
    end(w);
}

/* Both banks are one, unless the first is for the Secure state only. */
static void add_flash(struct writer *w, const struct virt *v)
{
    const uint64_t banks[] = {VIRT_FLASH, VIRT_FLASH_BYTES, VIRT_FLASH_BYTES, VIRT_FLASH_BYTES};

    if (v->config.secure) {
        begin_at(w, "secflash", VIRT_FLASH);
        string(w, "compatible", "cfi-flash");
        reg(w, "reg", banks, 1);
        cell(w, "bank-width", 4);
        only_secure(w);
        end(w);
    }
    begin_at(w, "flash", v->config.secure ? VIRT_FLASH_BYTES : VIRT_FLASH);
    string(w, "compatible", "cfi-flash");
    reg(w, "reg", v->config.secure ? banks + 2 : banks, v->config.secure ? 1 : 2);
    cell(w, "bank-width", 4);
    end(w);
}

static void add_virtio(struct writer *w)
{
    for (unsigned i = 0; i < VIRT_MMIO_SLOTS; i++) {
        uint64_t base = VIRT_MMIO + i * VIRTIO_MMIO_SLOT_BYTES;

        begin_at(w, "virtio_mmio", base);
        string(w, "compatible", "virtio,mmio");
        reg1(w, base, VIRTIO_MMIO_SLOT_BYTES);
        interrupt(w, SPI, SPI_MMIO + i, EDGE_RISING);
        flag(w, "dma-coherent");
        end(w);
    }
}

/* What is plugged in by --device and has no bus of its own; addresses there are offsets. */
static void add_platform_bus(struct writer *w)
{
    static const char compatible[] = "qemu,platform\0simple-bus";

    begin_at(w, "platform-bus", VIRT_PLATFORM_BUS);
    STRINGS(w, "compatible", compatible);
    cell(w, "#size-cells", 1);
    cell(w, "#address-cells", 1);
    cell(w, "interrupt-parent", PHANDLE_GIC);
    cells(w, "ranges", (const uint32_t[]){0, 0, VIRT_PLATFORM_BUS, VIRT_PLATFORM_BUS_BYTES}, 4);
    begin_at(w, "tpm_tis", 0);
    string(w, "compatible", "tcg,tpm-tis-mmio");
    cells(w, "reg", (const uint32_t[]){0, TPM_REGION_BYTES}, 2);
    end(w);
    end(w);
}

static void add_memory(struct writer *w, const struct virt *v)
{
    begin_at(w, "memory", VIRT_RAM_BASE);
    string(w, "device_type", "memory");
    reg1(w, VIRT_RAM_BASE, v->config.memory_bytes);
    end(w);
    if (!v->config.secure)
        return;
    begin_at(w, "secram", VIRT_SECURE_MEM);
    string(w, "device_type", "memory");
    reg1(w, VIRT_SECURE_MEM, VIRT_SECURE_MEM_BYTES);
    only_secure(w);
    end(w);
}

static void add_chosen(struct writer *w, const struct virt *v)
{
    uint64_t initrd[2] = {v->plan.initrd_start, v->plan.initrd_end};

    node(w, "chosen");
    if (v->config.append)
        string(w, "bootargs", v->config.append);
    string(w, "stdout-path", "/pl011@9000000");
    if (v->direct && initrd[0] != initrd[1]) {
        cells(w, "linux,initrd-start", (const uint32_t[]){(uint32_t)(initrd[0] >> 32), (uint32_t)initrd[0]}, 2);
        cells(w, "linux,initrd-end", (const uint32_t[]){(uint32_t)(initrd[1] >> 32), (uint32_t)initrd[1]}, 2);
    }
    end(w);
}

static void add_all(struct writer *w, const struct virt *v)
{
    node(w, "");
    string(w, "compatible", "linux,dummy-virt");
    string(w, "model", "linux,dummy-virt");
    cell(w, "#size-cells", 2);
    cell(w, "#address-cells", 2);
    cell(w, "interrupt-parent", PHANDLE_GIC);
    flag(w, "dma-coherent");
    add_chosen(w, v);
    node(w, "aliases");
    string(w, "serial0", "/pl011@9000000");
    end(w);
    add_psci(w, v);
    add_memory(w, v);
    add_cpu(w, v);
    add_timer(w, v);
    add_gic(w, v);
    add_clock(w);
    add_flash(w, v);
    add_uart(w, VIRT_UART, SPI_UART, false);
    add_rtc(w);
    add_gpio(w);
    if (v->config.secure) {
        add_uart(w, VIRT_SECURE_UART, SPI_SECURE_UART, true);
        add_secure_gpio(w);
        node(w, "secure-chosen");
        string(w, "stdout-path", "/pl011@9040000");
        end(w);
    }
    add_fw_cfg(w);
    add_virtio(w);
    if (v->tpm)
        add_platform_bus(w);
    add_pci(w, v);
    end(w);
}

/* Firmware that changes the tree in its place finds as much room as on QEMU's board. */
static void leave_room(struct virt *v)
{
    size_t used = v->dtb.len;

    if (v->direct || v->config.memory_bytes < 4 * FIRMWARE_DTB_BYTES)
        return;
    memset(buffer_reserve(&v->dtb, FIRMWARE_DTB_BYTES - used), 0, FIRMWARE_DTB_BYTES - used);
    v->dtb.len = FIRMWARE_DTB_BYTES;
    fdt_set_totalsize(v->dtb.data, (uint32_t)v->dtb.len);
}

int virt_make_device_tree(struct virt *v, struct error *err)
{
    size_t room = A64_DTB_BYTES - (v->plan.pen ? A64_PEN_BYTES : 0);
    struct writer w = {.fdt = buffer_reserve(&v->dtb, room)};

    memset(w.fdt, 0, room);
    w.rc = fdt_create(w.fdt, (int)room);
    if (!w.rc && v->plan.pen)
        w.rc = fdt_add_reservemap_entry(w.fdt, v->plan.pen, A64_PEN_BYTES);
    if (!w.rc)
        w.rc = fdt_finish_reservemap(w.fdt);
    add_all(&w, v);
    if (!w.rc)
        w.rc = fdt_finish(w.fdt);
    if (w.rc)
        return error_set(err, -ENOSPC, "the kernel command line is too long for the device tree (%s)",
                         fdt_strerror(w.rc));
    v->dtb.len = fdt_totalsize(w.fdt);
    leave_room(v);
    return 0;
}
