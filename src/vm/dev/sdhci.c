/*
 * An SD host controller (SD Host Controller Simplified Specification 3.00) on PCI, with one slot: data through the buffer port,
 * by SDMA and by ADMA2 with 32-bit addresses, Auto CMD12 and CMD23. What the card makes of commands is in sd.c.
 *
 * A command takes a microsecond, its data what drive_duration() says: all at once by DMA (SDMA stops at its boundaries), block by
 * block through the port. Registers are kept as the bytes that they are; which bits software may change, is
 * in writable[].
 *
 * Not modelled: suspend and resume, SDIO interrupts, tuning, boot, the clock's frequency, wake-up; the card is always in.
 */
#include "vm/dev/sdhci.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/pci.h"
#include "vm/dev/sd.h"
#include "vm/machine.h"

enum { SYSTEM_ADDRESS = 0x00, BLOCK_SIZE = 0x04, BLOCK_COUNT = 0x06, ARGUMENT = 0x08, MODE = 0x0c, COMMAND = 0x0e,
       RESPONSE = 0x10, DATA_PORT = 0x20, PRESENT = 0x24, HOST_CONTROL = 0x28, CLOCK = 0x2c, SOFTWARE_RESET = 0x2f,
       NORMAL_STATUS = 0x30, ERROR_STATUS = 0x32, NORMAL_ENABLE = 0x34, ERROR_ENABLE = 0x36, NORMAL_SIGNAL = 0x38,
       ERROR_SIGNAL = 0x3a, AUTO_ERROR = 0x3c, HOST_CONTROL_2 = 0x3e, CAPABILITIES = 0x40, MAX_CURRENT = 0x48,
       FORCE_AUTO = 0x50, FORCE_ERROR = 0x52, ADMA_ERROR = 0x54, ADMA_ADDRESS = 0x58, SLOT_STATUS = 0xfc, VERSION = 0xfe };

#define REGISTERS 256u
#define BAR_BYTES 0x100u

#define MODE_DMA    0x01u
#define MODE_COUNT  0x02u
#define MODE_AUTO   0x0cu /* 1: CMD12, 2: CMD23 */
#define MODE_READ   0x10u
#define MODE_MANY   0x20u
#define COMMAND_DATA 0x20u
#define CLOCK_INTERNAL 0x01u
#define CLOCK_STABLE   0x02u
#define ADMA2       2u

#define INT_COMMAND 0x0001u
#define INT_TRANSFER 0x0002u
#define INT_DMA     0x0008u
#define INT_WRITE   0x0010u /* the buffer */
#define INT_READ    0x0020u
#define INT_ERROR   0x8000u
#define ERR_COMMAND_TIMEOUT 0x0001u
#define ERR_DATA_TIMEOUT 0x0010u
#define ERR_DATA_CRC 0x0020u
#define ERR_AUTO    0x0100u
#define ERR_ADMA    0x0200u
#define ADMA_LENGTH 0x04u

/* ADMA2 descriptors (1.13.3). */
#define DESC_VALID 0x01u
#define DESC_END   0x02u
#define DESC_INT   0x04u
#define DESC_ACT   0x30u
#define DESC_TRANSFER 0x20u
#define DESC_LINK  0x30u
#define DESC_MOST  0x10000u /* without a byte moved */

/* 3.3 V, SDMA, high speed, ADMA2, 52 MHz. */
#define CAPS 0x016834b4u
#define COMMAND_NS 1000u
#define BOUNDARY(r) ((uint32_t)0x1000 << (get_le16((r) + BLOCK_SIZE) >> 12 & 7u))

enum phase {
    PHASE_IDLE,
    PHASE_COMMAND,  /* until done_at */
    PHASE_DMA,      /* likewise */
    PHASE_PAUSED,   /* at a boundary of SDMA, until the address is written */
    PHASE_FETCH,    /* the next block for the port: until done_at */
    PHASE_IN,       /* the host reads the block */
    PHASE_OUT,      /* the host writes one */
    PHASE_STORE,    /* it goes to the card: until done_at */
    PHASES
};

