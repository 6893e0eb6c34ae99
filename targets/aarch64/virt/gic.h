/*
 * The generic interrupt controller, versions 2 and 3: what the two
 * share (gic.c), and their register interfaces (gicv2.c, gicv3.c).
 *
 * There is a device for each CPU: its private interrupts (the redistributor, in version 3) and its CPU
 * interface. The first has the distributor, too. Accesses by address go to the first, and are to the device of the CPU that
 * makes them.
 */
#ifndef HINDCAST_AARCH64_VIRT_GIC_H
#define HINDCAST_AARCH64_VIRT_GIC_H

#include "vm/machine.h"

#define GIC_SPIS   256u
#define GIC_FIRST_PPI 16u
#define GIC_FIRST_SPI 32u
#define GIC_IRQS   (GIC_FIRST_SPI + GIC_SPIS)
#define GIC_WORDS  (GIC_IRQS / 32)
#define GIC_SGIS   16u
#define GIC_LRS    4u

/* Special interrupt numbers. */
#define GIC_SECURE      1020u /* version 3, for EL3: one of Secure group 1 */
#define GIC_NONSECURE   1021u /* likewise, of Non-secure group 1 */
#define GIC_OTHER_GROUP 1022u
#define GIC_SPURIOUS    1023u

/* Groups; version 2 has G0 and G1. G1 is Non-secure group 1. */
enum gic_group { GIC_G0, GIC_G1S, GIC_G1, GIC_GROUPS };

/* GICD_CTLR as it is kept: enable bits by group. */
#define GICD_EN_G0  1u
#define GICD_EN_G1  2u
#define GICD_EN_G1S 4u

DEVICE_STATE_BEGIN
/* One bit for each of 32 interrupts. */
struct gic_bank {
    uint32_t enabled;
    uint32_t latch;    /* made pending by an edge or by software */
    uint32_t level;    /* the input lines */
    uint32_t active;
    uint32_t edge;     /* edge-triggered rather than level-sensitive */
    uint32_t group;    /* group 1 */
    uint32_t grpmod;   /* with group 0: Secure group 1 (version 3) */
    uint32_t reserved;
};

struct gic_state {
    /* Private interrupts. */
    struct gic_bank own;
    uint8_t own_priority[32];
    uint8_t sgi_sources[GIC_SGIS]; /* CPUs that sent it, while it is pending (version 2) */
    uint32_t waker;               /* GICR_WAKER */

    /* CPU interface. */
    uint32_t pmr;
    uint32_t bpr[GIC_GROUPS];
    uint32_t apr[GIC_GROUPS];     /* active priorities: bit n for priority n << 3 */
    uint32_t on[GIC_GROUPS];      /* group enables of the CPU interface */
    uint32_t cbpr[2];             /* group 1 uses group 0's binary point; [Secure] */
    uint32_t eoi_split[2];        /* EOImode: EOI drops the priority only; [Secure] */
    uint32_t fiq_en, ack_ctl;     /* GICC_CTLR.FIQEn, AckCtl (version 2) */
    uint32_t bypass;              /* GICC_CTLR bits 5-8 (kept); 1: ICC_CTLR_EL3.EOImode_EL3 (version 3) */

    /* Virtual CPU interface. List registers are in the layout of ICH_LR<n>_EL2. */
    uint32_t hcr, vmcr;           /* in the layout of ICH_HCR_EL2, ICH_VMCR_EL2 */
    uint32_t vapr[2];
    uint64_t lr[GIC_LRS];

    /* Distributor: the first device's only. */
    struct gic_bank spi[GIC_WORDS - 1];
    uint8_t spi_priority[GIC_SPIS];
    uint64_t router[GIC_SPIS];    /* GICD_IROUTER<n> (version 3) */
    uint8_t targets[GIC_SPIS];    /* masks of CPUs (version 2, with several of them) */
    uint32_t ctlr;                /* GICD_EN_* */
    uint32_t reserved2;
};
DEVICE_STATE_END
#define GIC_STATE_VERSION 1u

struct a64_cpu;

/* All of them, by number of the CPU. */
struct gic_bus {
    struct device *gics[MACHINE_MAX_CPUS];
    unsigned count;
};

struct gic_wiring {
    const struct gic_bus *bus; /* NULL: there is one device */
    unsigned number;        /* of the CPU */
    uint32_t affinity;      /* of it: levels 0 to 3 in bytes */
    unsigned version;       /* 2 or 3 */
    bool security;          /* two security states (EL3 exists) */
    bool virtualization;    /* the virtual CPU interface exists */
    const struct a64_cpu *cpu; /* its exception level and security state are looked at */
    struct device *lpis;    /* version 3: the CPU's LPIs; NULL: there are none */
    bool nonsecure;         /* the access in progress to a register in memory is a Non-secure one */
    struct line irq, fiq, virq, vfiq;
};

/* ---- gic.c ---- */

unsigned gic_count(const struct device *dev);
/* The device of the CPU that makes an access by address to the first. */
struct device *gic_of_runner(struct device *first);
/* The device of a CPU by number. */
struct device *gic_nth(const struct device *dev, unsigned n);
/* What has the distributor. */
struct gic_state *gic_shared(const struct device *dev);
/* Bits of interrupts 32 * word..., as this CPU sees them. */
struct gic_bank *gic_bank_of(const struct device *dev, unsigned word);

