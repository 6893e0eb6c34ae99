/*
 * Between the parts of the NVMe controller: registers, queues, data (nvme.c), admin commands (nvme_admin.c), commands for
 * blocks (nvme_blocks.c), what goes on beside commands: self-tests, formatting, sanitizing (nvme_background.c).
 */
#ifndef HINDCAST_VM_DEV_NVME_INTERNAL_H
#define HINDCAST_VM_DEV_NVME_INTERNAL_H

#include "vm/dev/pci.h"
#include "vm/drive.h"
#include "vm/page_space.h"

#define QUEUES      9u    /* the admin queue, and I/O queues 1 to 8 */
#define QUEUE_MOST  1024u /* entries of an I/O queue */
#define ADMIN_MOST  4096u /* of the admin queues (3.1.7) */
#define MDTS        7u    /* 2^7 pages of 4 KiB */
#define EVENTS_MOST 4u    /* asynchronous event requests that may wait */
#define ERRORS_MOST 4u    /* entries of the error log */
#define TESTS_KEPT  20u   /* of the self-test log */
#define TEMPERATURE 300u  /* of the controller, kelvin: always */
#define TOO_WARM    343u
#define HOUR_NS     UINT64_C(3600000000000)
/* What one copy may be: blocks of a range, of all, ranges. */
#define COPY_RANGE  1024u
#define COPY_BLOCKS 8192u
#define COPY_RANGES 128u

#define CSTS_CFS  0x02u

/* Status of a completion: SCT << 8 | SC, and "do not retry". */
#define OK              0x000u
#define BAD_OPCODE      0x001u
#define BAD_FIELD       0x002u
#define DATA_ERROR      0x004u
#define ABORTED         0x007u
#define BAD_NAMESPACE   0x00bu
#define BAD_SEQUENCE    0x00cu
#define BAD_PRP         0x013u
#define SANITIZING      0x01du
#define BAD_LBA         0x080u
#define FORMATTING      0x084u
#define BAD_CQ          0x100u
#define BAD_QID         0x101u
#define BAD_QUEUE_SIZE  0x102u
#define TOO_MANY_EVENTS 0x105u
#define BAD_VECTOR      0x108u
#define BAD_LOG         0x109u
#define BAD_FORMAT      0x10au
#define BAD_QUEUE_DELETION 0x10cu
#define NOT_SAVEABLE    0x10du
#define NOT_OF_NAMESPACE 0x10fu
#define TESTING         0x11du
#define READ_ONLY       0x182u
#define TOO_MUCH        0x183u /* of a copy */
#define WRITE_FAULT     0x280u
#define READ_ERROR      0x281u
#define DIFFERENT       0x285u
#define MORE            0x2000u /* in the error log */
#define DNR             0x4000u
#define NO_COMPLETION   0xffffu /* the command stays */

enum { A_DELETE_SQ = 0x00, A_CREATE_SQ = 0x01, A_LOG = 0x02, A_DELETE_CQ = 0x04, A_CREATE_CQ = 0x05, A_IDENTIFY = 0x06,
       A_ABORT = 0x08, A_SET_FEATURES = 0x09, A_GET_FEATURES = 0x0a, A_EVENT = 0x0c, A_SELF_TEST = 0x14, A_FORMAT = 0x80,
       A_SANITIZE = 0x84 };
enum { N_FLUSH = 0x00, N_WRITE = 0x01, N_READ = 0x02, N_UNCORRECTABLE = 0x04, N_COMPARE = 0x05, N_ZEROES = 0x08, N_DATASET = 0x09,
       N_VERIFY = 0x0c, N_COPY = 0x19 };

enum { L_ERRORS = 1, L_HEALTH = 2, L_FIRMWARE = 3, L_NAMESPACES = 4, L_EFFECTS = 5, L_TESTS = 6, L_SANITIZE = 0x81 };

/* Features (5.21.1). */
enum { F_ARBITRATION = 1, F_POWER = 2, F_TEMPERATURE = 4, F_RECOVERY = 5, F_WRITE_CACHE = 6, F_QUEUES = 7, F_COALESCING = 8,
       F_VECTOR = 9, F_ATOMICITY = 10, F_EVENTS = 11, F_TIMESTAMP = 14 };

DEVICE_STATE_BEGIN
struct nvme_sq {
    uint64_t at;
    uint16_t size, head, tail; /* size 0: not there */
    uint16_t cq;
};