DEVICE_STATE_BEGIN
struct sdhci_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint64_t done_at;    /* vtime, or VTIME_NEVER */
    struct sd_card card;
    uint32_t position;   /* in `block` */
    uint32_t left;       /* blocks; UINT32_MAX: until the host stops it */
    uint8_t phase;       /* enum phase */
    uint8_t reserved[7];
    uint8_t r[REGISTERS];
    uint8_t block[SD_BLOCK];
};
DEVICE_STATE_END

struct sdhci {
    struct pci_function pci;
    struct device *dev;
    struct sdhci_state *st;
    struct drive *drive; /* the card; NULL: the slot is empty */
};

static uint16_t get(const struct sdhci *h, unsigned reg)
{
    return get_le16(h->st->r + reg);
}

static void put(struct sdhci *h, unsigned reg, unsigned value)
{
    put_le16(h->st->r + reg, (uint16_t)value);
}

/* ---- interrupts ---- */

static void update_irq(struct sdhci *h)
{
    unsigned normal = get(h, NORMAL_STATUS) & ~INT_ERROR, error = get(h, ERROR_STATUS);

    put(h, NORMAL_STATUS, normal | (error ? INT_ERROR : 0));
    put(h, SLOT_STATUS, (normal & get(h, NORMAL_SIGNAL)) || (error & get(h, ERROR_SIGNAL)));
    pci_set_intx(&h->pci, get(h, SLOT_STATUS));
}

/* Status bits appear if they are enabled. */
static void raise(struct sdhci *h, unsigned normal, unsigned error)
{
    put(h, NORMAL_STATUS, get(h, NORMAL_STATUS) | (normal & get(h, NORMAL_ENABLE)));
    put(h, ERROR_STATUS, get(h, ERROR_STATUS) | (error & get(h, ERROR_ENABLE)));
    update_irq(h);
}

/* ---- phases ---- */

static void set_phase(struct sdhci *h, enum phase phase)
{
    h->st->phase = (uint8_t)phase;
    h->st->done_at = VTIME_NEVER;
    if (phase == PHASE_IDLE)
        h->st->position = 0;
}

static void wait(struct sdhci *h, enum phase phase, vtime_t ns)
{
    h->st->phase = (uint8_t)phase;
    h->st->done_at = machine_now(h->dev->machine) + ns;
}

static uint32_t block_bytes(const struct sdhci *h)
{
    uint32_t n = get(h, BLOCK_SIZE) & 0xfffu;

    return n && n < SD_BLOCK ? n : SD_BLOCK;
}

static bool reads(const struct sdhci *h)
{
    return get(h, MODE) & MODE_READ;
}

static uint64_t bytes_left(const struct sdhci *h)
{
    return (uint64_t)(h->st->left < 0x10000 ? h->st->left : 1) * block_bytes(h);
}

/* Auto CMD12. */
static void stop_card(struct sdhci *h)
{
    struct sd_response r;

    if ((get(h, MODE) & (MODE_AUTO | MODE_MANY)) != (0x04u | MODE_MANY))
        return;
    if (sd_command(&h->st->card, h->drive, 12, 0, &r))
        memcpy(h->st->r + RESPONSE + 12, r.bytes, 4);
    else
        raise(h, 0, ERR_AUTO);
}

static void transfer_over(struct sdhci *h)
{
    set_phase(h, PHASE_IDLE);
    stop_card(h);
    raise(h, INT_TRANSFER, 0);
}

static void fail(struct sdhci *h, unsigned error)
{
    set_phase(h, PHASE_IDLE);
    raise(h, 0, error);
}

/* ---- blocks ---- */

static bool card_block(struct sdhci *h)
{
    struct sdhci_state *s = h->st;

    h->st->position = 0;
    return reads(h) ? sd_read(&s->card, h->drive, s->block, block_bytes(h)) : sd_write(&s->card, h->drive, s->block, block_bytes(h));
}

static void count_block(struct sdhci *h)
{
    struct sdhci_state *s = h->st;

    if (s->left != UINT32_MAX)
        s->left--;
    if ((get(h, MODE) & (MODE_COUNT | MODE_MANY)) == (MODE_COUNT | MODE_MANY))
        put(h, BLOCK_COUNT, s->left);
}

