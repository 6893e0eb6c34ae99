/*
 * PCI: buses, functions, what all functions have in common (pci.c), message signalled interrupts
 * (pci_msi.c), how a CPU reaches configuration space (pci_host.c), bridges (pci_bridge.c), what
 * a host bridge shows of itself (pci_root.c).
 *
 * A function is a device (vm/device.h) whose state holds its configuration space, and whose wiring
 * holds a struct pci_function, which says what that space means: which bits can be written, where the
 * base addresses are and what answers there. The device author fills it in once, when the machine is
 * made (pci_function_init() and the pci_add_*() calls), calls pci_function_reset() in the device's reset,
 * and is then told of accesses to its BARs by the ordinary read() and write(), by range number.
 */
#ifndef HINDCAST_VM_DEV_PCI_H
#define HINDCAST_VM_DEV_PCI_H

#include "vm/dev/ports.h"
#include "vm/device.h"

#define PCI_CONFIG_BYTES  256u
#define PCI_MAX_FUNCTIONS 32u  /* on one bus */
#define PCI_MAX_WINDOWS   3u
#define PCI_BARS          7u   /* six, and the ROM's */
#define PCI_ROM_BAR       6u
#define PCI_LINES         4u
#define PCI_DEVFN(slot, fn) ((uint8_t)((slot) << 3 | (fn)))
#define PCI_SLOT(devfn)   ((unsigned)(devfn) >> 3)
#define PCI_FUNCTION(devfn) ((unsigned)(devfn) & 7u)

/* Offsets of the common header (PCI 3.0, 6.1). */
enum {
    PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08,
    PCI_CLASS = 0x09, PCI_CACHE_LINE = 0x0c, PCI_LATENCY = 0x0d, PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e, PCI_ROM = 0x30, PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c, PCI_INTERRUPT_PIN = 0x3d, PCI_MIN_GRANT = 0x3e, PCI_MAX_LATENCY = 0x3f,
    /* Of a bridge. */
    PCI_PRIMARY_BUS = 0x18, PCI_SECONDARY_BUS = 0x19, PCI_SUBORDINATE_BUS = 0x1a, PCI_SECONDARY_LATENCY = 0x1b,
    PCI_IO_BASE = 0x1c, PCI_IO_LIMIT = 0x1d, PCI_SECONDARY_STATUS = 0x1e, PCI_MEMORY_BASE = 0x20,
    PCI_MEMORY_LIMIT = 0x22, PCI_PREFETCH_BASE = 0x24, PCI_PREFETCH_LIMIT = 0x26, PCI_PREFETCH_BASE_HIGH = 0x28,
    PCI_PREFETCH_LIMIT_HIGH = 0x2c, PCI_IO_BASE_HIGH = 0x30, PCI_IO_LIMIT_HIGH = 0x32, PCI_BRIDGE_ROM = 0x38,
    PCI_BRIDGE_CONTROL = 0x3e,
};

#define PCI_COMMAND_IO     0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_SERR   0x0100u
#define PCI_COMMAND_NO_INTX 0x0400u
#define PCI_STATUS_INTX    0x0008u
#define PCI_STATUS_CAPS    0x0010u

/* Capability numbers (PCI 3.0, appendix H). */
enum { PCI_CAP_PM = 0x01, PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_EXPRESS = 0x10, PCI_CAP_MSIX = 0x11,
       PCI_CAP_SATA = 0x12 };

struct pci_bus;
struct pci_function;

enum pci_bar_kind {
    PCI_BAR_NONE,
    PCI_BAR_IO,
    PCI_BAR_MEMORY,     /* 32 bits */
    PCI_BAR_MEMORY_64,  /* takes the next register, too */
    PCI_BAR_ROM,        /* PCI_ROM_BAR only */
};

/* What answers at one base address. */
struct pci_bar {
    enum pci_bar_kind kind;
    bool prefetchable;
    bool paged;        /* pages answer, not the device */
    uint64_t size;     /* bytes, a power of two */
    unsigned range;    /* the device's range, for its read() and write() */
    uint32_t page;     /* the first page */
    unsigned index;    /* its region of the memory map, or its range of the port space */
};

