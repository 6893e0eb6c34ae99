/*
 * A machine: its CPUs, memory, devices, and the arena that holds all
 * their state. A value without globals: two can run side by side.
 *
 * Order of things within the step that starts at position P:
 *   1. events bound to P are applied and deadlines that are due expire, in
 *      order of virtual time (at equal times, deadlines before events, devices
 *      in order of creation, events in order of the log);
 *   2. if all CPUs are idle, the clock warps to the next of them, and 1 is
 *      repeated;
 *   3. a CPU makes the step (an interrupt entry if one is deliverable, else
 *      an instruction), and the position becomes P + 1. Which CPU: the first one that is
 *      awake, counting from that of the slot P is in (schedule.h); those that gave up the rest
 *      of this slot (machine_yield()) come after those that did not, and one that starves
 *      comes last. A CPU that the debugger holds (EVENT_HOLD) counts as one that sleeps.
 * At the end of the guest (machine_state.end) only an event bound to that very
 * position is applied (a reset is the way to go on), and time stands still.
 * machine_run() stops *before* 1, so what it leaves is always the one state
 * that the position names, except when `between` is set (below).
 */
#ifndef HINDCAST_VM_MACHINE_H
#define HINDCAST_VM_MACHINE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/file_call.h"
#include "base/types.h"
#include "vm/cpu.h"
#include "vm/device.h"
#include "vm/drive.h"
#include "vm/event.h"
#include "vm/memory.h"
#include "vm/schedule.h"
#include "vm/topology.h"
#include "vm/trap.h"

#define MACHINE_MAX_CPUS    64
#define MACHINE_MAX_DEVICES 256
/* Parts of the arena. */
#define MACHINE_MAX_COMPONENTS (MACHINE_MAX_DEVICES + 2 * MACHINE_MAX_CPUS + 16)
#define MACHINE_MAX_DEVICE_SPACES 40 /* 32 devices that are plugged in, and those of boards */
#define MACHINE_MAX_SPACES  (MACHINE_MAX_DRIVES + MACHINE_MAX_DEVICE_SPACES + 2) /* memory, arena, and what was added */
#define MACHINE_MAX_AREAS   (MACHINE_MAX_DRIVES + MACHINE_MAX_DEVICE_SPACES + PAGE_SPACE_MAX_AREAS)
#define MACHINE_ARENA_BYTES ((size_t)1 << 20)

/* Why the guest has come to an end; continuing from here stops again at once. */
enum guest_end {
    GUEST_RUNS = 0,
    GUEST_POWEROFF,     /* ACPI S5, PSCI SYSTEM_OFF, APM... */
    GUEST_DEBUG_EXIT,   /* debug-exit port; the status is in machine_state.end_status */
    GUEST_TRIPLE_FAULT, /* a PC would reset itself: continuing means adding an EVENT_RESET here. machine_state.end_status says more
                         * (SHUTDOWN_*) */
    GUEST_RESET,        /* a reset request under --no-reboot */
    GUEST_EXIT,         /* a program ended itself (semihosting); its status is in machine_state.end_status */
    GUEST_WATCHDOG,     /* a watchdog that stops the guest has run out */
};

/* machine_state.end_status of GUEST_TRIPLE_FAULT: whose it is; 1 + the number of the exception that came up while a double
 * fault was delivered, 0 if it was for another reason; the low 16 bits of that one's error code. */
#define SHUTDOWN_STATUS(cpu, exception, error) ((uint32_t)(cpu) | ((uint32_t)(exception) + 1u) << 8 | (uint32_t)((error) & 0xffffu) << 16)
#define SHUTDOWN_CPU(status)                   ((status) & 0xffu)
#define SHUTDOWN_EXCEPTIONS(status)            ((status) >> 8 & 0xffu) /* 0 or 1 + its number */
#define SHUTDOWN_ERROR(status)                 ((status) >> 16)

