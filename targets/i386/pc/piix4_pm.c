/*
 * The power management function of the PIIX4 (Intel 290562, chapter 7; ACPI
 * 2.0 4.7), PCI function 00:01.3: PM1 event and control registers, the 24-bit
 * PM timer, the power button, the clock's alarm, soft-off, and the APM ports through which an OS
 * switches ACPI mode on and off.
 *
 * TMR_STS is computed from the timer's ticks; only an enabled timer interrupt
 * has a deadline.
 *
 * Of the sleep types soft-off and, if the board has it, suspend to RAM are there, as the board's tables and the
 * firmware's "etc/system-states" say: SLP_EN with another one does what a reserved
 * type does in the chip, nothing. The machine runs on and WAK_STS stays clear.
 *
 * Suspended to RAM, SLP_EN stays set in the state (where nobody reads it: it is write-only, and there is nobody). PM1 status and enables
 * have power. The power button wakes, the clock's alarm if it is enabled, and so does either if it was there before (ACPI 6.5, 4.8.3.1.1);
 * then WAK_STS is set, and all but the status comes out of reset, as on QEMU's board. What else wakes (keys, the user) looks
 * like the power button, as there.
 *
 * A write of APMC raises an SMI, if DEVACTB.APMC_EN lets it. The data sheet wants GLBCTL.SMI_EN, too; QEMU's and Bochs's boards do
 * not, and firmware that is made for these (Bochs's own) waits for the SMI without having set it. ACPI mode, which firmware's handler
 * would switch, is switched by the value as well, for those that have no handler.
 *
 * Not modelled: the other suspended states, other sources of SMI and EOS (each write is a pulse of its own), device monitors,
 * throttling, SMBus, general purpose I/O (its registers are kept).
 */
#include "i386/pc/piix4_pm.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/clock.h"
#include "vm/machine.h"

#define REG_PMBA      0x40u
#define REG_DEVACTB   0x58u
#define REG_PMREGMISC 0x80u

enum { PMSTS = 0x00, PMEN = 0x02, PMCNTRL = 0x04, PMTMR = 0x08, GPSTS = 0x0c, GPEN = 0x0e,
       GLBSTS = 0x18 };

#define STS_TMR    0x0001u
#define STS_PWRBTN 0x0100u
#define STS_RTC    0x0400u
#define STS_WAK    0x8000u
#define STS_CLEARABLE 0x8d31u
#define EN_BITS    0x0521u
#define CNT_SCI_EN 0x0001u
#define CNT_SLP_EN 0x2000u
#define CNT_SLP_TYP 0x1c00u
#define SLP_SOFT_OFF 0u
#define SLP_TO_RAM   PM_SLP_TYP_S3
#define DEVACTB3_APMC_EN 0x02u /* bit 25 of DEVACTB */
#define GLBSTS_APM 0x20u

#define HALF_WRAP ((uint64_t)1 << 23) /* TMR_STS: bit 23 changes */

DEVICE_STATE_BEGIN
struct piix4_pm_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t io[PM_IO_BYTES];  /* registers without behaviour keep their bytes here */
    uint16_t sts, en, cnt;    /* sts without TMR_STS */
    uint8_t apm_control, apm_status;
    uint64_t overflow;        /* timer tick at which TMR_STS is set */
    uint64_t wake;            /* vtime of an enabled timer interrupt to come, or VTIME_NEVER */
};
DEVICE_STATE_END

static uint64_t ticks_now(const struct device *dev)
{
    return clock_ticks(machine_now(dev->machine), PM_TIMER_HZ);
}

static uint16_t status(const struct device *dev, uint64_t tick)
{
    const struct piix4_pm_state *s = dev->state;

    return (uint16_t)(s->sts | (tick >= s->overflow ? STS_TMR : 0));
}

static bool asleep(const struct piix4_pm_state *s)
{
    return s->cnt & CNT_SLP_EN;
}

static void update_sci(struct device *dev, uint64_t tick)
{
    const struct piix4_pm_wiring *w = dev->wiring;
    struct piix4_pm_state *s = dev->state;
    bool works = (s->cnt & CNT_SCI_EN) && !asleep(s), awaited = works && (s->en & STS_TMR) && tick < s->overflow;

    s->wake = awaited ? clock_time(s->overflow, PM_TIMER_HZ) : VTIME_NEVER;
    line_set(&w->sci, works && (status(dev, tick) & s->en));
}

