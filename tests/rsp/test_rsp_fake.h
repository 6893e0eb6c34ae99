/*
 * A target for tests of the protocol layer: a "guest" whose state at position N
 * is a formula, so that running in either direction is easy to get right.
 *
 * At position N: EIP = 0x1000 + N % 100, EAX = N, the word at 0x2000 is N / 10;
 * the step from N to N + 1 writes that word when N % 10 == 9, and reads the
 * word at 0x2010 when N % 10 == 4. Memory is [0, 0x20000) and the last page of
 * the address space; all of it but that word is plain RAM. History begins at 0 and ends at
 * FAKE_END.
 */
#ifndef TEST_RSP_FAKE_H
#define TEST_RSP_FAKE_H

#include "rsp/rsp.h"
#include "rsp/trace.h"

#define FAKE_END 1000u
#define FAKE_MEMORY 0x20000u
#define FAKE_TOP 0xfffff000u

struct fake {
    struct rsp_session *s;
    icount_t position;
    uint32_t regs[10];      /* what was written over: see fake_read_register */
    uint16_t written;       /* bit n: regs[n] was written */
    uint8_t memory[FAKE_MEMORY];
    uint8_t top[0x1000];
    uint64_t physical_reads;
    unsigned writes, resets;
    unsigned thread;        /* selected: EAX of thread n is 0x10000 * n more, and each has registers of its own */
    bool past_readonly;     /* writes are refused away from the end */
    bool guest_ends;        /* what ends at FAKE_END is the guest, not the recording */
    bool stuck;             /* runs do not end by themselves: they wait for an interrupt */
    icount_t look;          /* where tracing looks */
    unsigned branch;        /* the history that positions are of; it shares 500 steps with history 0 */
    struct rsp_tracing *tracing; /* after fake_trace() */
    struct rsp_run last_run;
    unsigned runs;
    char description[256];
};

extern const struct rsp_target_info fake_info;
extern const struct rsp_target_ops fake_ops;

void fake_init(struct fake *f);
/* Have tracepoints. */
void fake_trace(struct fake *f);
void fake_finish(struct fake *f);
/* Carry out whatever runs the session wants, as a server does. */
void fake_serve(struct fake *f);

#endif
