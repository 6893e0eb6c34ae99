/*
 * Message signalled interrupts (PCI 3.0, 6.8): MSI, whose registers are all in configuration space, and
 * MSI-X, whose table and pending bits are in a BAR and in the device's state.
 *
 * A message is a bus master's write of 4 bytes; the board knows which addresses mean an interrupt
 * (pci_bus.message). One that is masked becomes a pending bit, and is sent when the mask goes.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "vm/dev/pci.h"

/* MSI: offsets from the capability, bits of its control word. */
enum { MSI_CONTROL = 2, MSI_ADDRESS = 4, MSI_ADDRESS_HIGH = 8, MSI_DATA = 12, MSI_MASK = 16, MSI_PENDING = 20,
       MSI_BYTES = 24, MSI_BYTES_UNMASKED = 14 };
#define MSI_ENABLE 0x0001u
#define MSI_COUNT  0x0070u
#define MSI_64     0x0080u
#define MSI_MASKS  0x0100u

enum { MSIX_CONTROL = 2, MSIX_TABLE = 4, MSIX_PENDING = 8, MSIX_BYTES = 12 };
#define MSIX_ENABLE 0x8000u
#define MSIX_ALL_MASKED 0x4000u

enum { ENTRY_ADDRESS, ENTRY_ADDRESS_HIGH, ENTRY_DATA, ENTRY_CONTROL, ENTRY_WORDS };
#define ENTRY_MASKED 1u

/* ---- MSI ---- */

void pci_add_msi(struct pci_function *f, unsigned vectors, bool masks)
{
    uint8_t at = pci_add_capability(f, PCI_CAP_MSI, masks ? MSI_BYTES : MSI_BYTES_UNMASKED);

    CHECK(vectors && vectors <= 32 && !(vectors & (vectors - 1)));
    f->msi_at = at;
    put_le16(f->reset + at + MSI_CONTROL, (uint16_t)(MSI_64 | (masks ? MSI_MASKS : 0) | (unsigned)__builtin_ctz(vectors) << 1));
    put_le16(f->writable + at + MSI_CONTROL, MSI_ENABLE | MSI_COUNT);
    put_le32(f->writable + at + MSI_ADDRESS, ~3u);
    put_le32(f->writable + at + MSI_ADDRESS_HIGH, ~0u);
    put_le16(f->writable + at + MSI_DATA, 0xffff);
    if (masks)
        put_le32(f->writable + at + MSI_MASK, vectors == 32 ? ~0u : (1u << vectors) - 1);
}

static bool msi_has_masks(const struct pci_function *f)
{
    return get_le16(f->reset + f->msi_at + MSI_CONTROL) & MSI_MASKS;
}

static bool msi_enabled(const struct pci_function *f)
{
    return f->msi_at && (get_le16(f->config + f->msi_at + MSI_CONTROL) & MSI_ENABLE);
}

/* How many vectors software allows: never more than the function asked for. */
static unsigned msi_vectors(const struct pci_function *f)
{
    uint16_t control = get_le16(f->config + f->msi_at + MSI_CONTROL);
    unsigned asked = control >> 1 & 7u, allowed = control >> 4 & 7u, log = allowed < asked ? allowed : asked;

    return 1u << (log < 5 ? log : 5);
}

static void msi_send(struct pci_function *f, unsigned vector)
{
    const uint8_t *c = f->config + f->msi_at;
    uint32_t data = (get_le16(c + MSI_DATA) & ~(msi_vectors(f) - 1)) | vector;

    pci_send(f, get_le32(c + MSI_ADDRESS) | (uint64_t)get_le32(c + MSI_ADDRESS_HIGH) << 32, data);
}

static void msi_notify(struct pci_function *f, unsigned vector)
{
    uint8_t *c = f->config + f->msi_at;

    vector %= msi_vectors(f); /* with fewer than asked for, vectors share them */
    if (msi_has_masks(f) && (get_le32(c + MSI_MASK) >> vector & 1u))
        put_le32(c + MSI_PENDING, get_le32(c + MSI_PENDING) | 1u << vector);
    else
        msi_send(f, vector);
}

/* Messages whose mask went away. */
static void msi_unmasked(struct pci_function *f)
{
    uint8_t *c = f->config + f->msi_at;
    uint32_t ready = get_le32(c + MSI_PENDING) & ~get_le32(c + MSI_MASK);

    if (!msi_enabled(f) || !msi_has_masks(f))
        return;
    put_le32(c + MSI_PENDING, get_le32(c + MSI_PENDING) & ~ready);
    for (unsigned n = 0; n < msi_vectors(f); n++)
        if (ready >> n & 1u)
            msi_send(f, n);
}

/* ---- MSI-X ---- */

void pci_add_msix(struct pci_function *f, const struct pci_msix *msix)
{
    uint8_t at = pci_add_capability(f, PCI_CAP_MSIX, MSIX_BYTES);

    CHECK(msix->vectors && msix->vectors <= 2048 && !((msix->table_at | msix->pending_at) & 7u));
    f->msix_at = at;
    f->msix = *msix;
    put_le16(f->reset + at + MSIX_CONTROL, (uint16_t)(msix->vectors - 1));
    put_le16(f->writable + at + MSIX_CONTROL, MSIX_ENABLE | MSIX_ALL_MASKED);
    put_le32(f->reset + at + MSIX_TABLE, msix->table_at | msix->bar);
    put_le32(f->reset + at + MSIX_PENDING, msix->pending_at | msix->bar);
}