static void write_status(struct piix4_pm_state *s, uint64_t tick, uint16_t value)
{
    s->sts &= (uint16_t)~(value & STS_CLEARABLE);
    if ((value & STS_TMR) && tick >= s->overflow)
        s->overflow = (tick / HALF_WRAP + 1) * HALF_WRAP;
}

/* Asleep, or about to be: does anything wake it? */
static void look_for_wake(struct device *dev)
{
    struct piix4_pm_state *s = dev->state;

    if (!(s->sts & (STS_PWRBTN | (s->en & STS_RTC))))
        return;
    s->sts |= STS_WAK;
    machine_request_wake(dev->machine);
}

static void write_control(struct device *dev, uint16_t value)
{
    const struct piix4_pm_wiring *w = dev->wiring;
    struct piix4_pm_state *s = dev->state;
    unsigned type = (value & CNT_SLP_TYP) >> 10;

    s->cnt = value & (CNT_SLP_TYP | CNT_SCI_EN | 0x2u);
    if (!(value & CNT_SLP_EN))
        return;
    if (type == SLP_SOFT_OFF)
        machine_end(dev->machine, GUEST_POWEROFF, 0);
    if (type == SLP_TO_RAM && w->has_s3) {
        s->cnt |= CNT_SLP_EN;
        machine_request_sleep(dev->machine);
        look_for_wake(dev);
    }
}

static uint8_t read_byte(const struct device *dev, unsigned offset, uint64_t tick)
{
    const struct piix4_pm_state *s = dev->state;

    switch (offset & ~1u) {
    case PMSTS:
        return (uint8_t)(status(dev, tick) >> (8 * (offset & 1u)));
    case PMEN:
        return (uint8_t)(s->en >> (8 * (offset & 1u)));
    case PMCNTRL:
        return (uint8_t)((s->cnt & ~CNT_SLP_EN) >> (8 * (offset & 1u)));
    case PMTMR:
    case PMTMR + 2:
        return (uint8_t)((tick & 0xffffffu) >> (8 * (offset & 3u)));
    default:
        return s->io[offset];
    }
}

/* A byte of a 16-bit register as a full-width write that leaves the other byte alone. */
static uint16_t widen(unsigned offset, uint8_t byte, uint16_t old)
{
    return offset & 1u ? (uint16_t)((old & 0x00ffu) | (unsigned)byte << 8) : (uint16_t)((old & 0xff00u) | byte);
}

static void write_bytes(struct device *dev, unsigned offset, unsigned size, uint32_t value, uint64_t tick)
{
    struct piix4_pm_state *s = dev->state;

    for (unsigned i = 0; i < size; i++) {
        unsigned reg = offset + i;
        uint8_t byte = (uint8_t)(value >> (8 * i));

        switch (reg & ~1u) {
        case PMSTS:
            write_status(s, tick, widen(reg, byte, 0));
            break;
        case PMEN:
            s->en = widen(reg, byte, s->en) & EN_BITS;
            break;
        case PMCNTRL: /* SLP_EN and SLP_TYP are in the same byte */
            write_control(dev, widen(reg, byte, s->cnt & (uint16_t)~CNT_SLP_EN));
            break;
        case PMTMR:
        case PMTMR + 2:
            break;
        case GPSTS:
        case GLBSTS:
            s->io[reg] &= (uint8_t)~byte;
            break;
        default:
            s->io[reg] = byte;
            break;
        }
    }
}

static uint64_t pm_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct piix4_pm_state *s = dev->state;
    uint64_t tick = ticks_now(dev), value = 0;

    if (range == PM_APM)
        return offset ? s->apm_status : s->apm_control;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_byte(dev, (unsigned)offset + i, tick) << (8 * i);
    return value;
}

static void raise_smi(struct device *dev)
{
    const struct piix4_pm_wiring *w = dev->wiring;
    struct piix4_pm_state *s = dev->state;

    if (!(s->config[REG_DEVACTB + 3] & DEVACTB3_APMC_EN))
        return;
    s->io[GLBSTS] |= GLBSTS_APM;
    if (w->smi)
        w->smi(w->smi_ctx);
}

static void write_apm(struct device *dev, uint64_t offset, uint8_t value)
{
    struct piix4_pm_state *s = dev->state;

    if (offset) {
        s->apm_status = value;
        return;
    }
    s->apm_control = value;
    if (value == PM_ACPI_ENABLE)
        s->cnt |= CNT_SCI_EN;
    else if (value == PM_ACPI_DISABLE)
        s->cnt &= (uint16_t)~CNT_SCI_EN;
    raise_smi(dev);
}

