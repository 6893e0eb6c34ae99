/*
 * Nested guests in a VMCB each (AMD64 APM volume 2, chapter 15 and appendix B): where things are, and what cases are made of.
 *
 *     BEGIN("cpuid", "cpuid");     the VMCB of a 64-bit guest that runs this (Intel syntax; VMMCALL follows)
 *     misc1(18);                   what is wanted otherwise
 *     go();                        runs it, and prints what came of it
 *     more(" rbx:%x", reg[RBX]);   more on the same line
 *
 * A line has the exit code, EXITINFO1 and 2, EXITINTINFO and EVENTINJ, if they are not 0; RIP relative to the code (H: in a handler of the
 * guest's), RAX, RFLAGS, the virtual interrupt control and the interrupt shadow, if they are not 0; what the guest's handlers were called
 * for (vectors; the last one's error code, RIP and RFLAGS), and what of the host is not as it was (HOST).
 */
#ifndef SVM_H
#define SVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The guest's memory, at the host's addresses. */
#define SEEN 0x2000000u    /* what the handlers were called for (struct seen) */
#define GDATA 0x2000800u   /* for snippets */
#define GSTACK 0x2010000u  /* below here */
#define GCODE 0x2020000u
#define GIDT 0x2030000u
#define GSTUBS 0x2032000u
#define GIDT32 0x2034000u
#define GSTUBS32 0x2036000u
#define GIVT 0x2038000u    /* of real mode */
#define GGDT 0x2040000u
#define GTSS 0x2041000u
#define GTSS2 0x2042000u
#define GPML4 0x2100000u   /* tables of a 64-bit guest: the first GiB; GTEST in pages of 4 KiB */
#define GPDPT 0x2101000u
#define GPD 0x2102000u
#define GPT 0x2103000u
#define GPAE 0x2104000u    /* PDPT of a PAE guest, which shares GPD */
#define GPD32 0x2105000u   /* of a 32-bit guest */
#define GPML4B 0x2106000u  /* another PML4, in which GTEST's pages are each the next one */
#define GPDPTB 0x2107000u
#define GPDB 0x2108000u
#define GPTB 0x2109000u
#define NPML4 0x2300000u   /* nested tables: the first 4 GiB; the 2 MiB from SEEN and those from GTEST in pages of 4 KiB */
#define NPDPT 0x2301000u
#define NPD 0x2302000u     /* 4 pages */
#define NPT_LOW 0x2306000u /* of SEEN */
#define NPT_TEST 0x2307000u
#define GTEST 0x2400000u
#define REAL_CODE 0x8000u

#define P 1u
#define W 2u
#define U 4u
#define A 0x20u
#define D 0x40u
#define PS 0x80u
#define NX (1ull << 63)

struct seen {
    uint32_t count, vector, error, pad;
    uint64_t rip, cs, rflags, rsp;
    uint8_t go_on, pad2[15];
    uint8_t log[16];
};
#define SEEN_AT ((volatile struct seen *)(uintptr_t)SEEN)

enum { RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, REGS };
extern uint64_t reg[REGS];

/* Fields. */
#define FIELD(type, at) (*(volatile type *)(vmcb + (at)))
#define V8(at) FIELD(uint8_t, at)
#define V16(at) FIELD(uint16_t, at)
#define V32(at) FIELD(uint32_t, at)
#define V64(at) FIELD(uint64_t, at)
#define CR_READS V16(0)
#define CR_WRITES V16(2)
#define DR_READS V16(4)
#define DR_WRITES V16(6)
#define EXCEPTIONS V32(8)
#define IOPM V64(0x40)
#define MSRPM V64(0x48)
#define TSC_OFFSET V64(0x50)
#define ASID V32(0x58)
#define TLB_CONTROL V8(0x5c)
#define INT_CTL V64(0x60)
#define SHADOW V64(0x68)
#define EXITCODE V64(0x70)
#define INFO1 V64(0x78)
#define INFO2 V64(0x80)
#define INTINFO V64(0x88)
#define NESTED V64(0x90)
#define EVENTINJ V64(0xa8)
#define N_CR3 V64(0xb0)
#define ES 0x400
#define CS 0x410
#define SS 0x420
#define DS 0x430
#define FS 0x440
#define GS 0x450
#define GDTR 0x460
#define LDTR 0x470
#define IDTR 0x480
#define TR 0x490
#define CPL V8(0x4cb)
#define EFER V64(0x4d0)
#define CR4 V64(0x548)
#define CR3 V64(0x550)
#define CR0 V64(0x558)
#define DR7 V64(0x560)
#define DR6 V64(0x568)
#define RFLAGS V64(0x570)
#define RIP V64(0x578)
#define RSP V64(0x5d8)
#define RAX V64(0x5f8)
#define STAR V64(0x600)
#define LSTAR V64(0x608)
#define KERNEL_GS V64(0x620)
#define CR2 V64(0x640)
#define G_PAT V64(0x668)

