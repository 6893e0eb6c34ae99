/*
 * Devices: behaviour in a const table, guest-visible state in one plain block.
 *
 * The state block lives in the machine's arena, so that checkpoints and hashes
 * cover it without the device's help. It must be fixed-width, pointer-free and
 * padding-free (declare it between DEVICE_STATE_BEGIN and DEVICE_STATE_END,
 * which turns padding into an error). Host wiring (who an interrupt line goes
 * to, what a port is called) lives in a different struct, `wiring`.
 *
 * Adding a device: doc/HACKING.md.
 */
#ifndef HINDCAST_VM_DEVICE_H
#define HINDCAST_VM_DEVICE_H

#include "base/types.h"
#include "vm/event.h"

#define DEVICE_STATE_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic error \"-Wpadded\"")
#define DEVICE_STATE_END   _Pragma("GCC diagnostic pop")

struct buffer;
struct display_ops;
struct machine;
struct device;

struct device_ops {
    const char *name;    /* unique in a machine, e.g. "pit"; instances add a number */
    uint32_t state_size; /* bytes of guest-visible state, at `device.state` */
    /* Version of the state's layout and meaning: raised with each change (doc/HACKING.md). */
    uint32_t state_version;
    /* Make the state of what it was in an older version (of `len` bytes, from a file). False: cannot. NULL: no
     * older state is known. */
    bool (*upgrade)(struct device *, uint32_t version, const void *old, size_t len);

    /* Power-on and system reset. State was zeroed once at creation; battery-backed
     * contents may be kept across resets. */
    void (*reset)(struct device *);
    /* When does `expire` want to be called? VTIME_NEVER when idle. A pure
     * function of state; may be in the past (then it is due at once). NULL: never. */
    vtime_t (*deadline)(const struct device *);
    /* Whatever happens at its deadlines, no CPU is woken by it as long as all sleep: whoever waits may be late for them, and
     * have them come one after the other afterwards. A function of state. NULL: a CPU may be. */
    bool (*unheard)(const struct device *);
    /* The deadline has come: `now` >= deadline. Must move the deadline on. */
    void (*expire)(struct device *, vtime_t now);
    /* Apply recorded or live input (EVENT_INPUT). Must ignore malformed data. */
    void (*input)(struct device *, const struct event *);
    /* How many more input bytes the device can take now; live input waits in
     * the host until there is room. NULL: always SIZE_MAX. */
    size_t (*input_room)(const struct device *);
    /* Of a network card: at most so many bytes may a frame have that this TCP packet to the guest and what follows it were put together
     * into. NULL, 0: it wants each by itself. */
    size_t (*joined_room)(const struct device *, const uint8_t *frame, size_t len);
    /* Guest state was replaced (checkpoint restored): rebuild derived data only. */
    void (*restored)(struct device *);
    /* Is the state one that the device can be in, as far as its own code relies on it? Asked of
     * states that come from files (checkpoints in recordings): what is false here would be an
     * index out of its array, a broken CHECK(), a loop without end. Looks at the state only.
     * NULL: whatever the bytes are, the device can work with them. */
    bool (*possible)(const struct device *);
    /* Append a readable picture of the state, for `monitor info devices`. May be NULL. */
    void (*describe)(const struct device *, struct buffer *);
    bool takes_break; /* an EVENT_INPUT of no bytes is a break on its line (serial ports); nobody else gets one */
    bool interrupts; /* it is an interrupt controller: for `monitor info irq` */
    /* A read changes nothing but the device's own state and its lines: so whoever polls it is disturbed only when its deadline,
     * its room for input or a line has changed. (Without it, each read ends the CPU's run, and everything is looked at anew.) */
    bool calm_reads;
    bool calm_writes; /* the same of writes: they change no other device's deadline or room either */
    const struct display_ops *display; /* what it shows (vm/dev/display.h); NULL: it is no display */
    /* The machine goes: free what the wiring holds (a page space's pages). May be NULL. */
    void (*destroy)(struct device *);

    /* Accesses that the bus routes here. `offset` counts from the start of the
     * claimed range; `size` is 1, 2, 4 or 8 bytes. A port or MMIO access that
     * the device does not implement reads as all ones and ignores writes. */
    uint64_t (*read)(struct device *, unsigned range, uint64_t offset, unsigned size);
    void (*write)(struct device *, unsigned range, uint64_t offset, unsigned size, uint64_t value);
};

/* What on the host a device is connected to. */
enum device_backend { BACKEND_NONE, BACKEND_NETDEV /* netdev=ID */, BACKEND_CHARDEV /* chardev=ID */, BACKEND_FSDEV /* fsdev=ID */,
                      BACKEND_AUDIODEV /* audiodev=ID */, BACKEND_TPMDEV /* tpmdev=ID */,
                      BACKEND_USB /* a device of the host: its own name */ };

struct device {
    const struct device_ops *ops;
    struct machine *machine;
    void *state;          /* arena block of ops->state_size bytes */
    void *wiring;         /* the board's own struct for this device; never guest state */
    void *owned;          /* == wiring if it is freed with the machine */
    uint16_t index;       /* position in machine.devices: the `source` of its events */
    char name[30];        /* e.g. "uart0" */
    char backend[32];     /* the user's name for what it is connected to on the host; "": nothing */
    enum device_backend backend_kind;
    /* Who hears of what came in (its input(), afterwards): a network card's wire (vm/dev/nic.c). NULL: nobody. */
    struct device *listener;
    const char *refused;  /* why what came in last was not taken, as input() has said; NULL: it was. Not state */
};

/* An interrupt (or any one-bit) line from a device to whoever listens. Levels
 * are remembered by the receiver, which is where the state is. */
struct line {
    void (*set)(void *ctx, unsigned n, bool level); /* NULL: not connected */
    void *ctx;
    unsigned n;
};

static inline void line_set(const struct line *l, bool level)
{
    if (l->set)
        l->set(l->ctx, l->n, level);
}

#endif