struct nvme_cq {
    uint64_t at;
    uint16_t size, head, tail;
    uint16_t vector;
    uint8_t phase, interrupts;
    uint8_t reserved[6];
};

/* An entry of the error log (5.14.1.1). */
struct nvme_error {
    uint64_t count, lba;
    uint32_t nsid;
    uint16_t queue, id, status, reserved[3];
};

/* Features that have a value (5.21.1). */
struct nvme_settings {
    uint16_t warm, cold;   /* temperature thresholds, kelvin */
    uint32_t uncoalesced;  /* interrupt vectors, bits; never saved */
    uint32_t reserved;
    uint32_t features[16]; /* the others, by their numbers, as set */
};

/* Completions of a queue of which nobody was told yet: interrupt coalescing. */
struct nvme_hold {
    uint64_t until;        /* vtime at which they are told of, or VTIME_NEVER */
    uint32_t held;
    uint8_t due;           /* the pin may tell of what is in the queue */
    uint8_t reserved[3];
};

/* The result of a self-test (5.14.1.6). */
struct nvme_test {
    uint64_t at;           /* vtime of its end */
    uint64_t lba;          /* that could not be read, if it is a result that says so */
    uint32_t nsid;
    uint8_t code, result;  /* which test; enum nvme_test_result */
    uint8_t reserved[2];
};

struct nvme_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t cc, csts, masked, aqa;
    uint64_t asq, acq;
    uint64_t done_at;      /* vtime at which the command in progress ends, or VTIME_NEVER */
    uint32_t queue;        /* whose command that is */
    uint32_t events;       /* asynchronous event requests that wait */
    uint16_t event_id[EVENTS_MOST]; /* their identifiers, the oldest first */
    uint8_t noticed;       /* events that nobody was told of, bits by enum nvme_event */
    uint8_t told;          /* types of events that are kept back until their log is read, bits */
    uint8_t created;       /* there were I/O queues since the controller was enabled */
    uint8_t reserved_event;
    struct nvme_settings now;
    /* What the logs tell; it outlives resets. */
    uint64_t errors, media_errors, reads, writes, bytes_read, bytes_written;
    struct nvme_error error[ERRORS_MOST]; /* error number k (from 1 on) is at k % ERRORS_MOST */
    struct nvme_sq sq[QUEUES];
    struct nvme_cq cq[QUEUES];
    uint32_t table[QUEUES][4];
    uint32_t pending;
    uint32_t reserved;
    /* Since version 2 of the layout. */
    struct nvme_hold hold[QUEUES];
    uint64_t unreadable;   /* blocks that are marked in nvme.marks */
    uint64_t clock_ms;     /* the Timestamp feature as it was at the vtime `clock_at` */
    uint64_t clock_at;
    uint64_t test_began, test_ends; /* of the self-test in progress, vtimes; the second VTIME_NEVER: there is none */
    uint64_t tests;        /* how many have ended; number k (from 1 on) is at k % TESTS_KEPT */
    struct nvme_test test[TESTS_KEPT];
    uint64_t erase_at;     /* vtime of the next piece that is erased, or VTIME_NEVER */
    uint64_t erased;       /* bytes */
    uint32_t test_nsid;
    uint32_t sanitize_dw10; /* of the last such command */
    uint16_t sanitize_status; /* SSTAT (5.14.1.16.2) */
    uint16_t format_id;    /* of the command that is complete when all is erased */
    uint8_t erasing;       /* enum nvme_erasing */
    uint8_t testing;       /* self-test code */
    uint8_t clock_set;     /* by the host */
    uint8_t format;        /* number of the namespace's: 0, blocks of the drive's size; 1, of 4 KiB */
    struct nvme_settings saved;
    /* Since version 3. */
    uint32_t overwritten_with; /* the pattern of the last overwriting */
};
DEVICE_STATE_END

enum nvme_erasing { ERASING_NOTHING, ERASING_FORMAT, ERASING_SANITIZE };
/* Results of self-tests. */
enum nvme_test_result { TEST_PASSED, TEST_ABORTED, TEST_RESET, TEST_NAMESPACE_GONE, TEST_FORMATTED, TEST_FATAL, TEST_FAILED, TEST_SEGMENT_FAILED,
                        TEST_SANITIZED = 9, TEST_UNUSED = 15 };

/* Wiring. */
struct nvme {
    struct pci_function pci;
    struct device *dev;
    struct nvme_state *st;
    struct drive *drive;
    struct sparse_pages marks; /* a bit for each block that Write Uncorrectable has made unreadable */
};