/* What a function is; all else is made of it by pci_function_init(). */
struct pci_identity {
    uint16_t vendor, device;
    uint16_t subsystem_vendor, subsystem; /* 0: there is none */
    uint32_t class_code;                  /* class, subclass, programming interface: 24 bits */
    uint8_t revision;
    uint8_t pin;                          /* 1-4: INTA to INTD; 0: interrupts by no pin */
    uint16_t command;                     /* bits of COMMAND that can be written; 0: what its BARs need, bus
                                           * mastering, SERR, and with a pin the disabling of it */
};

/* The MSI-X table and pending bits: in the device's state. */
struct pci_msix {
    uint32_t *table;   /* 4 words a vector: address, its upper half, data, control (bit 0: masked) */
    uint32_t *pending; /* a bit a vector */
    unsigned vectors;
    unsigned bar;      /* where it is, and at which offsets */
    uint32_t table_at, pending_at;
};

struct pci_function {
    struct device *dev;
    struct pci_bus *bus;
    uint8_t *config;                     /* PCI_CONFIG_BYTES of the device's state */
    uint8_t devfn;
    uint8_t reset[PCI_CONFIG_BYTES];     /* what reset makes of it */
    uint8_t writable[PCI_CONFIG_BYTES];  /* bits that a write changes */
    uint8_t clearing[PCI_CONFIG_BYTES];  /* bits that a write of 1 clears */
    struct pci_bar bars[PCI_BARS];
    uint8_t next_capability;             /* offset of the next one to be added */
    uint8_t last_capability;
    uint8_t msi_at, msix_at, express_at; /* offsets of these capabilities; 0: none */
    struct pci_msix msix;
    struct pci_bus *secondary;           /* a bridge's other side; NULL: no bridge */
    /* Bytes [offset, offset + size) are about to be read: time to change them. May be NULL. */
    void (*reading)(struct device *, unsigned offset, unsigned size);
    /* Bytes [offset, offset + size) were written. May be NULL. */
    void (*written)(struct device *, unsigned offset, unsigned size);
};

/* Addresses that the host bridge hands on to the bus; both sides see the same address. */
struct pci_window {
    paddr_t base;
    uint64_t size;
};

/* Wiring. Of the root bus the board fills in everything above `functions`; of others the bridge does. */
struct pci_bus {
    struct machine *machine;
    struct ports *ports;               /* the I/O space that its functions are in */
    struct pci_window windows[PCI_MAX_WINDOWS];
    unsigned nwindows;
    struct line lines[PCI_LINES];      /* what INTA to INTD of slot 0 are connected to, if turned by `turn` */
    unsigned turn;                     /* pin p of slot s drives line (s + p + turn) % 4 (p counted from 0) */
    /* A message to `address`: does it mean an interrupt? False: it is an ordinary write. NULL: never. */
    bool (*message)(void *ctx, uint32_t requester, paddr_t address, uint32_t data);
    void *message_ctx;
    bool port_zero;                    /* of the root bus: a BAR can be decoded at port 0 (else that means that it has no address) */
    const char *firmware_path;         /* the root bus as firmware is told of it (vm/dev/boot_order.h) */

    struct pci_function *functions[PCI_MAX_FUNCTIONS];
    unsigned nfunctions;
    struct pci_function *bridge;       /* NULL: the root bus */
};

/* ---- making functions ---- */

/* Plug a function into a bus. `config`: PCI_CONFIG_BYTES of the device's state. */
void pci_function_init(struct pci_function *f, struct pci_bus *bus, uint8_t devfn, struct device *dev, uint8_t *config,
                       const struct pci_identity *id);
/* BAR `n` of `size` bytes (a power of two; 4 at least for ports, 4 KiB for memory: nothing smaller need be told
 * apart), answered by the device's `range`. */
void pci_add_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, bool prefetchable, uint64_t size,
                 unsigned range);
/* The same, answered by `size` bytes of pages from `page` on. With n == PCI_ROM_BAR: the expansion ROM. */
void pci_add_paged_bar(struct pci_function *f, unsigned n, enum pci_bar_kind kind, bool prefetchable, uint64_t size,
                       uint32_t page);
