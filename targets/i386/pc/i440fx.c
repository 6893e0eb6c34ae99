/*
 * The 82441FX PCI and memory controller of the 440FX (Intel 290549), as PCI
 * function 00:00.0: identity, PAM registers (3.2.14), SMRAM (3.2.18). Other
 * registers of device space are kept and do nothing. Once SMRAM is locked, DLCK and DOPEN stay as they are.
 *
 * Not modelled: DRAM timing and row boundaries, the memory hole (FDHC), error
 * reporting.
 */
#include "i386/pc/i440fx.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/machine.h"

#define REG_PAM0  0x59u
#define REG_PAM6  0x5fu
#define REG_SMRAM 0x72u
#define SMRAM_BASE_SEG 0x02u
#define SMRAM_ENABLE 0x08u
#define SMRAM_LOCK 0x10u
#define SMRAM_CLOSED 0x20u
#define SMRAM_OPEN 0x40u

DEVICE_STATE_BEGIN
struct i440fx_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t locked; /* SMRAM.DLCK was set */
    uint8_t reserved[7];
};
DEVICE_STATE_END

/* Register and bit position of a segment's attributes: PAM0[7:4] is F0000h, then nibbles upwards from C0000h. */
static unsigned pam_register(unsigned n, unsigned *shift)
{
    if (n == I440FX_BIOS_SEGMENT) {
        *shift = 4;
        return REG_PAM0;
    }
    *shift = n & 1u ? 4 : 0;
    return REG_PAM0 + 1 + n / 2;
}

unsigned i440fx_pam(const struct device *dev, unsigned n)
{
    const struct i440fx_state *s = dev->state;
    unsigned shift, reg = pam_register(n, &shift);

    return s->config[reg] >> shift & 3u;
}

void i440fx_set_pam(struct device *dev, unsigned n, unsigned attributes)
{
    const struct i440fx_wiring *w = dev->wiring;
    struct i440fx_state *s = dev->state;
    unsigned shift, reg = pam_register(n, &shift);

    s->config[reg] = (uint8_t)((s->config[reg] & ~(3u << shift)) | attributes << shift);
    w->map_changed(w->map_ctx);
}

bool i440fx_smram_open(const struct device *dev)
{
    const struct i440fx_state *s = dev->state;

    return (s->config[REG_SMRAM] & (SMRAM_ENABLE | SMRAM_OPEN | SMRAM_CLOSED)) == (SMRAM_ENABLE | SMRAM_OPEN);
}

bool i440fx_smram_enabled(const struct device *dev, bool data)
{
    const struct i440fx_state *s = dev->state;

    return (s->config[REG_SMRAM] & SMRAM_ENABLE) && !(data && (s->config[REG_SMRAM] & SMRAM_CLOSED));
}

static void written(struct device *dev, unsigned offset, unsigned size)
{
    const struct i440fx_wiring *w = dev->wiring;
    struct i440fx_state *s = dev->state;
    uint8_t *smram = &s->config[REG_SMRAM];

    if (offset <= REG_SMRAM && offset + size > REG_SMRAM) {
        *smram = (uint8_t)((*smram & 0x78u) | SMRAM_BASE_SEG);
        s->locked |= (*smram & SMRAM_LOCK) != 0;
        if (s->locked)
            *smram = (uint8_t)((*smram & ~SMRAM_OPEN) | SMRAM_LOCK);
    }
    if (offset <= REG_SMRAM && offset + size > REG_PAM0)
        w->map_changed(w->map_ctx);
}

void i440fx_plug(struct device *dev, struct pci_bus *bus)
{
    static const struct pci_identity id = {.vendor = 0x8086, .device = 0x1237, .class_code = 0x060000, .revision = 2,
                                           .command = PCI_COMMAND_SERR};
    struct i440fx_wiring *w = dev->wiring;
    struct i440fx_state *s = dev->state;
    struct pci_function *f = &w->pci;

    pci_function_init(f, bus, PCI_DEVFN(0, 0), dev, s->config, &id);
    f->written = written;
    put_le16(f->reset + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    put_le16(f->reset + PCI_STATUS, 0x0280);
    f->writable[PCI_CACHE_LINE] = f->writable[PCI_INTERRUPT_LINE] = 0;
    f->writable[PCI_LATENCY] = 0xf8;
    memset(f->writable + 0x40, 0xff, PCI_CONFIG_BYTES - 0x40);
    f->writable[REG_PAM0] = 0x30;
    memset(f->writable + REG_PAM0 + 1, 0x33, REG_PAM6 - REG_PAM0);
    f->reset[0x50] = 0x01; /* PMCCFG */
    f->reset[0x53] = 0x80; /* DBC */
    f->reset[0x57] = 0x01; /* DRAMC */
    memset(f->reset + 0x60, 0x01, 8); /* DRB */
    f->reset[0x71] = 0x10; /* CLT */
    f->reset[REG_SMRAM] = SMRAM_BASE_SEG;
}

/* A machine that wakes finds the BIOS in its shadow, as on QEMU's board, for there SeaBIOS knows that it has run before. */
static void i440fx_reset(struct device *dev)
{
    struct i440fx_wiring *w = dev->wiring;
    struct i440fx_state *s = dev->state;
    enum reset_kind kind = dev->machine->resetting;
    uint8_t pam[REG_PAM6 - REG_PAM0 + 1];

    memcpy(pam, s->config + REG_PAM0, sizeof(pam));
    s->locked = 0;
    pci_function_reset(&w->pci);
    if (kind == RESET_SLEEP || kind == RESET_WAKE)
        memcpy(s->config + REG_PAM0, pam, sizeof(pam));
    w->map_changed(w->map_ctx);
}

static void i440fx_describe(const struct device *dev, struct buffer *b)
{
    for (unsigned n = 0; n < I440FX_SEGMENTS; n++)
        buffer_printf(b, "%05x: %s%s\n", 0xc0000 + n * 0x4000, i440fx_pam(dev, n) & PAM_READ ? "r" : "-",
                      i440fx_pam(dev, n) & PAM_WRITE ? "w" : "-");
    buffer_printf(b, "SMRAM: %02x\n", ((const struct i440fx_state *)dev->state)->config[REG_SMRAM]);
}

const struct device_ops i440fx_ops = {
    .name = "i440fx",
    .state_size = sizeof(struct i440fx_state),
    .state_version = 2,
    .reset = i440fx_reset,
    .describe = i440fx_describe,
};