/* Blocks of 512 bytes may be made ones of 4 KiB; there are so many formats. */
#define NVME_LARGE_BLOCK 4096u

static inline unsigned nvme_formats(const struct nvme *n)
{
    return n->drive->c.sector_size < NVME_LARGE_BLOCK ? 2 : 1;
}

static inline uint32_t nvme_block_bytes(const struct nvme *n)
{
    return n->st->format ? NVME_LARGE_BLOCK : n->drive->c.sector_size;
}

static inline uint64_t nvme_block_count(const struct nvme *n)
{
    return drive_sectors(n->drive) * n->drive->c.sector_size / nvme_block_bytes(n);
}

struct command {
    uint8_t opcode, flags;
    uint16_t id;
    uint32_t nsid;
    uint64_t reserved, metadata, prp1, prp2;
    uint32_t dw10, dw11, dw12, dw13, dw14, dw15;
};

/* What is told to who waits for events. */
enum nvme_event { EVENT_DOORBELL_REGISTER, EVENT_DOORBELL_VALUE, EVENT_TEMPERATURE, EVENT_SANITIZED, EVENTS };

/* ---- nvme.c ---- */

uint64_t nvme_page_bytes(const struct nvme *n);
/* Move `len` bytes of `buf` to or from where the command's PRPs say (4.3), from byte `skip` of its data on, which are
 * `whole` bytes. Entries that are not needed are not looked at. The status of the command: only the first entry, and where a list
 * begins, may lie within a page. */
uint16_t nvme_move(struct nvme *n, const struct command *c, uint64_t whole, uint64_t skip, void *buf, size_t len, bool to_memory);
/* How many completions there is room for. */
unsigned nvme_room(const struct nvme_cq *q);
/* A command of `queue` is complete; its completion queue has room. */
void nvme_complete(struct nvme *n, unsigned queue, uint16_t id, uint16_t status, uint32_t result);
/* Completions were taken from the queue or it goes: nobody need be told of them any more. */
void nvme_forget_held(struct nvme *n, unsigned queue);
void nvme_update_pin(struct nvme *n);
/* To be told when the command in progress is complete, at the latest; or by nvme_tell_events(). */
void nvme_notice(struct nvme *n, enum nvme_event event);
void nvme_tell_events(struct nvme *n);
/* The log was read: more of the events that belong to it may be told. */
void nvme_log_was_read(struct nvme *n, unsigned log);
/* Take request number `i` from those that wait for events. */
uint16_t nvme_take_request(struct nvme_state *s, unsigned i);

/* ---- nvme_admin.c ---- */

/* The status of an admin command, or NO_COMPLETION. */
uint16_t nvme_admin(struct nvme *n, const struct command *c, uint32_t *result);
void nvme_default_settings(struct nvme_settings *f);
/* A controller level reset: features are what was saved. */
void nvme_reset_features(struct nvme *n);

/* ---- nvme_blocks.c ---- */

/* The status of an I/O command. */
uint16_t nvme_io(struct nvme *n, const struct command *c);
/* The bytes that it moves, for drive_duration(). */
uint64_t nvme_bytes_moved(struct nvme *n, const struct command *c);
/* These blocks were written, or are gone: they can be read. */
void nvme_written(struct nvme *n, uint64_t lba, uint64_t count);

/* ---- nvme_background.c ---- */

uint16_t nvme_self_test(struct nvme *n, const struct command *c);
uint16_t nvme_format(struct nvme *n, const struct command *c);
uint16_t nvme_sanitize(struct nvme *n, const struct command *c);
/* The status of a command for blocks while all of them are erased; OK: they are not. */
uint16_t nvme_erasing_status(const struct nvme_state *s);
/* Of a namespace that is formatted, % that are left. */
uint8_t nvme_format_left(const struct nvme *n);
/* Logs: 564 bytes, 512 bytes. */
void nvme_test_log(const struct nvme *n, uint8_t *r);
void nvme_sanitize_log(const struct nvme *n, uint8_t *r);
/* Minutes that an extended self-test takes. */
uint16_t nvme_test_minutes(const struct nvme *n);
void nvme_background_reset(struct nvme *n);
vtime_t nvme_background_deadline(const struct nvme_state *s);
void nvme_background_expire(struct nvme *n, vtime_t now);
/* There is room for completions again. */
void nvme_background_room(struct nvme *n);
bool nvme_background_possible(const struct nvme *n);

#endif