/* Move the next `len` bytes of the block; at its end, the next one comes. False: the card or the bus failed. */
static bool move(struct sdhci *h, paddr_t address, uint32_t len)
{
    struct sdhci_state *s = h->st;
    uint32_t at = s->position;

    if (reads(h) && !at && !card_block(h))
        return false;
    if (!(reads(h) ? pci_dma_write(&h->pci, address, s->block + at, len) : pci_dma_read(&h->pci, address, s->block + at, len)))
        return false;
    s->position = at + len;
    if (s->position < block_bytes(h))
        return true;
    if (!reads(h) && !card_block(h))
        return false;
    s->position = 0;
    count_block(h);
    return true;
}

static uint32_t in_block(const struct sdhci *h, uint64_t len)
{
    uint32_t n = block_bytes(h) - h->st->position;

    return n < len ? n : (uint32_t)len;
}

/* From one address on, as far as the next boundary. */
static void run_sdma(struct sdhci *h)
{
    uint8_t *r = h->st->r;
    uint32_t address = get_le32(r + SYSTEM_ADDRESS), boundary = BOUNDARY(r);

    while (h->st->left) {
        uint32_t n = in_block(h, boundary - (address & (boundary - 1)));

        if (!move(h, address, n)) {
            fail(h, ERR_DATA_CRC);
            return;
        }
        address += n;
        put_le32(r + SYSTEM_ADDRESS, address);
        if (h->st->left && !(address & (boundary - 1))) {
            set_phase(h, PHASE_PAUSED);
            raise(h, INT_DMA, 0);
            return;
        }
    }
    transfer_over(h);
}

static void adma_failed(struct sdhci *h, unsigned error)
{
    h->st->r[ADMA_ERROR] = (uint8_t)(3u | error); /* while it moved data */
    fail(h, ERR_ADMA);
}

/* By a table of descriptors. */
static void run_adma(struct sdhci *h)
{
    uint8_t *r = h->st->r, desc[8];
    uint32_t at = get_le32(r + ADMA_ADDRESS);

    for (unsigned idle = 0; idle < DESC_MOST; idle++) {
        uint32_t address, len;

        if (!pci_dma_read(&h->pci, at, desc, sizeof(desc)) || !(desc[0] & DESC_VALID)) {
            put_le32(r + ADMA_ADDRESS, at);
            adma_failed(h, 0);
            return;
        }
        address = get_le32(desc + 4);
        len = get_le16(desc + 2) ? get_le16(desc + 2) : 0x10000;
        at = (desc[0] & DESC_ACT) == DESC_LINK ? address : at + (uint32_t)sizeof(desc);
        put_le32(r + ADMA_ADDRESS, at);
        while ((desc[0] & DESC_ACT) == DESC_TRANSFER && len && h->st->left) {
            uint32_t n = in_block(h, len);

            if (!move(h, address, n)) {
                fail(h, ERR_DATA_CRC);
                return;
            }
            address += n;
            len -= n;
            idle = 0;
        }
        if (desc[0] & DESC_INT)
            raise(h, INT_DMA, 0);
        if (!h->st->left || (desc[0] & DESC_END))
            break;
    }
    if (h->st->left && (h->st->left != UINT32_MAX || h->st->position))
        adma_failed(h, ADMA_LENGTH);
    else
        transfer_over(h);
}

/* ---- commands ---- */

static void begin_data(struct sdhci *h)
{
    struct sdhci_state *s = h->st;
    bool many = get(h, MODE) & MODE_MANY;

    s->position = 0;
    s->left = !many ? 1 : get(h, MODE) & MODE_COUNT ? get(h, BLOCK_COUNT) : UINT32_MAX;
    if (!s->left) {
        transfer_over(h);
    } else if (get(h, MODE) & MODE_DMA) {
        wait(h, PHASE_DMA, drive_duration(h->drive, bytes_left(h)));
    } else if (reads(h)) {
        wait(h, PHASE_FETCH, drive_duration(h->drive, block_bytes(h)));
    } else {
        set_phase(h, PHASE_OUT);
        raise(h, INT_WRITE, 0);
    }
}