/* INT_CTL */
#define V_IRQ (1ull << 8)
#define V_GIF (1ull << 9)
#define V_PRIO(n) ((uint64_t)(n) << 16)
#define V_IGN_TPR (1ull << 20)
#define V_INTR_MASKING (1ull << 24)
#define V_GIF_ENABLE (1ull << 25)
#define V_VECTOR(n) ((uint64_t)(n) << 32)

/* EVENTINJ */
#define INJECT(type, vector) (1ull << 31 | (uint64_t)(type) << 8 | (vector))
#define WITH_ERROR(e) (1ull << 11 | (uint64_t)(e) << 32)
enum { INTR_EVENT = 0, NMI_EVENT = 2, EXCEPTION = 3, SOFTWARE = 4 };

#define TF 0x100u
#define IF 0x200u
#define EFER_SVME 0x1000u

extern uint8_t vmcb[4096], host_vmcb[4096], hsave[4096], iopm[3 * 4096], msrpm[2 * 4096];
extern bool has_npt, has_vgif;
extern bool in_tcg;           /* QEMU's, which some cases bring down */
extern bool with_host_state;  /* VMSAVE, VMLOAD around VMRUN as a hypervisor does; begin() sets it */
extern bool host_if;          /* IF while VMRUN is executed */
extern bool gif_first;        /* GIF is 1 when VMRUN is executed */

/* What the host's handlers saw. */
extern volatile uint32_t host_vector, host_error, host_interrupts, host_nmis;
extern volatile uint64_t host_resume, host_rip;

/* The code of a snippet; 64, 32 and 16 bits. */
#define SNIPPET(bits, text, begin, end)                                                                      \
    asm volatile(".pushsection .snippets, \"ax\"\n\t.intel_syntax noprefix\n\t.code" bits "\n771:\n\t" text     \
                 "\n\tvmmcall\n772:\n\t.code64\n\t.att_syntax prefix\n\t.popsection\n\tmovq $771b, %0\n\tmovq $772b, %1"   \
                 : "=r"(begin), "=r"(end))
#define BEGIN_AS(name, bits, text, mode)             \
    do {                                             \
        const char *from_, *to_;                     \
        SNIPPET(bits, text, from_, to_);             \
        begin(name, from_, to_, mode);               \
    } while (0)
#define BEGIN(name, text) BEGIN_AS(name, "64", text, LONG)
enum mode { LONG, COMPAT, PAE, LEGACY, FLAT, PROT16, REAL };

/* An instruction of the host's: what comes of it, in a line. */
#define HOST(name, text)                                                                                 \
    do {                                                                                                 \
        host_before(name);                                                                               \
        asm volatile("movq $773f, host_resume\n\t.intel_syntax noprefix\n\t" text                         \
                     "\n\t.att_syntax prefix\n773:" ::"a"(host_in.rax), "c"(host_in.rcx), "d"(host_in.rdx) : "memory", "cc", "rbx"); \
        host_after();                                                                                    \
    } while (0)
extern struct host_in {
    uint64_t rax, rcx, rdx;
} host_in;
void host_before(const char *name);
void host_after(void);

__attribute__((format(printf, 1, 2))) void print(const char *format, ...); /* %s %x (64 bits) %d */
#define more print
void begin(const char *name, const char *from, const char *to, enum mode mode);
void fill_msrpm(void);         /* every bit */
void user(void);              /* ... at CPL 3 */
void nested(void);            /* with nested paging; tables are the identity each time */
void tables(void);            /* the guest's and the nested tables as at first */
void run(void);
void go(void);                /* run(), and the line's first part */
void again(void);             /* go() from where it is, in the same line */
void misc1(unsigned bit);
void misc2(unsigned bit);
void segment(unsigned at, unsigned selector, unsigned attributes, uint32_t limit, uint64_t base);
void msr_bit(uint32_t msr, bool write, bool set);
void io_bits(unsigned port, unsigned n);
void write_apic(unsigned reg, uint32_t value);
void self_interrupt(unsigned vector);
void self_nmi(void);
void host_takes_interrupts(void); /* STGI, STI for a moment */
void data_segments_v86(void);  /* segments of virtual-8086 mode */

static inline uint64_t read_msr(uint32_t msr)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
    asm volatile("wrmsr" ::"a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
}

static inline void out8(uint16_t port, uint8_t value)
{
    asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#define ENTRY(table, n) (((volatile uint64_t *)(uintptr_t)(table))[n])

void intercept_cases(void);
void event_cases(void);
void interrupt_cases(void);
void state_cases(void);
void mode_cases(void);
void paging_cases(void);

#endif