bool pci_msix_enabled(const struct pci_function *f)
{
    return f->msix_at && (get_le16(f->config + f->msix_at + MSIX_CONTROL) & MSIX_ENABLE);
}

static bool msix_masked(const struct pci_function *f, unsigned vector)
{
    return (get_le16(f->config + f->msix_at + MSIX_CONTROL) & MSIX_ALL_MASKED) ||
           (f->msix.table[vector * ENTRY_WORDS + ENTRY_CONTROL] & ENTRY_MASKED);
}

static void msix_notify(struct pci_function *f, unsigned vector)
{
    const uint32_t *entry = f->msix.table + (size_t)vector * ENTRY_WORDS;

    if (vector >= f->msix.vectors)
        return;
    if (msix_masked(f, vector))
        f->msix.pending[vector / 32] |= 1u << vector % 32;
    else
        pci_send(f, entry[ENTRY_ADDRESS] | (uint64_t)entry[ENTRY_ADDRESS_HIGH] << 32, entry[ENTRY_DATA]);
}

/* Send what waited for the mask of a vector. */
static void msix_unmasked(struct pci_function *f, unsigned vector)
{
    uint32_t bit = 1u << vector % 32;

    if (!pci_msix_enabled(f) || msix_masked(f, vector) || !(f->msix.pending[vector / 32] & bit))
        return;
    f->msix.pending[vector / 32] &= ~bit;
    msix_notify(f, vector);
}

static size_t table_bytes(const struct pci_function *f)
{
    return (size_t)f->msix.vectors * ENTRY_WORDS * 4;
}

static size_t pending_bytes(const struct pci_function *f)
{
    return (f->msix.vectors + 63) / 64 * 8;
}

bool pci_msix_owns(const struct pci_function *f, uint64_t offset)
{
    return f->msix_at && ((offset >= f->msix.table_at && offset - f->msix.table_at < table_bytes(f)) ||
                          (offset >= f->msix.pending_at && offset - f->msix.pending_at < pending_bytes(f)));
}

/* One word; the accesses that are defined are of whole words or pairs of them. */
static uint32_t read_word(const struct pci_function *f, uint64_t offset)
{
    uint64_t in_pending = offset - f->msix.pending_at;

    if (offset >= f->msix.table_at && offset - f->msix.table_at < table_bytes(f))
        return f->msix.table[(offset - f->msix.table_at) / 4];
    return in_pending / 4 < (f->msix.vectors + 31) / 32 ? f->msix.pending[in_pending / 4] : 0;
}

uint64_t pci_msix_read(const struct pci_function *f, uint64_t offset, unsigned size)
{
    uint64_t value = read_word(f, offset & ~3ull);

    if (size == 8 && pci_msix_owns(f, offset + 4))
        value |= (uint64_t)read_word(f, (offset & ~3ull) + 4) << 32;
    return value >> (8 * (offset & 3u));
}

static void write_word(struct pci_function *f, uint64_t offset, uint32_t value)
{
    uint64_t at = offset - f->msix.table_at;

    if (offset < f->msix.table_at || at >= table_bytes(f)) /* the pending bits cannot be written */
        return;
    if (at / 4 % ENTRY_WORDS == ENTRY_CONTROL)
        value &= ENTRY_MASKED;
    if (at / 4 % ENTRY_WORDS == ENTRY_ADDRESS)
        value &= ~3u;
    f->msix.table[at / 4] = value;
    msix_unmasked(f, (unsigned)(at / 4 / ENTRY_WORDS));
}

void pci_msix_write(struct pci_function *f, uint64_t offset, unsigned size, uint64_t value)
{
    if (size < 4 || (offset & 3u))
        return;
    write_word(f, offset, (uint32_t)value);
    if (size == 8)
        write_word(f, offset + 4, (uint32_t)(value >> 32));
}

/* ---- both ---- */

bool pci_has_messages(const struct pci_function *f)
{
    return msi_enabled(f) || pci_msix_enabled(f);
}

void pci_notify(struct pci_function *f, unsigned vector)
{
    if (pci_msix_enabled(f))
        msix_notify(f, vector);
    else if (msi_enabled(f))
        msi_notify(f, vector);
}

void pci_msi_reset(struct pci_function *f)
{
    if (!f->msix_at)
        return;
    memset(f->msix.table, 0, table_bytes(f));
    memset(f->msix.pending, 0, (f->msix.vectors + 31) / 32 * 4);
    for (unsigned n = 0; n < f->msix.vectors; n++)
        f->msix.table[n * ENTRY_WORDS + ENTRY_CONTROL] = ENTRY_MASKED;
}

void pci_msi_written(struct pci_function *f, unsigned offset, unsigned size)
{
    if (f->msi_at && offset < f->msi_at + (unsigned)MSI_BYTES && f->msi_at < offset + size)
        msi_unmasked(f);
    if (f->msix_at && offset < f->msix_at + (unsigned)MSIX_TABLE && f->msix_at < offset + size)
        for (unsigned n = 0; n < f->msix.vectors; n++)
            msix_unmasked(f, n);
}