static void pm_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t tick = ticks_now(dev);

    if (range == PM_APM)
        write_apm(dev, offset, (uint8_t)value);
    else
        write_bytes(dev, (unsigned)offset, size, (uint32_t)value, tick);
    update_sci(dev, tick);
}

uint16_t piix4_pm_base(const struct device *dev)
{
    const struct piix4_pm_state *s = dev->state;

    if (!(s->config[REG_PMREGMISC] & 1u))
        return 0;
    return (uint16_t)(s->config[REG_PMBA + 1] << 8 | (s->config[REG_PMBA] & 0xc0u));
}

void piix4_pm_firmware_setup(struct device *dev)
{
    const struct piix4_pm_wiring *w = dev->wiring;
    struct piix4_pm_state *s = dev->state;

    s->config[REG_PMBA] = (uint8_t)PM_DEFAULT_BASE | 1u;
    s->config[REG_PMBA + 1] = PM_DEFAULT_BASE >> 8;
    s->config[REG_PMREGMISC] = 1;
    s->config[PCI_INTERRUPT_LINE] = PM_SCI_IRQ;
    s->cnt |= CNT_SCI_EN;
    w->map_changed(w->map_ctx);
}

static void happens(struct device *dev, uint16_t what)
{
    struct piix4_pm_state *s = dev->state;

    s->sts |= what;
    if (asleep(s))
        look_for_wake(dev);
    else
        update_sci(dev, ticks_now(dev));
}

bool piix4_pm_asleep(const struct device *dev)
{
    return asleep(dev->state);
}

void piix4_pm_power_button(struct device *dev)
{
    happens(dev, STS_PWRBTN);
}

void piix4_pm_rtc_alarm(struct device *dev)
{
    happens(dev, STS_RTC);
}

static void written(struct device *dev, unsigned offset, unsigned size)
{
    const struct piix4_pm_wiring *w = dev->wiring;

    (void)offset, (void)size;
    w->map_changed(w->map_ctx);
}

void piix4_pm_plug(struct device *dev, struct pci_bus *bus)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x7113, .class_code = 0x068000, .revision = 3,
                                           .pin = 1, .command = PCI_COMMAND_IO};
    struct piix4_pm_wiring *w = dev->wiring;
    struct piix4_pm_state *s = dev->state;
    struct pci_function *f = &w->pci;

    pci_function_init(f, bus, PCI_DEVFN(1, 3), dev, s->config, &id);
    f->written = written;
    f->writable[PCI_CACHE_LINE] = f->writable[PCI_LATENCY] = 0;
    memset(f->writable + REG_PMBA, 0xff, PCI_CONFIG_BYTES - REG_PMBA);
    f->writable[REG_PMBA] = 0xc0;
    put_le16(f->reset + PCI_STATUS, 0x0280);
    f->reset[REG_PMBA] = 1;
    f->reset[0x90] = 1;
}

static void pm_reset(struct device *dev)
{
    struct piix4_pm_wiring *w = dev->wiring;
    struct piix4_pm_state *s = dev->state;
    uint64_t tick = ticks_now(dev);
    enum reset_kind kind = dev->machine->resetting;
    struct piix4_pm_state was = *s;

    memset(s, 0, sizeof(*s));
    if (kind == RESET_SLEEP || kind == RESET_WAKE)
        s->sts = was.sts;
    if (kind == RESET_SLEEP) {
        s->en = was.en;
        s->cnt = was.cnt;
    }
    pci_function_reset(&w->pci);
    s->overflow = (tick / HALF_WRAP + 1) * HALF_WRAP;
    update_sci(dev, tick);
    w->map_changed(w->map_ctx);
}

static vtime_t pm_deadline(const struct device *dev)
{
    const struct piix4_pm_state *s = dev->state;

    return s->wake;
}

static void pm_expire(struct device *dev, vtime_t now)
{
    update_sci(dev, clock_ticks(now, PM_TIMER_HZ));
}

static void pm_describe(const struct device *dev, struct buffer *b)
{
    const struct piix4_pm_state *s = dev->state;
    uint64_t tick = ticks_now(dev);

    buffer_printf(b, "base %04x sts %04x en %04x cnt %04x timer %06x\n", piix4_pm_base(dev), status(dev, tick),
                  s->en, s->cnt, (unsigned)(tick & 0xffffffu));
}

const struct device_ops piix4_pm_ops = {
    .name = "piix4_pm",
    .state_size = sizeof(struct piix4_pm_state),
    .calm_reads = true,
    .reset = pm_reset,
    .deadline = pm_deadline,
    .expire = pm_expire,
    .describe = pm_describe,
    .read = pm_read,
    .write = pm_write,
};