/* A command whose time is over. */
static void command_over(struct sdhci *h)
{
    struct sdhci_state *s = h->st;
    unsigned command = get(h, COMMAND), kind = command & 3u, index = command >> 8 & 63u;
    bool had_data = s->card.data != SD_NO_DATA;
    struct sd_response r = {.len = 0};
    bool answered = false;

    set_phase(h, PHASE_IDLE);
    if (h->drive && (command & COMMAND_DATA) && (get(h, MODE) & MODE_AUTO) == 0x08u)
        sd_command(&s->card, h->drive, 23, get_le32(s->r + SYSTEM_ADDRESS), &r);
    if (h->drive)
        answered = sd_command(&s->card, h->drive, index, get_le32(s->r + ARGUMENT), &r);
    if (kind && !answered) {
        raise(h, 0, ERR_COMMAND_TIMEOUT);
        return;
    }
    if (answered)
        memcpy(s->r + RESPONSE, r.bytes, kind == 1 ? 16 : 4);
    raise(h, INT_COMMAND, 0);
    if ((command & COMMAND_DATA) && (s->card.data == SD_NO_DATA || had_data))
        fail(h, ERR_DATA_TIMEOUT); /* no data come */
    else if (command & COMMAND_DATA)
        begin_data(h);
    else if (kind == 3)
        raise(h, INT_TRANSFER, 0); /* and is not busy any more */
}

static void issue(struct sdhci *h)
{
    unsigned index = get(h, COMMAND) >> 8 & 63u;

    if (h->st->phase == PHASE_COMMAND || ((get(h, COMMAND) & COMMAND_DATA) && h->st->phase != PHASE_IDLE))
        return;
    if (h->st->phase != PHASE_IDLE && index != 12 && index != 0 && index != 13)
        return;
    wait(h, PHASE_COMMAND, COMMAND_NS); /* an abort ends what is under way */
}

/* ---- the buffer ---- */

static void block_fetched(struct sdhci *h)
{
    if (!card_block(h)) {
        fail(h, ERR_DATA_CRC);
        return;
    }
    set_phase(h, PHASE_IN);
    raise(h, INT_READ, 0);
}

static void block_stored(struct sdhci *h)
{
    if (!card_block(h)) {
        fail(h, ERR_DATA_CRC);
        return;
    }
    count_block(h);
    if (!h->st->left) {
        transfer_over(h);
        return;
    }
    set_phase(h, PHASE_OUT);
    raise(h, INT_WRITE, 0);
}

/* A byte went through the port; at the end of a block the next one comes. */
static void byte_passed(struct sdhci *h)
{
    struct sdhci_state *s = h->st;

    if (++s->position < block_bytes(h))
        return;
    s->position = 0;
    if (s->phase == PHASE_OUT) {
        wait(h, PHASE_STORE, drive_duration(h->drive, block_bytes(h)));
        return;
    }
    count_block(h);
    if (s->left)
        wait(h, PHASE_FETCH, drive_duration(h->drive, block_bytes(h)));
    else
        transfer_over(h);
}

static uint64_t port_read(struct sdhci *h, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size && h->st->phase == PHASE_IN; i++) {
        value |= (uint64_t)h->st->block[h->st->position] << (8 * i);
        byte_passed(h);
    }
    return value;
}

static void port_write(struct sdhci *h, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size && h->st->phase == PHASE_OUT; i++) {
        h->st->block[h->st->position] = (uint8_t)(value >> (8 * i));
        byte_passed(h);
    }
}

/* ---- registers ---- */

/* Bits that software writes as they are. */
static const uint8_t writable[REGISTERS] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0x00, 0xfb, 0x3f,
    [0x28] = 0xff, 0x0f, 0x0f, 0x07, 0xe5, 0xff, 0x0f,
    [0x34] = 0xff, 0x01, 0xff, 0xf3, 0xff, 0x01, 0xff, 0xf3, [0x3e] = 0xff, 0xc0,
    [0x58] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
};