/* Why everything but memory is reset. */
enum reset_kind {
    RESET_NONE = 0,
    RESET_SYSTEM, /* the machine starts anew */
    RESET_SLEEP,  /* it suspends to RAM: nothing but memory and what has a battery has power from here on */
    RESET_WAKE,   /* it has power again; its firmware is to find that out, and to resume */
};

/* Raised with each change of struct machine_state. */
#define MACHINE_STATE_VERSION 1u

DEVICE_STATE_BEGIN
/* Machine-wide state; first block of the arena. */
struct machine_state {
    icount_t position;     /* current only while the CPU is not running: see machine_position() */
    vtime_t warp;          /* virtual time gained by idling: now = (position << shift) + warp */
    uint32_t end;          /* enum guest_end */
    uint32_t end_status;   /* exit status the guest asked for; or SHUTDOWN_STATUS() */
    uint32_t reset_request; /* enum reset_kind that the guest asked for: the next step performs it */
    uint32_t reserved;
};
DEVICE_STATE_END

/* What the outside supplies. Pulled values are recorded by whoever implements
 * this, bound to machine_position(). */
struct machine_env {
    void *ctx;
    /* Host wall clock, ns since 1970 UTC. */
    uint64_t (*host_clock)(void *ctx, struct machine *);
    /* Fill with random bytes. */
    void (*entropy)(void *ctx, struct machine *, void *buf, size_t len);
    /* The guest wants something of a file on the host: done once in history. NULL: there are no files. */
    void (*file_call)(void *ctx, struct machine *, const struct file_request *, struct file_answer *);
    /* What a sound card records: `n` frames from frame `at` on (counted at `rate` Hz), two samples of 32 bits each. Returns how
     * many there are; less than `n`: no more. NULL: there is silence. */
    size_t (*sound)(void *ctx, struct device *, uint64_t at, uint32_t rate, int32_t *samples, size_t n);
    /* `len` bytes of a drive's image from `offset` on, all of one cluster. 0, or an errno (Linux's numbers):
     * they cannot be read. NULL: the images hold zeros. */
    int (*image_read)(void *ctx, struct machine *, const struct drive *, uint64_t offset, void *buf, size_t len);
    /* The guest sent bytes out of a device. Called on every run over the
     * position: silence while history is re-run is the implementer's business. */
    void (*output)(void *ctx, struct device *, const void *buf, size_t len);
    /* A frame has come to a network card, its number-th: it was taken, or `dropped` says why not. Called as output() is. May be NULL. */
    void (*arrived)(void *ctx, struct device *, const void *frame, size_t len, uint64_t number, const char *dropped);
    /* A device did something that the user is to hear of: `text` goes on after its name. Called as output() is. May be NULL. */
    void (*told)(void *ctx, struct device *, const char *text);
    /* The next event that is bound to a position >= the current one and was not
     * yet applied, or NULL. Answers to pulled values are never among them. The
     * machine calls it between steps only. */
    const struct event *(*peek_event)(void *ctx, struct machine *);
    /* The event that peek_event() gave is about to be applied; its data must stay
     * until the next call of peek_event(). */
    void (*take_event)(void *ctx, struct machine *);
};

enum stop_kind {
    STOP_LIMIT,     /* position == until */
    STOP_TRAP,      /* a trap's callback asked for it: see stop.hit */
    STOP_IDLE,      /* all CPUs sleep, `wake` says until when; only with machine.stop_when_idle */
    STOP_GUEST_END, /* machine_state.end is set */
};

struct stop {
    enum stop_kind kind;
    unsigned cpu;        /* that made the last step; STOP_TRAP: whose the hit is */
    vtime_t wake;        /* STOP_IDLE: the next deadline, or VTIME_NEVER */
    struct trap_hit hit; /* STOP_TRAP */
};

/* A named part of the arena: the unit in which divergence is reported, and states are compared over versions. */
struct component {
    char name[32];    /* the same in every version */
    uint32_t offset;  /* into machine.arena */
    uint32_t size;
    uint32_t version; /* of its layout: another number, another meaning of the bytes */
};

