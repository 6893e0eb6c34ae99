/*
 * The physical presence interface of a TPM (TCG PC Client Physical Presence Interface 1.30), as QEMU has it: memory between an operating
 * system, which asks for what somebody in front of the machine would have to (through ACPI's _DSM), and firmware, which does it at the next
 * start. And TCG's platform reset attack mitigation: when software has asked for it, a reset overwrites RAM with zeros.
 *
 * It keeps over resets what it holds. Firmware says what of all that it can do; without firmware, nothing.
 */
#include "vm/dev/tpm_ppi.h"

#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/machine.h"

#define OVERWRITE 1u

DEVICE_STATE_BEGIN
struct ppi_state {
    uint8_t bytes[TPM_PPI_BYTES];
};
DEVICE_STATE_END

static uint64_t ppi_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    const struct ppi_state *s = dev->state;

    (void)range;
    return offset + size <= sizeof(s->bytes) ? get_le(s->bytes + offset, size) : UINT64_MAX;
}

static void ppi_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct ppi_state *s = dev->state;

    (void)range;
    if (offset + size <= sizeof(s->bytes))
        put_le(s->bytes + offset, value, size);
}

/* Pages that are zero already stay as they are. */
static void overwrite(struct memory *mem)
{
    static const uint8_t zeros[PAGE_SIZE];
    uint8_t page[PAGE_SIZE];

    for (unsigned i = 0; i < mem->nregions; i++) {
        const struct region r = mem->regions[i];

        for (uint64_t at = 0; r.kind == REGION_RAM && r.enabled && !r.dev && at < r.size; at += PAGE_SIZE)
            if (memory_read_bytes(mem, r.base + at, page, sizeof(page)) == sizeof(page) && memcmp(page, zeros, sizeof(page)))
                memory_write_bytes(mem, r.base + at, zeros, sizeof(zeros), false);
    }
}

static void ppi_reset(struct device *dev)
{
    const struct ppi_state *s = dev->state;

    if (s->bytes[TPM_PPI_OVERWRITE] & OVERWRITE)
        overwrite(&dev->machine->memory);
}

static void ppi_describe(const struct device *dev, struct buffer *b)
{
    const struct ppi_state *s = dev->state;

    buffer_printf(b, "request %u (parameter %u), the last one was %u (result %#x)%s\n", get_le32(s->bytes + TPM_PPI_REQUEST),
                  get_le32(s->bytes + TPM_PPI_PARAMETER), get_le32(s->bytes + TPM_PPI_LAST), get_le32(s->bytes + TPM_PPI_RESULT),
                  s->bytes[TPM_PPI_OVERWRITE] & OVERWRITE ? ", a reset overwrites RAM" : "");
}

static const struct device_ops ops = {
    .name = "tpm-ppi",
    .state_size = sizeof(struct ppi_state),
    .reset = ppi_reset,
    .describe = ppi_describe,
    .read = ppi_read,
    .write = ppi_write,
};

void tpm_ppi_add(struct machine *m, paddr_t base)
{
    struct device *dev = machine_add_owned_device(m, &ops, "tpm ppi", 1);
    const struct region r = {.base = base, .size = TPM_PPI_BYTES, .kind = REGION_MMIO, .dev = dev, .enabled = true};

    memory_map(&m->memory, &r);
}
