/*
 * A guest of a guest: runs at EL1 in a KVM virtual machine that vm.c makes, and tells on its
 * console (one exit a character) what a hypervisor should have let it see. What it does, in
 * order: MMIO of every size; PSCI; its own translation under the hypervisor's, and the aborts that are its
 * own; pages that appear when they are touched; virtual interrupts (timer, SGI, SPI, masks);
 * FP/SIMD; a debugger's steps, breakpoints and watchpoints; a neighbour at the same addresses.
 *
 * Its lines depend on no time and on no implementation defined value, so they are the same on every
 * host. Adding a feature: a function here called from nested_main(), maybe a command in nested.h,
 * and its lines in test_kvm_arm64.py.
 */
#include "nested.h"

#include <stdbool.h>
#include <stdint.h>

#define READ(reg) ({ uint64_t v_; __asm__ volatile("mrs %0, " #reg : "=r"(v_)); v_; })
#define WRITE(reg, v) __asm__ volatile("msr " #reg ", %0\n\tisb" ::"r"((uint64_t)(v)) : "memory")

/* ICC registers by their encodings. */
#define ICC_PMR_EL1 s3_0_c4_c6_0
#define ICC_IAR1_EL1 s3_0_c12_c12_0
#define ICC_EOIR1_EL1 s3_0_c12_c12_1
#define ICC_IGRPEN1_EL1 s3_0_c12_c12_7
#define ICC_RPR_EL1 s3_0_c12_c11_3
#define ICC_SGI1R_EL1 s3_0_c12_c11_5
#define READ_(reg) READ(reg)
#define WRITE_(reg, v) WRITE(reg, v)

#define TIMER 27 /* the virtual timer's PPI */
#define PRIORITY 0xa0

/* What take in start.S saves. */
struct frame {
    uint64_t x[31]; /* X0-X30 */
    uint64_t elr;   /* where it goes on */
    uint64_t spsr;  /* in what state */
};

extern uint64_t level1[];
extern char step_0[], user_page[], poke_store[];
unsigned fpu_kept(uint64_t doorbell, uint64_t command);
void stepped(uint64_t doorbell, uint64_t command, volatile uint64_t *word);
void poke(volatile uint64_t *word, uint64_t value);
void brk_here(void);
uint64_t enter_user(uint64_t pc, uint64_t sp);
void trap(struct frame *f);
void interrupt(struct frame *f);
void unexpected(struct frame *f);
void nested_main(uint64_t version, uint64_t neighbour);

volatile uint64_t counter;  /* the timer's ticks */
static volatile uint64_t word;     /* to be stored to */
static volatile unsigned taken;    /* the last interrupt, with its running priority in the second byte */
static volatile unsigned interrupts;
static uint64_t gic;               /* 2 or 3 */
static bool quiet_svc;             /* an SVC needs no line */

static void store8(uint64_t at, unsigned v) { __asm__ volatile("strb %w0, [%1]" ::"r"(v), "r"(at) : "memory"); }
static void store32(uint64_t at, unsigned v) { __asm__ volatile("str %w0, [%1]" ::"r"(v), "r"(at) : "memory"); }
static void store64(uint64_t at, uint64_t v) { __asm__ volatile("str %0, [%1]" ::"r"(v), "r"(at) : "memory"); }

static unsigned load32(uint64_t at)
{
    unsigned v;

    __asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(at) : "memory");
    return v;
}

static void ring(enum command command, uint64_t argument)
{
    store64(DOORBELL, (uint64_t)command << 56 | argument);
}

/* Print text; each % in it is the next of the numbers, in hexadecimal. */
static void say_(const char *text, const uint64_t *numbers)
{
    for (; *text; text++) {
        if (*text != '%') {
            store8(CONSOLE, (unsigned char)*text);
            continue;
        }
        uint64_t n = *numbers++;
        int shift = 60;
        while (shift && !(n >> shift))
            shift -= 4;
        for (; shift >= 0; shift -= 4)
            store8(CONSOLE, (unsigned char)"0123456789abcdef"[n >> shift & 15]);
    }
    store8(CONSOLE, '\n');
}
#define say(text, ...) say_(text, (const uint64_t[]){__VA_ARGS__ __VA_OPT__(,) 0})

void unexpected(struct frame *f)
{
    say("unexpected: ESR % FAR % ELR %", READ(esr_el1), READ(far_el1), f->elr);
    for (;;)
        ;
}