/* Hash of a component whose bytes are those: hash_bytes(hash_bytes(0, name), bytes). */
uint64_t component_hash(const struct component *c, const uint8_t *bytes);

struct machine {
    struct machine_state *st; /* == arena */
    uint8_t *arena;           /* every byte of state outside page-backed memory */
    size_t arena_len;         /* bytes in use, a multiple of 64 */
    struct component components[MACHINE_MAX_COMPONENTS];
    unsigned ncomponents;
    struct page_space arena_pages;        /* the same bytes in pages, the last filled up with zeros */
    struct page_space *spaces[MACHINE_MAX_SPACES]; /* memory, arena, then what was added */
    unsigned nspaces;
    const struct page_area *areas[MACHINE_MAX_AREAS]; /* of all spaces, in order; since it was laid out */
    unsigned nareas;

    struct cpu *cpus[MACHINE_MAX_CPUS];
    unsigned ncpus;
    struct cpu *runner;       /* the CPU that makes steps now, or made the last ones */
    struct schedule schedule; /* of the configuration */
    struct time_slot slot;         /* the one that was looked at last */
    uint64_t awake;           /* bit n: cpus[n] is neither idle nor held; true while !awake_stale */
    bool awake_stale;
    struct memory memory;
    struct device *devices[MACHINE_MAX_DEVICES];
    unsigned ndevices;
    struct drive *drives[MACHINE_MAX_DRIVES];
    unsigned ndrives;

    const struct machine_env *env;
    struct traps *traps;          /* break- and watchpoints, never NULL */
    struct footprint *footprint;  /* pages touched are noted here; NULL: nobody asks */
    struct touches *touches;      /* and here bytes of those that have traps and are in it; the same */
    /* The instructions that are run are noted here: (address << COVERAGE_LEN_BITS) + bytes. NULL: nobody asks. While
     * somebody does, they are run one at a time. */
    struct page_set *coverage;
#define COVERAGE_LEN_BITS 5
    enum reset_kind resetting;    /* during a reset: which one; else RESET_NONE. For devices' reset() and the board */
    const char *acting;           /* who is changing the state just now, if it is not an instruction of the CPU: a device
                                   * by its name, the debugger, a reset...; NULL: that. For those who are told of it */

    unsigned icount_shift;   /* one step is 1 << shift ns of virtual time */
    bool follow_host_clock;  /* real-time clocks are set to the host's whenever they are looked at, until the guest sets them */
    icount_t fail_at;        /* a testing aid: an invariant breaks before the step from here; 0: none does */
    bool stop_at_end;        /* machine_run() goes past no end of the guest, also where an event follows; */
    icount_t end_passed;     /* but for the one at this position */
    bool stop_when_idle;     /* idle ends machine_run() with STOP_IDLE instead of warping */
    bool no_reboot;          /* a guest reset is GUEST_RESET instead */
    bool between;            /* something that belongs to the next step was already done at this
                              * position: the state is not the one the position names */
    icount_t run_from;       /* position at which a CPU's run() was last entered */
    uint64_t wanted;         /* bit n: an instruction of cpus[n] ends machine_run_instruction() */
    /* Who is typed at and whose mouse is moved: of each the device that was plugged in last, as in QEMU. NULL: none. */
    struct device *keyboard;      /* takes words as vm/dev/keys.h has them */
    struct device *mouse;         /* takes 8-byte records: i16 dx (right), i16 dy (down), i16 dz (wheel towards the user),
                                   * u16 buttons held (bit 0 left, 1 right, 2 middle, 3 side, 4 extra) */
    struct device *tablet;        /* the same with places instead of distances, 0 to 32767 */
    struct device *balloon;       /* it takes VIRTIO_BALLOON_INPUT bytes (vm/dev/virtio_balloon.h); NULL: none */
    struct usb_bus *usb;          /* the USB buses, in the order of their numbers (vm/dev/usb.h); NULL: none */
    void *board;             /* the board's own wiring */
    void (*board_reset)(struct machine *);  /* called before devices and CPU reset; may be NULL */
    void (*board_started)(struct machine *); /* called at the very end of a reset: loads boot images
                                              * into RAM, sets the CPU's entry state; may be NULL */
    void (*board_restored)(struct machine *); /* memory map follows restored state; may be NULL */
    void (*powerdown)(struct machine *);    /* press the power button; may be NULL */
    bool (*asleep)(const struct machine *); /* is it suspended to RAM (or about to be, or about to wake)? NULL: it never is */
    void (*nmi)(struct machine *);          /* a non-maskable interrupt to all CPUs; NULL: they have none */
    void (*smi)(struct machine *);          /* a pulse of SMI#; NULL: there is no such line */
    void (*board_destroy)(struct machine *);/* frees `board` and wirings; may be NULL */
};