/* Room for a capability of `len` bytes (its two header bytes included); returns its offset. Fill in `reset`
 * and `writable` there. */
uint8_t pci_add_capability(struct pci_function *f, uint8_t id, unsigned len);
/* PCI Express capability, version 2, of a device/port type (7.8.2): 0 endpoint, 4 root port, 9 in the root complex. */
void pci_add_express(struct pci_function *f, unsigned type);

/* ---- for their devices ---- */

/* In the device's reset: configuration space as it is after power-on, interrupt withdrawn. */
void pci_function_reset(struct pci_function *f);
/* Base address of BAR `n` as it is decoded now. False: it is not. */
bool pci_bar_base(const struct pci_function *f, unsigned n, uint64_t *base);
/* Assert or withdraw the interrupt pin. */
void pci_set_intx(struct pci_function *f, bool level);
/* A bus master's write of 4 bytes that may be a message: to who takes those, or else to memory. */
void pci_send(struct pci_function *f, paddr_t address, uint32_t data);
/* Read or write memory as a bus master. False: nothing was done, because the function may not (COMMAND).
 * Where no memory answers, ones are read and writes are lost. */
bool pci_dma_read(struct pci_function *f, paddr_t address, void *buf, size_t len);
bool pci_dma_write(struct pci_function *f, paddr_t address, const void *buf, size_t len);

/* ---- MSI and MSI-X (pci_msi.c) ---- */

/* MSI with `vectors` (1, 2, 4... 32) messages, 64-bit addresses and, if wanted, a mask for each. */
void pci_add_msi(struct pci_function *f, unsigned vectors, bool masks);
/* MSI-X with its table and pending bits in BAR `bar` at offsets that are multiples of 8. The device hands accesses
 * to that part of the BAR on to pci_msix_read() and pci_msix_write(), offsets counted from the BAR's start. */
void pci_add_msix(struct pci_function *f, const struct pci_msix *msix);
uint64_t pci_msix_read(const struct pci_function *f, uint64_t offset, unsigned size);
void pci_msix_write(struct pci_function *f, uint64_t offset, unsigned size, uint64_t value);
/* Does `offset` lie in the table or the pending bits? */
bool pci_msix_owns(const struct pci_function *f, uint64_t offset);
/* Are interrupts of this function messages (rather than the pin)? */
bool pci_has_messages(const struct pci_function *f);
bool pci_msix_enabled(const struct pci_function *f);
/* Send message `vector`, or remember it while it is masked. Nothing if messages are off or there is no such vector. */
void pci_notify(struct pci_function *f, unsigned vector);
/* For pci.c: the table as reset leaves it; control words were written. */
void pci_msi_reset(struct pci_function *f);
void pci_msi_written(struct pci_function *f, unsigned offset, unsigned size);

/* ---- for bridges, hosts and boards ---- */

/* The function with that number behind `root`, or NULL. */
struct pci_function *pci_find(struct pci_bus *root, uint8_t bus, uint8_t devfn);
uint64_t pci_config_read(const struct pci_function *f, unsigned offset, unsigned size);
void pci_config_write(struct pci_function *f, unsigned offset, unsigned size, uint64_t value);
/* Make the maps follow the registers of all functions behind `bus`: after a state was restored. */
void pci_remap(struct pci_bus *bus);
/* What a BIOS does: give every BAR that has no address one from `io` on or in [memory, memory_end), if there is room,
 * bridges and interrupt lines their numbers, and switch decoding on. `irq`: the interrupt of line 0-3. */
void pci_assign(struct pci_bus *root, uint32_t io, uint32_t memory, uint32_t memory_end, const uint8_t irq[PCI_LINES]);
struct buffer;
/* The Open Firmware path of a function, as QEMU makes it: "/pci@i0cf8/pci-bridge@3/scsi@4". A piece too long is cut off. */
void pci_firmware_path(const struct pci_function *f, char *path, size_t size);
/* The same of the function that device `dev` is, on `root` or behind its bridges. False: there is none. */
bool pci_device_path(const struct pci_bus *root, const struct device *dev, char *path, size_t size);
/* For `monitor info pci`. */
void pci_describe(const struct pci_bus *root, struct buffer *b);

#endif