void trap(struct frame *f)
{
    uint64_t esr = READ(esr_el1);

    if (esr >> 26 == 0x15) {
        if ((f->spsr & 0xf) == 0) { /* SVC at EL0: back to enter_user()'s caller */
            say("svc: ESR % from EL0 with SP % TPIDRRO %", esr, f->x[1], f->x[0]);
            f->spsr = 0x3c5;
            f->elr = f->x[30];
        } else if (!quiet_svc)
            say("svc: ESR %", esr);
        return;
    }
    say("abort: ESR % FAR %", esr, READ(far_el1));
    f->elr = esr >> 26 == 0x21 ? f->x[30] : f->elr + 4; /* an instruction's: back to who called it */
}

static void eoi(unsigned id)
{
    if (gic == 3)
        WRITE_(ICC_EOIR1_EL1, id);
    else
        store32(GICC_AT + 0x10, id);
}

/* The next tick. The handler does it but for every third: how many there are depends on no host's speed. */
static void arm_timer(void)
{
    WRITE(cntv_tval_el0, READ(cntfrq_el0) / 1000);
    WRITE(cntv_ctl_el0, 1);
}

void interrupt(struct frame *f)
{
    unsigned id = gic == 3 ? (unsigned)READ_(ICC_IAR1_EL1) : load32(GICC_AT + 0xc);
    unsigned priority = gic == 3 ? (unsigned)READ_(ICC_RPR_EL1) : load32(GICC_AT + 0x14);

    (void)f;
    if (id >= 1020) /* spurious */
        return;
    taken = id | priority << 8;
    interrupts++;
    if (id == TIMER) {
        counter++;
        if (counter % 3)
            arm_timer();
        else
            WRITE(cntv_ctl_el0, 0);
    }
    if (id == SPI)
        ring(LEVEL, 0);
    eoi(id);
}

