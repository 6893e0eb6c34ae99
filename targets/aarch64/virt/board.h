/* The virt board's own wiring and memory map, shared by the files that make up the board. */
#ifndef HINDCAST_AARCH64_VIRT_BOARD_H
#define HINDCAST_AARCH64_VIRT_BOARD_H

#include "aarch64/boot/boot.h"
#include "aarch64/cpu.h"
#include "aarch64/virt.h"
#include "aarch64/virt/gic.h"
#include "aarch64/virt/gicv2m.h"
#include "aarch64/virt/its.h"
#include "aarch64/virt/lpi.h"
#include "base/buffer.h"
#include "vm/dev/cfi_flash.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/boot_order.h"
#include "vm/dev/parts.h"
#include "vm/dev/pci_host.h"
#include "vm/dev/pci_root.h"
#include "vm/dev/pl011.h"
#include "vm/dev/pl031.h"
#include "vm/dev/pl061.h"
#include "vm/dev/tpm.h"
#include "vm/dev/virtio_mmio.h"

/* Memory map. */
enum {
    VIRT_FLASH = 0x00000000, VIRT_GIC_DIST = 0x08000000, VIRT_GIC_CPU = 0x08010000, VIRT_GIC_V2M = 0x08020000, VIRT_GIC_HYP = 0x08030000,
    VIRT_GIC_VCPU = 0x08040000, VIRT_GIC_ITS = 0x08080000, VIRT_GIC_REDIST = 0x080a0000, VIRT_UART = 0x09000000, VIRT_RTC = 0x09010000,
    VIRT_FW_CFG = 0x09020000, VIRT_GPIO = 0x09030000, VIRT_SECURE_UART = 0x09040000,
    VIRT_SECURE_GPIO = 0x090b0000, VIRT_MMIO = 0x0a000000,
    VIRT_PLATFORM_BUS = 0x0c000000, VIRT_SECURE_MEM = 0x0e000000, VIRT_PCI_MEMORY = 0x10000000, VIRT_PCI_IO = 0x3eff0000,
};
#define VIRT_PCI_MEMORY_BYTES 0x2eff0000u
#define VIRT_PCI_ECAM         0x4010000000ull
#define VIRT_PCI_ECAM_LOW     0x3f000000u /* with `lowmem`: 16 buses */
#define VIRT_PCI_ECAM_LOW_BYTES 0x1000000u
#define VIRT_PCI_HIGH         0x8000000000ull /* the 64-bit window */
#define VIRT_PCI_HIGH_BYTES   0x8000000000ull
#define VIRT_PLATFORM_BUS_BYTES 0x2000000u
#define VIRT_REDIST_BYTES     0x20000u /* of each CPU */
#define VIRT_SECURE_MEM_BYTES 0x1000000u
#define VIRT_MMIO_SLOTS       32u

/* Shared interrupts, and private ones of the CPU, by their numbers in the device tree. */
enum { SPI_SECURE_GPIO = 0, SPI_UART = 1, SPI_RTC = 2, SPI_PCI = 3, SPI_GPIO = 7, SPI_SECURE_UART = 8, SPI_MMIO = 16,
       SPI_MESSAGES = 48 };
#define VIRT_MESSAGES 64u /* SPIs that messages can raise */

enum { PPI_PMU = 7, PPI_MAINTENANCE = 9, PPI_TIMER_HYP = 10, PPI_TIMER_VIRT = 11, PPI_TIMER_SEC = 13,
       PPI_TIMER_PHYS = 14 };

#define GPIO_POWER_KEY 3u
/* Lines of the Secure GPIO, through which Secure firmware switches the machine off and resets it. */
enum { GPIO_POWER_OFF, GPIO_RESTART };

/* How the guest calls PSCI. */
enum psci_conduit { PSCI_NONE, PSCI_HVC, PSCI_SMC };

struct virt {
    struct machine *machine;
    struct a64_cpu *cpu;        /* CPU 0, which a kernel is started on */
    struct virt_config config;  /* a copy; images and strings stay the caller's */
    struct a64_boot_plan plan;  /* direct boot */
    bool direct;                /* a kernel is started without firmware */
    bool topmost;               /* it is firmware itself: started at EL3, on all CPUs */
    enum psci_conduit psci;
    struct buffer dtb;
    struct boot_order boot;     /* what firmware can boot from */
    bool tpm;                   /* config.parts has one */

    struct gic_bus gics;
    uint32_t mmio_used;           /* virtio-mmio slots that have a device: a bit each */
    struct device *gic, *v2m, *pci, *pci_root, *uart[2], *rtc, *gpio, *secure_gpio, *fwcfg, *mmio, *flash[2], *semihost;
    struct device *its;           /* NULL: there is none */
    struct gic_wiring gic_wiring[MACHINE_MAX_CPUS];
    struct lpi_wiring lpi_wiring[MACHINE_MAX_CPUS];
    struct its_wiring its_wiring;
    struct gicv2m_wiring v2m_wiring;
    struct ports ports;           /* PCI's I/O space */
    struct pci_bus pci_bus;
    struct pci_root_wiring pci_root_wiring;
    struct pl011_wiring uart_wiring[2];
    struct pl031_wiring rtc_wiring;
    struct pl061_wiring gpio_wiring, secure_gpio_wiring;
    struct fwcfg_wiring fwcfg_wiring;
    struct cfi_flash_wiring flash_wiring[2];
};

static inline struct a64_cpu *virt_cpu(const struct virt *v, unsigned n)
{
    return (struct a64_cpu *)(void *)v->machine->cpus[n];
}
/* Of the configuration. */
unsigned virt_cpu_count(const struct virt *v);
/* Affinity levels 0 to 3 of a CPU, in bytes. */
uint32_t virt_affinity(const struct virt *v, unsigned n);

/* dtb.c: make virt.dtb. */
int virt_make_device_tree(struct virt *v, struct error *err);

/* semihost.c: the device, and a64_cpu.semihost. */
extern const struct device_ops semihost_ops;
enum a64_semihost virt_semihost(void *ctx, struct a64_cpu *cpu);

/* psci.c: a64_cpu.firmware_call. */
bool virt_firmware_call(void *ctx, struct a64_cpu *cpu, bool smc);

#endif
