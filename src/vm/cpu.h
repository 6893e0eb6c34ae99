/*
 * What the machine and the debugger's side know of a CPU, whatever its kind. All CPUs of a
 * machine are of one kind.
 */
#ifndef HINDCAST_VM_CPU_H
#define HINDCAST_VM_CPU_H

#include "base/types.h"
#include "vm/device.h"

struct footprint;
struct cpu;
struct machine;
struct stop;
struct buffer;

/* A register as gdb sees it; `number` is its index in cpu_ops.regs. */
struct reg_desc {
    const char *name;
    uint16_t bits;       /* a multiple of 8 */
    const char *type;    /* gdb type: "int32", "code_ptr", "i387_ext", "vec128", a flags type... */
    const char *group;   /* "general", "float", "vector", "system" or NULL */
    const char *feature; /* target description feature, e.g. "org.gnu.gdb.i386.core" */
    bool no_save;        /* it ticks, cannot be written, or belongs to what goes on meanwhile: a debugger shall not
                          * put it back after a call of a function */
    bool exact;          /* a debugger's value with bits that it does not take on is refused; else write_reg drops them */
    uint8_t dwarf;       /* its number in DWARF and in the ABI's unwinding tables, plus 1; 0: its own number, up to the PC */
};

/* How the code that runs calls functions and the system. Registers by gdb's names; lists end with NULL. */
struct cpu_abi {
    const char *name;
    const char *const *args;       /* of the first arguments; */
    unsigned stack_args;           /* then so many words on the stack, above the return address */
    const char *link;              /* has the return address; NULL: it is on the top of the stack */
    bool pops_args;                /* a function may take its arguments off the stack */
    const char *result;
    unsigned word;                 /* bytes of an address and of what is on the stack */
    const char *syscall_number;    /* and arguments; the result is in `result` */
    const char *const *syscall_args;
    const char *root;              /* tells address spaces apart, */
    uint64_t root_mask;            /* by these bits */
    const struct cpu_abi *before_64; /* of the system calls that 32-bit programs make; NULL: the same */
};

struct cpu_ops {
    const char *arch;      /* gdb architecture name: "i386", "i386:x86-64", "aarch64" */
    uint32_t state_size;   /* bytes of guest-visible state at cpu.state */
    uint32_t state_version; /* the same as device_ops.state_version, and .upgrade */
    bool (*upgrade)(struct cpu *, uint32_t version, const void *old, size_t len);

    void (*reset)(struct cpu *);
    /* Make steps until machine position == until, a trap stops, the CPU idles, or
     * a device access calls for the machine's attention (`cpu.attention`). On
     * return the state is canonical and machine_state.position is current. */
    void (*run)(struct cpu *, icount_t until);
    /* Does the CPU sleep with nothing to wake it, or is it not there yet? Whoever changes the answer of a CPU that
     * does not run calls machine_attention(). */
    bool (*idle)(const struct cpu *);
    /* What it does, for people: "running", "halted" (until an interrupt), "off". NULL: running or halted. */
    const char *(*activity)(const struct cpu *);
    /* What it waits for that only another CPU can do to it, for people: "a SIPI". No interrupt, device or time wakes it
     * before. NULL: it waits for no such thing. May be NULL: it never does. */
    const char *(*awaits)(const struct cpu *);
    /* Does it sleep with interrupts disabled, so that no device's but one that cannot be masked wakes it? May be NULL: nobody
     * knows. */
    bool (*deaf)(const struct cpu *);
    /* Perform the debugger's view of an address translation: no side effects
     * on the guest. False: not mapped. */
    bool (*translate)(const struct cpu *, uint64_t va, paddr_t *pa);
    /* What this CPU would read now from a device at a physical address, by accesses of the security that it has, or (`port`) at a port;
     * within a page. What the read does to the device is done: so it is asked of a machine that is not gone on with. False: the CPU
     * knows no ports. May be NULL. */
    bool (*read_device)(struct cpu *, bool port, uint64_t addr, unsigned size, uint64_t *value);
    /* Bytes from `va` (a page's beginning) on that have one fate: mapped side by side, or not mapped. At
     * least a page; 0: there is nothing more up to the end of the address space. So the
     * mappings are listed in about as many steps as there are entries of page tables. */
    uint64_t (*stretch)(const struct cpu *, uint64_t va);
    /* Address of the next instruction, in the address space that traps use. */
    uint64_t (*pc)(const struct cpu *);
    /* While it runs: that of the instruction in progress, if that is the last of its block, or of the one that the
     * entry in progress came before. NULL: nobody knows. */
    uint64_t (*step_pc)(const struct cpu *);
    /* Of the mode that it is in. `registers`: arguments are in registers though they usually are not (regparm). */
    const struct cpu_abi *(*abi)(const struct cpu *, bool registers);
    /* Is it a mode (TRAP_MODE) of programs, with the least privileges? */
    bool (*mode_is_user)(uint64_t mode);
    /* Words for a mode (TRAP_MODE) and an exception or interrupt, e.g. "user", "page fault". NULL: has none. */
    const char *(*mode_name)(uint64_t mode);
    const char *(*exception_name)(uint64_t number);
    /* The highest numbers that exceptions and interrupts are noted with (vm/trap.h). */
    uint64_t exception_last, interrupt_last;
    /* The current instruction is a repeated one that has begun: position where it
     * began; ICOUNT_MAX at an instruction boundary. */
    icount_t (*in_progress)(const struct cpu *);
    /* gdb expects a watched access of this architecture to be reported before it is made
     * (in the direction of travel): see timeline_continue(). */
    bool watch_before;
    /* The physical address of the line whose next writer the CPU's state waits for, or LINE_NONE (line.h). Pure. NULL:
     * it never does. */
    paddr_t (*line)(const struct cpu *);
    /* A writer is there: the state waits for none any more, and the CPU may be awake. */
    void (*line_written)(struct cpu *);
    /* Steps that the CPU may make before it has to stand, at least 1; ICOUNT_MAX: any number. Pure. May be NULL. */
    icount_t (*room)(const struct cpu *);
    /* Steps were made, and the CPU stands: what others do from now on may concern it. May be NULL. */
    void (*stood)(struct cpu *);
    /* State was replaced or RAM behind it changed: drop TLB, jump cache, anything derived. */
    void (*drop_derived)(struct cpu *);
    /* All code that was run since the last call is in the footprint, which was being noted (NULL: none was); another may be
     * from now on. May be NULL: it is at once. Called of each CPU of a machine. */
    void (*note_code)(struct cpu *, struct footprint *);
    /* The same as device_ops.possible. */
    bool (*possible)(const struct cpu *);
    void (*destroy)(struct cpu *);