static uint64_t call(bool smc, uint64_t function)
{
    register uint64_t x0 __asm__("x0") = function;

    if (smc)
        __asm__ volatile("smc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
    else
        __asm__ volatile("hvc #0" : "+r"(x0)::"x1", "x2", "x3", "memory");
    return x0;
}

static void sizes(void)
{
    uint64_t b, h, w, x;

    __asm__ volatile("strb %w0, [%1]\n\tstrh %w0, [%1]\n\tstr %w0, [%1]\n\tstr %0, [%1]\n\tstr xzr, [%1]" ::"r"(
                         0x1122334455667788), "r"((uint64_t)ANY_SIZE) : "memory");
    /* Nothing signed: KVM itself (6.1) loses the sign of a load that it emulates. */
    __asm__ volatile("ldrb %w0, [%4]\n\tldrh %w1, [%4]\n\tldr %w2, [%4]\n\tldr %3, [%4]"
                     : "=&r"(b), "=&r"(h), "=&r"(w), "=&r"(x) : "r"((uint64_t)SENSOR) : "memory");
    say("loads % % % %", b, h, w, x);
}

static void firmware(void)
{
    say("at EL%, MPIDR %", READ(CurrentEL) >> 2, READ(mpidr_el1));
    say("PSCI version %, an unknown call %, by SMC %", call(false, 0x84000000), call(false, 0xc4001234),
        call(true, 0x84000000));
    say("virtual counter at %0000000000, ahead of the physical one: %", READ(cntvct_el0) >> 40,
        READ(cntvct_el0) > READ(cntpct_el0));
}

static void mmu_on(void)
{
    WRITE(mair_el1, 0x00ff); /* 0: normal, 1: device */
    WRITE(tcr_el1, 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 1ull << 32);
    WRITE(ttbr0_el1, level1);
    __asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
    WRITE(sctlr_el1, READ(sctlr_el1) | 1 | 1 << 2 | 1 << 12);
}

static void translation(void)
{
    uint64_t par;

    mmu_on();
    word = 0x5eed;
    say("the MMU is on: % by another address", *(volatile uint64_t *)((uintptr_t)&word - 0x40000000));
    __asm__ volatile("at s1e1r, %1\n\tisb\n\tmrs %0, par_el1" : "=r"(par) : "r"(0x40201000ull));
    say("AT: % at %", par & 1, par & 0xfffffffff000);
    __asm__ volatile("at s1e1w, %1\n\tisb\n\tmrs %0, par_el1" : "=r"(par) : "r"(0x80201000ull));
    say("AT of a read-only page: %", par & 0x7f);
    (void)load32(0xc0001238);
    store32(0x80201010, 1);
    store8(0x80202fff, 1);
    (void)load32(0x80203004);
    __asm__ volatile("ldxr x9, [%0]" ::"r"((uintptr_t)&word + 1) : "x9", "memory");
    __asm__ volatile("blr %0" ::"r"(0xc0000000ull) : "x30", "memory");
    __asm__ volatile("svc #7" ::: "memory");
    WRITE(tpidrro_el0, 0x7e57);
    enter_user(0x80204000, 0x1230);
}

static void pages(void)
{
    ring(RESIDENT, 0x80300000);
    store32(0x80300ffc, 0x11);
    ring(RESIDENT, 0x80300000);
    say("% was read where nothing was", load32(DEMAND_AT + 0x10));
    say("% and % without asking", load32(DEMAND_AT + 0x10), load32(DEMAND_AT + 0x2000));
    store32(DEMAND_AT + 0x3008, 1);
    store32(DEMAND_AT + 0x5ffc, 1);
    ring(DIRTY, 0);
    store32(DEMAND_AT + 0x3008, 2);
    ring(DIRTY, 0);
    say("% in read-only memory", load32(READ_ONLY_AT));
    store32(READ_ONLY_AT, 0xbad);
    say("still %", load32(READ_ONLY_AT));
}

static void gic_on(void)
{
    uint64_t private = gic == 3 ? GICR_AT + 0x10000 : GICD_AT; /* where SGIs and PPIs are */

    if (gic == 3) {
        store32(GICD_AT, 0x12); /* EnableGrp1, ARE */
        store32(GICR_AT + 0x14, 0);
        while (load32(GICR_AT + 0x14) & 4)
            ;
        store32(private + 0x80, ~0u);
        store32(GICD_AT + 0x84, ~0u);
        store64(GICD_AT + 0x6000 + 8 * SPI, 0);
    } else {
        store32(GICD_AT, 1);
        store8(GICD_AT + 0x800 + SPI, 1);
    }
    for (unsigned i = 0; i < 32; i++)
        store8(private + 0x400 + i, PRIORITY);
    store8(GICD_AT + 0x400 + SPI, 0x90);
    store32(private + 0x100, 1u << TIMER | 1 << 5 | 1 << 6);
    store32(GICD_AT + 0x104, 1u << (SPI - 32));
    if (gic == 3) {
        WRITE_(ICC_PMR_EL1, 0xf0);
        WRITE_(ICC_IGRPEN1_EL1, 1);
    } else {
        store32(GICC_AT + 4, 0xf0);
        store32(GICC_AT, 1);
    }
}

static void mask(unsigned priority)
{
    if (gic == 3)
        WRITE_(ICC_PMR_EL1, priority);
    else
        store32(GICC_AT + 4, priority);
}

static void sgi(unsigned id)
{
    if (gic == 3)
        WRITE_(ICC_SGI1R_EL1, (uint64_t)id << 24 | 1);
    else
        store32(GICD_AT + 0xf00, 2u << 24 | id);
    __asm__ volatile("dsb sy\n\tisb" ::: "memory");
}

static void virtual_interrupts(void)
{
    unsigned before;

    gic_on();
    arm_timer();
    while (counter < 3) /* WFI is left although they are masked */
        __asm__ volatile("wfi\n\tmsr daifclr, #2\n\tisb\n\tmsr daifset, #2" ::: "memory");
    say("% ticks while waiting", counter);
    __asm__ volatile("msr daifclr, #2" ::: "memory");
    arm_timer();
    while (counter < 6)
        ;
    say("% ticks with those while running, the last interrupt %", counter, taken);

    before = interrupts;
    sgi(5);
    while (interrupts == before)
        ;
    say("sgi: %", taken);
    ring(LEVEL, 1);
    while (interrupts == before + 1)
        ;
    say("spi: %", taken);
    mask(0x98);
    sgi(6);
    ring(LEVEL, 1);
    while (interrupts == before + 2)
        ;
    say("the mask lets % through", taken);
    before = interrupts;
    mask(0xf0);
    while (interrupts == before)
        ;
    say("then % after it, % interrupts in all", taken, interrupts);
    __asm__ volatile("msr daifset, #2" ::: "memory");
}

static void debugger(void)
{
    quiet_svc = true;
    stepped(DOORBELL, (uint64_t)STEP << 56 | 16, &word);
    quiet_svc = false;
    say("stepped: word %", word);
    ring(BREAK_AT, (uintptr_t)poke_store);
    poke(&word, 0x77);
    ring(WATCH, (uintptr_t)&word);
    poke(&word, 0x78);
    ring(BRK, 0);
    brk_here();
    say("debugged: word %", word);
}

void nested_main(uint64_t version, uint64_t neighbour)
{
    gic = version;
    if (neighbour) {
        mmu_on();
        *(volatile uint64_t *)0x80200000 = 0xb;
        say("the neighbour has % where %", *(volatile uint64_t *)0x40200000, 0x80200000);
        return;
    }
    sizes();
    firmware();
    translation();
    pages();
    virtual_interrupts();
    say("FP/SIMD: % registers lost", fpu_kept(DOORBELL, (uint64_t)CLOBBER << 56));
    debugger();
    *(volatile uint64_t *)0x80200000 = 0xa;
    ring(NEIGHBOUR, 0);
    say("and here is % still", *(volatile uint64_t *)0x80200000);
}