static uint32_t present_state(const struct sdhci *h)
{
    unsigned phase = h->st->phase;
    bool data = phase != PHASE_IDLE && phase != PHASE_COMMAND;
    uint32_t value = 0x01f00000u; /* the lines are high */

    if (h->drive)
        value |= 0x00070000u | (h->drive->c.read_only ? 0 : 0x00080000u);
    if (phase == PHASE_COMMAND)
        value |= 1u | (get(h, COMMAND) & COMMAND_DATA || (get(h, COMMAND) & 3u) == 3 ? 2u : 0);
    if (data)
        value |= 0x006u | (reads(h) ? 0x200u : 0x100u);
    return value | (phase == PHASE_IN ? 0x800u : 0) | (phase == PHASE_OUT ? 0x400u : 0);
}

static void reset_registers(struct sdhci *h)
{
    memset(h->st->r, 0, sizeof(h->st->r));
    put_le32(h->st->r + CAPABILITIES, CAPS);
    put_le32(h->st->r + MAX_CURRENT, 0x01);
    put(h, VERSION, 0x0002); /* 3.00 */
    set_phase(h, PHASE_IDLE);
    update_irq(h);
}

/* All; the command's circuit; that of data. */
static void software_reset(struct sdhci *h, uint8_t what)
{
    if (what & 1u) {
        reset_registers(h);
        return;
    }
    if (what & 2u)
        put(h, NORMAL_STATUS, get(h, NORMAL_STATUS) & ~INT_COMMAND);
    if (what & 4u)
        put(h, NORMAL_STATUS, get(h, NORMAL_STATUS) & ~(INT_TRANSFER | INT_DMA | INT_READ | INT_WRITE | 0x04u));
    if (((what & 2u) && h->st->phase == PHASE_COMMAND) || ((what & 4u) && h->st->phase > PHASE_COMMAND))
        set_phase(h, PHASE_IDLE);
    update_irq(h);
}

static void write_byte(struct sdhci *h, unsigned reg, uint8_t value)
{
    uint8_t *r = h->st->r;
    bool shape = (reg >= BLOCK_SIZE && reg < ARGUMENT) || reg == MODE || reg == MODE + 1;

    if (shape && h->st->phase != PHASE_IDLE) /* of a transfer that is under way */
        return;
    r[reg] = (uint8_t)((r[reg] & (uint8_t)~writable[reg]) | (value & writable[reg]));
    switch (reg) {
    case SYSTEM_ADDRESS + 3:
        if (h->st->phase == PHASE_PAUSED)
            wait(h, PHASE_DMA, drive_duration(h->drive, bytes_left(h)));
        break;
    case COMMAND + 1:
        issue(h);
        break;
    case CLOCK: /* stable at once */
        r[CLOCK] = (uint8_t)((r[CLOCK] & ~CLOCK_STABLE) | (value & CLOCK_INTERNAL ? CLOCK_STABLE : 0));
        break;
    case SOFTWARE_RESET:
        software_reset(h, value);
        break;
    case NORMAL_STATUS: case NORMAL_STATUS + 1: case ERROR_STATUS: case ERROR_STATUS + 1:
        r[reg] &= (uint8_t)~value;
        break;
    case FORCE_ERROR: case FORCE_ERROR + 1:
        raise(h, 0, (unsigned)value << (8 * (reg & 1u)));
        break;
    default:
        break;
    }
}

static uint64_t sdhci_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct sdhci *h = dev->wiring;
    uint64_t value = 0;

    (void)range;
    if (offset >= DATA_PORT && offset < PRESENT)
        return port_read(h, size);
    put_le32(h->st->r + PRESENT, present_state(h));
    for (unsigned i = 0; i < size && offset + i < REGISTERS; i++)
        value |= (uint64_t)h->st->r[offset + i] << (8 * i);
    put_le32(h->st->r + PRESENT, 0); /* it is no state */
    return value;
}

static void sdhci_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    struct sdhci *h = dev->wiring;

    (void)range;
    if (offset >= DATA_PORT && offset < PRESENT) {
        port_write(h, size, value);
        return;
    }
    for (unsigned i = 0; i < size && offset + i < REGISTERS; i++)
        write_byte(h, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
    update_irq(h);
}

/* ---- the device ---- */