/* A machine without CPUs or devices. Boards add them, then call machine_reset(). */
struct machine *machine_create(uint32_t max_pages);
void machine_destroy(struct machine *m);

/* Carve `size` zeroed bytes (64-byte aligned) out of the arena under a name. `version` is that of their layout. */
void *machine_alloc_state(struct machine *m, const char *name, uint32_t version, size_t size);
/* The machine has one CPU more; its `ops`, `machine` and `state` are set. */
void machine_add_cpu(struct machine *m, struct cpu *cpu);
/* Create a device with its state block. `name` must be unique. */
struct device *machine_add_device(struct machine *m, const struct device_ops *ops,
                                  const char *name, void *wiring);
/* The same for a device that is made because the user asked for it: its wiring, `size` zeroed bytes, is the machine's. */
struct device *machine_add_owned_device(struct machine *m, const struct device_ops *ops, const char *name, size_t size);
struct device *machine_find_device(const struct machine *m, const char *name);

/* Another page space, which the caller keeps: its pages belong to the state from now on. Its name must be
 * unique. Before the machine is laid out. */
void machine_add_pages(struct machine *m, struct page_space *s);
/* Everything has been added: number the pages. Again after more was added, as long as there is no
 * checkpoint store. */
void machine_lay_out(struct machine *m);
/* The space of the page of this global number, and its number there. NULL: there is none. */
struct page_space *machine_space_of(const struct machine *m, uint64_t global, uint64_t *n);
/* Global number after the last. */
uint64_t machine_pages(const struct machine *m);

/* An access to a device, for whoever routes it: what the device does then is its own. */
uint64_t device_read(struct device *dev, unsigned range, uint64_t offset, unsigned size);
void device_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value);

/* System reset of board, devices and CPUs. Does not touch position, warp or RAM. */
void machine_reset(struct machine *m);

/* The position of the step in progress (inside device and CPU code), or the
 * current position. */
icount_t machine_position(const struct machine *m);
/* Virtual time there, ns. */
vtime_t machine_now(const struct machine *m);
/* The least deadline that may wake a CPU, if all sleep (device_ops.unheard). VTIME_NEVER: none. */
vtime_t machine_heard_deadline(const struct machine *m);

/* Run to `until` exactly, or stop earlier for the reason in *stop. Never passes
 * `until`. until == position returns STOP_LIMIT without doing anything. STOP_IDLE
 * with wake == VTIME_NEVER is also given without stop_when_idle: nothing will
 * ever wake the guest but an event that is not there yet. */
void machine_run(struct machine *m, icount_t until, struct stop *stop);
/* The same, but also stops (STOP_LIMIT) when one of `cpus` (bit n: cpus[n]; not 0) has made at least one step and
 * stands between two instructions: a repeated instruction is made whole, in bulk, as is what other CPUs do
 * meanwhile. And after each step that is no CPU's: an event, a reset. */
void machine_run_instruction(struct machine *m, icount_t until, uint64_t cpus, struct stop *stop);
/* Whose turn it is here, by the schedule: who makes the step from here unless something that is due wakes another one. If
 * all sleep, the first one. A pure function of the state. */
