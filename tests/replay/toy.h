/*
 * A toy machine for testing what knows no particular CPU: the machine, the
 * checkpoint store, the timeline. Its CPU is small enough to be obviously right
 * and has one of everything that makes time travel difficult:
 *
 *   instructions of 8 bytes (op, a, b, c, imm32), fetched from memory at each step
 *   (so code may modify itself), eight 32-bit registers;
 *   a repeated copy instruction, one step an iteration, interruptible;
 *   HLT, and one interrupt line; an interrupt entry is a step and ends HLT;
 *   a timer device: periodic or one-shot, loud (interrupts) or silent, and one
 *   that asks the host clock when it expires;
 *   a serial device: four-byte FIFO, interrupts on input, output;
 *   a disk that moves its data when its deadline comes, and interrupts;
 *   one CPU or several, which take turns, interrupt each other, give up their turn; those from the third on sleep until
 *   they are interrupted. Each device interrupts one of them.
 *
 * 24 pages of RAM; addresses wrap. Virtual address = physical + TOY_VIRTUAL, so
 * that nobody mixes them up.
 */
#ifndef HINDCAST_TESTS_TOY_H
#define HINDCAST_TESTS_TOY_H

#include "vm/machine.h"

#define TOY_PAGES   24u
#define TOY_BYTES   (TOY_PAGES * (uint32_t)PAGE_SIZE)
#define TOY_VIRTUAL 0x40000000u
#define TOY_VECTOR  0x0800u    /* physical address of the interrupt handler */
#define TOY_START   0x0000u

enum toy_op {
    TOY_NOP,
    TOY_MOVI,   /* r[a] = imm */
    TOY_ADD,    /* r[a] += r[b] + imm */
    TOY_XOR,    /* r[a] ^= r[b] */
    TOY_MUL,    /* r[a] = r[a] * r[b] + 1 */
    TOY_LD,     /* r[a] = 32 bits at r[b] + imm */
    TOY_ST,     /* 32 bits at r[b] + imm = r[a] */
    TOY_STB,    /* 8 bits at r[b] + imm = r[a] */
    TOY_REP,    /* while (r[c]--) { 32 bits at r[b] = 32 bits at r[a]; r[a] += 4, r[b] += 4 } */
    TOY_JNZ,    /* if (r[a]) pc = imm */
    TOY_DJNZ,   /* if (--r[a]) pc = imm */
    TOY_JMP,    /* pc = imm */
    TOY_HLT,
    TOY_STI,
    TOY_CLI,
    TOY_IRET,   /* only in the handler; otherwise NOP */
    TOY_CLOCK,  /* r[a] = host clock */
    TOY_RANDOM, /* r[a] = random */
    TOY_OUT,    /* serial output of r[a] */
    TOY_IN,     /* r[a] = serial input byte, ~0 if none */
    TOY_TIMER,  /* timer a % 3: in imm ns, periodic if b & 1, silent if b & 2 */
    TOY_TIME,   /* r[a] = virtual time */
    TOY_DISK,   /* unless it is busy, the disk reads (a & 1: writes) up to 8 KiB: memory from r[b], disk from r[c] + imm */
    TOY_END,    /* power off; the following instruction after a reset */
    TOY_KICK,   /* interrupts CPU r[a] % how many there are */
    TOY_YIELD,  /* gives up the rest of the slot */
    TOY_RESET,  /* asks for a reset */
    TOY_OPS
};

DEVICE_STATE_BEGIN
struct toy_state {
    uint64_t began;      /* position where the repeated instruction in progress began, plus 1; 0: none */
    uint32_t r[8];
    uint32_t pc;         /* physical */
    uint32_t return_pc;
    uint8_t halted, enabled, irq, in_handler;
    uint32_t entries;    /* interrupts taken */
};
DEVICE_STATE_END

/* What a step did, for the oracle. */
struct toy_access {
    unsigned kind;       /* TRAP_READ, TRAP_WRITE */
    uint64_t address;    /* virtual */
    uint32_t len;
};
struct toy_trace {
    unsigned by;         /* 1 + the CPU that made the step; 0: nobody */
    bool began;          /* the step began an instruction, at: */
    uint64_t pc;         /* virtual */
    unsigned naccesses;
    struct toy_access accesses[16];
};

struct toy {
    struct cpu cpu;
    struct toy_trace *trace; /* of the step in progress; NULL: nobody asks */
    uint64_t steps_made;     /* by this CPU, ever; host statistics */
    icount_t glitch_at;      /* here a run of more than one step goes wrong: r3 changes; 0: nowhere */
    uint64_t host_work;      /* a number of host loop turns for each step: makes it slow */
};

/* A machine with a toy CPU, three timers, a serial device, RAM. */
struct machine *toy_machine(void);
/* The same with several, whose turn it is as `schedule` says. */
struct machine *toy_machine_of(unsigned ncpus, const struct schedule *schedule);
/* The first one, and its state; that of the nth. */
struct toy *toy_of(struct machine *m);
struct toy_state *toy_state(struct machine *m);
struct toy_state *toy_state_of(struct machine *m, unsigned n);
struct device *toy_serial(struct machine *m);

/* What the image of its disk holds, whoever asks: struct machine_env.image_read. */
#define TOY_DISK_BYTES ((uint64_t)5 << DRIVE_CLUSTER_SHIFT | 1000)
int toy_image_read(void *ctx, struct machine *m, const struct drive *d, uint64_t offset, void *buf, size_t len);

/* Put an instruction at a physical address (before the machine runs). */
void toy_put(struct machine *m, uint32_t address, enum toy_op op, unsigned a, unsigned b, unsigned c, uint32_t imm);
/* Fill code, handler and data at random from a seed. */
void toy_random_program(struct machine *m, uint64_t seed, bool may_end);
/* Then put uses of its disk among the code. */
void toy_random_disk(struct machine *m, uint64_t seed);
/* Then put among the code what several CPUs do to each other. */
void toy_random_cpus(struct machine *m, uint64_t seed);
/* A random number generator for tests. */
uint32_t toy_rand(uint64_t *state);

#endif