static void sdhci_reset(struct device *dev)
{
    struct sdhci *h = dev->wiring;

    pci_function_reset(&h->pci);
    sd_reset(&h->st->card);
    h->st->card.state = 0; /* the power was off: also for a card that was put to rest */
    h->st->position = h->st->left = 0;
    reset_registers(h);
}

static vtime_t sdhci_deadline(const struct device *dev)
{
    const struct sdhci_state *s = dev->state;

    return s->done_at;
}

static void sdhci_expire(struct device *dev, vtime_t now)
{
    struct sdhci *h = dev->wiring;
    unsigned phase = h->st->phase;

    (void)now;
    h->st->done_at = VTIME_NEVER;
    if (phase == PHASE_COMMAND)
        command_over(h);
    else if (phase == PHASE_FETCH)
        block_fetched(h);
    else if (phase == PHASE_STORE)
        block_stored(h);
    else if ((h->st->r[HOST_CONTROL] >> 3 & 3u) == ADMA2)
        run_adma(h);
    else
        run_sdma(h);
}

static void sdhci_describe(const struct device *dev, struct buffer *b)
{
    const struct sdhci *h = dev->wiring;

    buffer_printf(b, "card %s, state %u; command %u, phase %u, status %04x %04x\n", h->drive ? h->drive->name : "none",
                  h->st->card.state, get(h, COMMAND) >> 8 & 63u, h->st->phase, get(h, NORMAL_STATUS), get(h, ERROR_STATUS));
}

static bool sdhci_possible(const struct device *dev)
{
    const struct sdhci *h = dev->wiring;
    const struct sdhci_state *s = dev->state;

    return sd_possible(&s->card) && machine_deadline_possible(dev->machine, s->done_at) && s->phase < PHASES &&
           s->position < block_bytes(h) && (h->drive || s->phase <= PHASE_COMMAND) &&
           (s->left || s->phase <= PHASE_COMMAND);
}

static const struct device_ops sdhci_ops = {
    .name = "sdhci-pci",
    .state_size = sizeof(struct sdhci_state),
    .possible = sdhci_possible,
    .reset = sdhci_reset,
    .deadline = sdhci_deadline,
    .expire = sdhci_expire,
    .describe = sdhci_describe,
    .read = sdhci_read,
    .write = sdhci_write,
};

const struct option_key sdhci_keys[] = {{NULL, NULL}};
const struct option_key sd_card_keys[] = {{NULL, NULL}};

static struct sdhci *make(struct sockets *s, const char *name, uint8_t devfn)
{
    static const struct pci_identity id = {.vendor = 0x1b36, .device = 0x0007, .subsystem_vendor = 0x1af4,
                                           .subsystem = 0x1100, .class_code = 0x080501, .pin = 1};
    struct device *dev = machine_add_owned_device(s->machine, &sdhci_ops, name, sizeof(struct sdhci));
    struct sdhci *h = dev->wiring;

    h->dev = dev;
    h->st = dev->state;
    pci_function_init(&h->pci, s->pci, devfn, dev, h->st->config, &id);
    pci_add_bar(&h->pci, 0, PCI_BAR_MEMORY, false, BAR_BYTES, 0);
    return h;
}

static int insert(struct sockets *s, struct sdhci *h, struct drive *d, struct error *err)
{
    char path[BOOT_PATH_BYTES];

    if (sd_check(d, err) < 0)
        return -EINVAL;
    h->drive = d;
    d->wiring = h->dev;
    pci_firmware_path(&h->pci, path, sizeof(path));
    parts_boots(s, 'c', path, "/sd-card@0");
    return 0;
}

int sdhci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
               struct error *err)
{
    struct sdhci *h = make(s, name, devfn);

    (void)props;
    return d ? insert(s, h, d, err) : 0;
}

int sd_card_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                 struct error *err)
{
    (void)name, (void)devfn, (void)props;
    for (unsigned i = s->machine->ndevices; i-- > 0;) {
        struct device *dev = s->machine->devices[i];
        struct sdhci *h = dev->wiring;

        if (dev->ops == &sdhci_ops && !h->drive)
            return insert(s, h, d, err);
    }
    return error_set(err, -ENODEV, "there is no empty slot for it; --device sdhci-pci, before it, makes one");
}