unsigned machine_whose_turn(struct machine *m);
/* Whom the debugger holds: bit n: cpus[n]. */
uint64_t machine_held(const struct machine *m);
/* Does the debugger hold some, and wait all others (there are some) for what only another CPU could do (cpu_ops.awaits)? Then
 * nobody makes a step any more until it lets one go. */
bool machine_waits_for_held(const struct machine *m);
/* Is there one that sleeps with interrupts disabled, and do all others too, or wait for what only another CPU could do?
 * (Suspended to RAM they do not.) */
bool machine_is_deaf(const struct machine *m);
/* Make a CPU's share of one in an older layout: the same as cpu_ops.upgrade. */
bool machine_upgrade_share(struct cpu *cpu, uint32_t version, const void *old, size_t len);
/* With stop_when_idle: let the sleeping CPUs' clock jump to `to`, which must not be
 * later than the `wake` of the last STOP_IDLE; sets `between`. */
void machine_warp(struct machine *m, vtime_t to);

/* For device and CPU code: whoever runs is to leave its run() after this instruction, because deadlines,
 * requests, interrupt lines or who is awake may have changed. */
void machine_attention(struct machine *m);
/* For the code of a CPU in the step from `position`, its last before run() is left if the answer is yes: it has
 * nothing to do but wait, and gives up the rest of its slot. Does another CPU go on? Costs nothing if there is
 * one CPU. */
bool machine_yield(struct cpu *cpu, icount_t position);
/* For a CPU's run(): it does not run any more and the machine stands at `position`. Counts its steps. */
static inline void machine_stand(struct machine *m, icount_t position)
{
    if (position == m->st->position)
        return;
    m->runner->share->steps += position - m->st->position;
    m->runner->stepped = m->st->position = position;
}

/* For device and CPU code: ask for the end of the guest, or a reset, after this instruction. */
void machine_end(struct machine *m, enum guest_end end, uint32_t status);
/* Does the machine stand at an end of the guest that it is not to go past (stop_at_end)? */
bool machine_stops_here(const struct machine *m);
void machine_request_reset(struct machine *m);
/* Suspend to RAM, and wake: resets of these kinds, which no_reboot does not concern. */
void machine_request_sleep(struct machine *m);
void machine_request_wake(struct machine *m);

/* Pulled values, through env. */
uint64_t machine_host_clock(struct machine *m);
void machine_entropy(struct machine *m, void *buf, size_t len);
void machine_file_call(struct machine *m, const struct file_request *request, struct file_answer *answer);
size_t machine_sound(struct device *dev, uint64_t at, uint32_t rate, int32_t *samples, size_t n);
void machine_output(struct device *dev, const void *buf, size_t len);
/* For network cards: env.arrived(). */
void machine_arrived(struct device *dev, const void *frame, size_t len, uint64_t number, const char *dropped);

/* env.told(). */
void machine_tell(struct device *dev, const char *text);

/* Is the arena one that the machine can be in? NULL: yes; else the name of the first part that is
 * not. For states that come from files. */
const char *machine_impossible_part(const struct machine *m);
/* Can `t` be a deadline: never, or a time to come, or hardly gone? (Who makes up for each of a
 * thousand years' ticks one by one does not come back.) */
bool machine_deadline_possible(const struct machine *m, vtime_t t);

/* Hash of the whole state, the sum of those of its pages and components: the "state hash" of doc/log-format.md,
 * the same that checkpoint_view_hash() has of a checkpoint. Costs a pass over memory. */
uint64_t machine_hash(struct machine *m);
/* Hash of one component of the arena. */
uint64_t machine_component_hash(const struct machine *m, unsigned component);
/* The arena was replaced: CPUs, devices and board rebuild what they derive. */
void machine_restored(struct machine *m);
/* What CPUs derive and cache is to be made anew. */
void machine_drop_derived(struct machine *m);

#endif