    const struct reg_desc *regs; /* in gdb's order */
    unsigned nregs;
    unsigned address_bits;       /* width of a virtual address: 32 or 64 */
    bool char_unsigned;          /* plain char is unsigned in its C ABI (AAPCS64 10.1.1) */
    unsigned pc_reg;             /* numbers of the program counter, */
    unsigned sp_reg, fp_reg;     /* stack pointer, frame pointer, */
    unsigned flags_reg;          /* and condition flags */
    /* Little-endian value of register n, regs[n].bits / 8 bytes. */
    void (*read_reg)(const struct cpu *, unsigned n, void *buf);
    /* False: the register or the value cannot be written. */
    bool (*write_reg)(struct cpu *, unsigned n, const void *buf);
    /* XML for flag and union types of a feature, or NULL. */
    const char *(*feature_types)(const char *feature);
    /* Human-readable pictures for the monitor; each may be NULL. */
    void (*describe)(const struct cpu *, struct buffer *);
    void (*describe_tlb)(const struct cpu *, struct buffer *);
};

DEVICE_STATE_BEGIN
#define CPU_SHARE_VERSION 2u /* 1 had no `held` */
/* A CPU's share of the machine's steps; part of the arena. */
struct cpu_share {
    icount_t steps;    /* that it has made */
    icount_t yielded;  /* it gave up the rest of the slot that begins at this position, less 1; 0: none */
    uint32_t held;     /* the debugger holds it: it makes no step, whatever would wake it; a reset changes nothing about that */
    uint32_t reserved;
};
DEVICE_STATE_END

struct cpu {
    const struct cpu_ops *ops;
    struct machine *machine;
    unsigned index;    /* machine.cpus[index] */
    void *state;       /* arena block */
    struct cpu_share *share; /* arena block */
    icount_t stepped;  /* where the machine stood after this CPU's last step, or after a reset since; 0: it made none
                        * since the state was replaced */
    uint64_t line;     /* derived (line.h): storage page and offset of the line that is watched for it, or LINE_NONE */
    bool own_line;     /* its own stores count, too */
    bool running;      /* inside ops->run */
    bool attention;    /* set by machine_attention(): leave run() after this instruction, because
                        * deadlines, requests or interrupt lines may have changed, or who is awake */
    bool to_boundary;  /* leave run() at the first instruction boundary after a step, too: it may make a
                        * repeated instruction whole, but no instruction after it */
    /* While running, the position of the step in progress is
     * limit - budget - steps, provided that the block in progress is one step. */
    icount_t limit;    /* `until` of this run */
    uint64_t budget;   /* steps left to `limit` after the block in progress */
    uint32_t steps;    /* steps of the block in progress */
};

#endif