/* Fits struct line: `ctx` is the device, `n` the interrupt number (16 and up). */
void gic_set_line(void *ctx, unsigned n, bool level);
/* Compute what the CPUs see, after any change. */
void gic_update(struct device *dev);
/* After a reset, for a guest that comes without Secure firmware: everything is group 1. */
void gic_all_nonsecure(struct device *dev);
/* Fits a64_cpu.security_changed; `ctx` is the device. */
void gic_security_changed(void *ctx);
/* Is the CPU in the Secure state (EL3 always is)? */
bool gic_cpu_secure(const struct gic_wiring *w);
/* An access to a register in memory begins: note whose it is. */
void gic_note_security(struct device *dev);
/* Does the access in progress to a register in memory see the Non-secure view? */
bool gic_nonsecure_view(const struct device *dev);
enum gic_group gic_group_of(const struct device *dev, unsigned irq);

/* The pending interrupt of highest priority whose group is enabled, whether or not the CPU
 * interface lets it through; GIC_SPURIOUS: none. */
unsigned gic_best(const struct device *dev);
/* Is there such an interrupt? */
bool gic_is_there(const struct device *dev, unsigned irq);
/* May it preempt what runs, and pass the priority mask? */
bool gic_preempts(const struct device *dev, unsigned irq);
/* Take it: it becomes active, its priority the running one. */
void gic_activate(struct device *dev, unsigned irq);
/* Priority that runs, 0xff: none. *group gets whose it is. */
unsigned gic_running(const struct device *dev, enum gic_group *group);
void gic_drop_priority(struct device *dev);
/* Priority mask and running priority as a CPU interface's registers show them. `halved`: to the Non-secure state, for
 * which the lower half of the priorities is all there are (IHI 0048, 3.8.1; IHI 0069, 4.8.1). */
uint32_t gic_read_pmr(const struct device *dev, bool halved);
void gic_write_pmr(struct device *dev, uint32_t value, bool halved);
uint32_t gic_read_rpr(const struct device *dev, bool halved);
/* A binary point from a value written: `least` or more. */
uint32_t gic_bpr(uint32_t value, uint32_t least);
/* With CBPR the Non-secure binary point shows group 0's, by one more (IHI 0048, 3.6.1). */
uint32_t gic_common_bpr(const struct device *dev);
void gic_deactivate(struct device *dev, unsigned irq);

/* Registers that are the same in the distributor and in a version 3 redistributor, 32 bits at
 * a time, limited to interrupts of words [first, last] of the bitmaps. `mask`: the bits being written. */
uint32_t gic_bank_read(struct device *dev, uint32_t offset, unsigned first, unsigned last);
void gic_bank_write(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask, unsigned first, unsigned last);
void gic_reset(struct device *dev);
void gic_describe(const struct device *dev, struct buffer *b);

/* Lower bits of a register, for accesses narrower or wider than 32 bits. */
typedef uint32_t gic_read32(struct device *dev, uint32_t offset);
typedef void gic_write32(struct device *dev, uint32_t offset, uint32_t value, uint32_t mask);
uint64_t gic_read_sized(struct device *dev, uint64_t offset, unsigned size, gic_read32 *read);
void gic_write_sized(struct device *dev, uint64_t offset, unsigned size, uint64_t value, gic_write32 *write);

/* ---- gic_virt.c: the virtual CPU interface, as version 3 has it ---- */

/* Write the bits of `mask` of ICH_VMCR_EL2 (or GICH_VMCR, which is laid out the same). */
void gic_set_vmcr(struct gic_state *s, uint32_t mask, uint32_t value);
/* Virtual IRQ and FIQ, and the maintenance interrupt (PPI 9). */
void gic_virt_update(struct device *dev);
uint32_t gic_virt_misr(const struct device *dev);
uint32_t gic_virt_eisr(const struct device *dev);
uint32_t gic_virt_elrsr(const struct device *dev);
/* Guest's acknowledge, end, deactivate of an interrupt of group 0 or 1; running priority; best pending. */
unsigned gic_virt_acknowledge(struct device *dev, unsigned group);
unsigned gic_virt_best(const struct device *dev, unsigned group);
void gic_virt_end(struct device *dev, unsigned group, unsigned irq);
void gic_virt_deactivate(struct device *dev, unsigned irq);
unsigned gic_virt_running(const struct device *dev);

/* ---- the devices ---- */

/* Version 2: ranges GICV2_*. Version 3: ranges GICV3_*. */
enum { GICV2_DIST, GICV2_CPU, GICV2_HYP, GICV2_VCPU };
enum { GICV3_DIST, GICV3_REDIST };
extern const struct device_ops gicv2_ops, gicv3_ops;
/* Of the devices but the first. */
extern const struct device_ops gic_cpu_ops;

/* a64_cpu.gic_read and gic_write; `ctx` is the device. */
bool gicv3_sysreg_read(void *ctx, uint32_t enc, uint64_t *value);
bool gicv3_sysreg_write(void *ctx, uint32_t enc, uint64_t value);
/* a64_cpu.gic_trap: the level that an access to the register from the current one traps to, or 0. */
unsigned gicv3_sysreg_trap(void *ctx, uint32_t enc, bool write);

#endif
