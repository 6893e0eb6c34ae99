/*
 * The i386 CPU's state and the interfaces between the parts of the target.
 *
 *   decode.c    bytes -> struct insn                        (insn.h)
 *   lower*.c    struct insn -> micro-ops                    (lower.h)
 *   block_mode.c what of the state that depends on          (lower.h)
 *   integer.c   what of integer arithmetic is too large for micro-ops
 *   flow.c      checks, frames and transfers of control, between micro-ops and the two below
 *   segment.c   descriptors, segment loads, far transfers
 *   task.c      task switches
 *   mmu.c       linear -> physical, page faults
 *   exception.c raising, delivering, priorities; interrupt entry
 *   quick.c     the usual shape of interrupt entry and IRET
 *   system.c    control, debug and descriptor table registers, time stamp
 *   msr.c       model-specific registers
 *   lbr.c       last branches
 *   string.c    string instructions, port I/O
 *   smm.c       system management mode
 *   svm.c       AMD's virtual machines   (svm.h)
 *   pmu.c       performance counters
 *   long.c      what long mode adds: its interrupts and returns, SYSCALL, SWAPGS...
 *   cpuid.c     CPUID; model.c its contents
 *   xsave.c     XSAVE and its like, XCR0
 *   fpu*.c mmx.c sse*.c   x87, MMX, SSE floating point
 *   simd_map.c vector.c crypto.c strings42.c avx.c   the other instructions on XMM and YMM registers
 *   regs.c      the registers as gdb sees them
 *   cpu.c       wiring all this into cpu_ops and frontend; reset
 *
 * References are to the Intel SDM (volumes 1, 2, 3A/3B).
 */
#ifndef HINDCAST_I386_CPU_H
#define HINDCAST_I386_CPU_H

#include "i386/model.h"
#include "vm/exec.h"
#include "vm/machine.h"

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* EFLAGS (SDM 1, 3.4.3). The status flags (FLAGS_ALL) live in i386_state.cc. */
#define EFLAGS_1   0x00000002u
#define EFLAGS_TF  0x00000100u
#define EFLAGS_IF  0x00000200u
#define EFLAGS_DF  0x00000400u
#define EFLAGS_IOPL 0x00003000u
#define EFLAGS_NT  0x00004000u
#define EFLAGS_RF  0x00010000u
#define EFLAGS_VM  0x00020000u
#define EFLAGS_AC  0x00040000u
#define EFLAGS_VIF 0x00080000u
#define EFLAGS_VIP 0x00100000u
#define EFLAGS_ID  0x00200000u

#define CR0_PE 0x00000001u
#define CR0_MP 0x00000002u
#define CR0_EM 0x00000004u
#define CR0_TS 0x00000008u
#define CR0_ET 0x00000010u
#define CR0_NE 0x00000020u
#define CR0_WP 0x00010000u
#define CR0_AM 0x00040000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_VME 0x001u
#define CR4_PVI 0x002u
#define CR4_TSD 0x004u
#define CR4_DE  0x008u
#define CR4_PSE 0x010u
#define CR4_PAE 0x020u
#define CR4_MCE 0x040u
#define CR4_PGE 0x080u
#define CR4_PCE 0x100u
#define CR4_OSFXSR     0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP       0x800u
#define CR4_LA57       0x1000u
#define CR4_FSGSBASE   0x10000u
#define CR4_PCIDE      0x20000u
#define CR4_OSXSAVE    0x40000u
#define CR4_SMEP       0x100000u
#define CR4_SMAP       0x200000u
#define CR4_PKE        0x400000u

/* XCR0 (SDM 1, 13.3) */
#define XCR0_X87 1u
#define XCR0_SSE 2u
#define XCR0_AVX 4u
#define XCR0_PKRU 0x200u

#define EFER_SCE 0x001u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u
#define EFER_SVME 0x1000u

/* Exceptions and interrupts (SDM 3A, table 6-1). */
enum {
    EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7,
    EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14,
    EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19,
};

/* A segment register: the visible selector and the hidden descriptor cache. */
struct i386_segment {
    uint64_t base;
    uint16_t selector;
    uint16_t attr;  /* descriptor bits 40-47 in 0-7 (type, S, DPL, P), 52-55 in 12-15 (AVL, L, D/B, G) */
    uint32_t limit; /* in bytes, granularity applied: last valid offset */
    uint32_t valid; /* 0: null selector loaded (or unusable): any access is #GP (#SS) */
    uint32_t reserved;
};

#define SEG_ATTR_TYPE 0x000fu
#define SEG_ATTR_S    0x0010u
#define SEG_ATTR_DPL  0x0060u
#define SEG_ATTR_P    0x0080u
#define SEG_ATTR_L    0x2000u /* 64-bit code */
#define SEG_ATTR_DB   0x4000u
#define SEG_ATTR_G    0x8000u

struct i386_dtr {
    uint64_t base;
    uint32_t limit; /* 16 bits used */
    uint32_t reserved;
};

/* One x87/MMX register: bits 0-63 significand (the MMX register), 64-79 sign and exponent. */
struct i386_fpr {
    uint64_t mantissa;
    uint16_t exponent;
    uint16_t reserved[3];
};

union i386_xmm {
    uint8_t  b[16];
    uint16_t w[8];
    uint32_t l[4];
    uint64_t q[2];
};

DEVICE_STATE_BEGIN
/* AMD's secure virtual machine: svm.h. */
struct i386_svm {
    uint32_t guest;         /* I386_SVM_*: 0: no guest runs */
    uint32_t gif_clear;     /* the global interrupt flag, inverted: 0 after a reset, which sets it */
    uint64_t vmcb;          /* of the guest: the physical address of its control block, and what that says: */
    uint32_t intercept[10]; /* exit code N: bit N % 16 of word N / 16 */
    uint32_t nested, reserved;
    uint64_t nested_cr3, iopm, msrpm, tsc_offset;
    uint64_t interrupts;    /* V_TPR, V_IRQ... */
    uint64_t inject;        /* EVENTINJ, until it is delivered; 0: there is none */
    struct {
        uint64_t rax, rsp, rip, rflags, cr0, cr3, cr4, efer, pat;
        struct i386_segment seg[4]; /* ES CS SS DS */
        struct i386_dtr gdtr, idtr;
    } host;                 /* what the #VMEXIT goes back to */
};

struct i386_state {
    /* EAX ECX EDX EBX ESP EBP ESI EDI, R8... Outside 64-bit mode the upper halves of the first eight
     * are 0: an operation on 32 bits need not clear them there. */
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t zero;              /* always 0: the base of an address without base register */
    struct lazy_flags cc;       /* CF PF AF ZF SF OF; explicit whenever the CPU stands */
    uint32_t eflags;            /* all other flags; bit 1 set, status bits 0 */
    uint32_t cpl;               /* 0-3; 3 in virtual-8086 mode, 0 in real mode */
    struct i386_segment seg[SEG_COUNT];
    struct i386_dtr gdtr, idtr;
    uint64_t cr2, cr3;
    uint32_t cr0, cr4;          /* the upper halves are reserved: always 0 */
    uint64_t dr[8];             /* 4, 5 unused; the upper halves of 6 and 7 are 0 */
    uint64_t pdpte[4];          /* PAE: loaded by MOV CR3 (SDM 3A 4.4.1) */

    /* x87 (SDM 1, chapter 8). fpr[] is by physical register number: ST(i) is
     * fpr[(TOP + i) & 7], and MMi is fpr[i]. */
    struct i386_fpr fpr[8];
    uint16_t fcw, fsw;          /* fsw holds TOP */
    uint8_t ftag;               /* bit i set: fpr[i] is in use (abridged tag, as FXSAVE) */
    uint8_t reserved0[3];
    uint64_t fip, fdp;
    uint16_t fcs, fds, fop;
    uint16_t reserved1;
    /* Temporaries of micro-ops stand beside the registers, so that one distance leads from each to its bits 128-255. */
    union i386_xmm xmm[16], xt[4];
    union i386_xmm ymm_high[16], xt_high[4];
    uint32_t mxcsr;
    uint32_t a20_mask;          /* ANDed to physical addresses: ~0, or ~(1 << 20) */

    /* Model-specific registers. */
    uint64_t efer;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t tsc_offset;        /* TSC = virtual time * model ratio + offset */
    uint64_t apic_base;
    uint64_t pat;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t misc_enable;
    uint64_t mcg_status, mc_ctl[4], mc_status[4], mc_addr[4], mc_misc[4];
    uint64_t debugctl, perf_ctl[2], perf_ctr[2], ucode_rev, bbl_ctl;
    uint64_t xcr0, tsc_aux;
    uint64_t sysenter_esp, sysenter_eip;
    uint32_t sysenter_cs;
    uint32_t pkru;

    /* Between instructions. */
    uint64_t monitor_line;      /* physical address that MONITOR has armed, or ~0 */
    uint32_t halted;            /* I386_HALTED...; 0: runs */
    uint32_t shadow;            /* 1: STI, 2: MOV/POP SS: interrupts (and #DB for 2) wait one instruction */
    uint32_t nmi_blocked;       /* until IRET */
    uint32_t intr_line;         /* level of the INTR pin */
    uint32_t nmi_pending;       /* latched edge */
    uint32_t init_pending;
    uint32_t pending_db;        /* DR6 bits of a trap to report before the next instruction */
    uint32_t rep_active;        /* a repeated string instruction is under way... */
    uint64_t rep_start;         /* ...since this position (else 0) */
    uint32_t ferr;              /* IGNNE/FERR: external x87 error pending (CR0.NE = 0) */
    uint32_t tf_latched;        /* I386_LATCH_*: what the instruction in progress changed of that
                                 * which is acted on at its end; 0 whenever the CPU stands */
    uint32_t smm;               /* I386_SMM...; 0: not in system management mode */
    uint32_t smbase;            /* where that mode's code and state save map are */
    uint32_t smi_pending;       /* latched */
    uint32_t smm_pending_db;    /* pending_db as it was when the mode was entered */
    uint64_t tsc_adjust;        /* IA32_TSC_ADJUST */

    /* Performance counters: pmu.c. */
    uint64_t pmc[7];            /* value of one that does not count; else what it follows minus its value */
    uint64_t pmc_select[4], pmc_fixed_ctrl, pmc_global_ctrl, pmc_global_status;
    uint64_t pmc_uncounted;     /* steps of this CPU that retired no instruction; 0 without counters */
    uint32_t pmc_user;          /* 1: they count as at a level above 0 */
    uint32_t reserved2;
    uint64_t reserved3[1];

    uint64_t smi_count;         /* MSR_SMI_COUNT */
    /* Last branches: lbr.c. */
    uint64_t lbr_from[16], lbr_to[16], lbr_top, lbr_select, ler_from, ler_to;
    uint64_t held[32];          /* registers that are held and nothing else: msr.c knows which */
    struct i386_svm svm;

    /* Temporaries of micro-ops; these and xt are zero whenever the CPU stands. */
    uint64_t t[8];
};
DEVICE_STATE_END

/* halted: by HLT or shutdown, interrupts wake; after INIT, a STARTUP message does and nothing else. */
#define I386_HALTED 1u
#define I386_WAITS  2u
/* By MWAIT: a write to the monitored line wakes, too; after the second an interrupt even if it is masked. */
#define I386_MWAIT  3u
#define I386_MWAIT_BREAK 4u

/* smm: in the mode; and when it was entered, NMIs were blocked. */
#define I386_SMM             1u
#define I386_SMM_NMI_BLOCKED 2u

/* Bits of tf_latched, set only while single_step() held at the instruction's beginning. */
#define I386_LATCH_TF_SET   1u /* TF was clear: no single-step trap yet */
#define I386_LATCH_TF_CLEAR 2u /* TF was set: a single-step trap all the same */
#define I386_LATCH_SHADOW   4u /* the shadow is this instruction's own: it lasts over the next */
#define I386_LATCH_RF       8u /* so is RF */

/* DR6 and DR7 (SDM 3B 18.2). */
#define DR6_BD 0x2000u
#define DR6_BS 0x4000u
#define DR6_BT 0x8000u
#define DR6_FIXED 0xffff0ff0u
#define DR7_GD 0x2000u
#define DR7_FIXED 0x00000400u
/* IA32_DEBUGCTL (17.4.1). */
#define DEBUGCTL_LBR    0x0001u /* last branches are recorded */
#define DEBUGCTL_BTF    0x0002u /* single steps are branches */
#define DEBUGCTL_FREEZE_LBRS 0x0800u /* FREEZE_LBRS_ON_PMI */
#define DEBUGCTL_FREEZE 0x1000u /* FREEZE_PERFMON_ON_PMI */

/* Offsets for micro-op operands. */
#define S_OFF(member)  ((unsigned)offsetof(struct i386_state, member))
#define S_GPR64(r)     (S_OFF(gpr) + 8u * (unsigned)(r))
#define S_GPR32(r)     S_GPR64(r)
#define S_GPR16(r)     S_GPR64(r)
/* 8-bit registers as insn.h numbers them */
#define S_GPR8(r)      ((unsigned)(r) - 4u < 4u ? S_GPR64((unsigned)(r) & 3u) + 1u : S_GPR64((unsigned)(r) & 15u))
#define S_T(n)         (S_OFF(t) + 8u * (unsigned)(n))
#define S_XT(n)        (S_OFF(xt) + 16u * (unsigned)(n))
#define S_VECTOR_HIGH  (S_OFF(ymm_high) - S_OFF(xmm))

/* What of the board's SMRAM a CPU in system management mode finds at I386_SMRAM_BASE: nothing (what others find),
 * instructions only, all. */
enum i386_smram { I386_SMRAM_OFF, I386_SMRAM_CODE, I386_SMRAM_ON };
#define I386_SMRAM_BASE 0xa0000u
#define I386_SMRAM_SIZE 0x20000u
/* It finds it at these physical addresses, which are no CPU's or device's otherwise: with this bit. */
#define I386_SMRAM_VIEW ((paddr_t)1 << 60)

/* Registers of gdb's i386:x86-64, without the 16 upper halves of YMM registers: regs.c. */
#define I386_NREGS_64 98

struct i386_cpu {
    struct ucpu u;             /* u.cpu.state == st */
    struct i386_state *st;
    const struct i386_model *model;
    uint64_t model_mode;       /* i386_model_mode() of it */
    uint8_t apic_id;           /* as CPUID tells it: set by the board */
    uint8_t thread_bits, core_bits; /* of it: which thread of a core, which core of a package */
    uint8_t threads, cores;    /* of a core, of a package; 0 is as good as 1 */
    struct cpu_ops ops_64;     /* u.cpu.ops of a model with long mode, */
    struct reg_desc regs_64[I386_NREGS_64 + 16]; /* and its registers */
    struct cpu_ops ops_16;     /* u.cpu.ops of one that is shown as an i8086 */
    enum i386_smram smram;     /* derived: what the board shows in system management mode */
    uint64_t block_mode;       /* derived: i386_block_mode() (lower.h), the `mode` of block keys;
                                * refreshed by i386_mode_changed() */
    uint8_t noted_mode;        /* derived, too: the mode as TRAP_MODE has it */

    /* The exception that the instruction in progress raised, or the #VMEXIT; consumed by take_exception
     * within the same step. */
    struct {
        uint8_t vector;   /* 0xff of a #VMEXIT */
        bool has_error;
        bool pending;
        bool not_canonical; /* #GP of an access to `address`: #SS, if it was one to the stack */
        bool has_eip;     /* the fault belongs to `eip` (a task switch that committed), not to the
                           * instruction in progress */
        uint32_t error;
        uint32_t dr6;     /* #DB: DR6 bits set when it is delivered */
        uint64_t address; /* #PF: CR2 takes it when the exception is delivered, not before:
                           * a walk that is only tried leaves no trace */
        uint64_t eip;
        uint64_t during;  /* the software interrupt that it came of, as EXITINTINFO (svm.h) has it; 0: of none */
        bool exit;        /* a #VMEXIT, with: */
        uint64_t code, info1, info2;
    } exc;

    /* Board: acknowledge cycle for an external interrupt: returns the vector, or
     * -1 if the request has gone away (spurious is the controller's business). */
    int (*intack)(void *ctx);
    void *intack_ctx;
    /* Port I/O; set by the board. */
    uint32_t (*io_read)(void *ctx, uint16_t port, unsigned size);
    void (*io_write)(void *ctx, uint16_t port, unsigned size, uint32_t value);
    void *io_ctx;
    /* CR8: the task priority class of the local APIC, 0-15; NULL: there is none. ctx is io_ctx. */
    unsigned (*cr8_read)(void *ctx);
    void (*cr8_write)(void *ctx, unsigned value);
    /* MSRs of the local APIC (x2APIC 800h-8FFh, IA32_TSC_DEADLINE). False: #GP. May be NULL. */
    bool (*apic_msr_read)(void *ctx, uint32_t n, uint64_t *value);
    bool (*apic_msr_write)(void *ctx, uint32_t n, uint64_t value);
    /* IA32_TIME_STAMP_COUNTER was written. May be NULL. */
    void (*tsc_written)(void *ctx);
    /* A performance counter has overflowed, and is to interrupt; `ctx` is io_ctx. May be NULL. */
    void (*pmi)(void *ctx);
    /* FERR# changed level (CR0.NE = 0: IRQ 13 on a PC). */
    struct line ferr_line;
    /* IA32_APIC_BASE was written; `ctx` is io_ctx. May be NULL. */
    void (*apic_base_written)(void *ctx, uint64_t value);
};

static inline struct i386_cpu *i386_of(struct ucpu *u)
{
    return (struct i386_cpu *)(void *)u;
}

struct i386_cpu *i386_create(struct machine *m, const struct i386_model *model);
/* Show a debugger the registers of an i386, on a model with long mode too: for 16- and 32-bit code. With `real`, as gdb's
 * i8086, which has the same registers and takes code for that of 16 bits. */
void i386_show_32(struct i386_cpu *c, bool real);

/* Lines into the CPU, for the board. */
void i386_set_intr(void *cpu, unsigned n, bool level); /* INTR pin; fits struct line */
void i386_raise_nmi(struct i386_cpu *c);
/* A system management interrupt: the first one that comes in that mode waits for its end. */
void i386_raise_smi(struct i386_cpu *c);
/* The board shows something else there: see enum i386_smram. */
void i386_set_smram(struct i386_cpu *c, enum i386_smram smram);
/* The INIT signal: the CPU is as after a reset, but for caches, FPU and model-specific registers; the bootstrap
 * processor begins at the reset vector, others wait for a STARTUP message (SDM 3A 8.4). */
void i386_raise_init(struct i386_cpu *c);
/* A STARTUP message: who waits for one begins at vector << 12 in real mode. */
void i386_startup(struct i386_cpu *c, uint8_t vector);
/* It stands still until a reset. */
void i386_power_off(struct i386_cpu *c);
/* A CPU that comes out of a reset goes on in real mode at an address below 1 MiB, with its caches on: as a BIOS jumps to the
 * waking vector (ACPI 6.5, 16.3.2 and table 5.12). */
void i386_resume_at(struct i386_cpu *c, uint32_t vector);
/* The time stamp counter now; as a guest sees it. */
uint64_t i386_tsc(const struct i386_cpu *c);
uint64_t i386_seen_tsc(const struct i386_cpu *c);
/* MONITOR arms the line of a physical address, or LINE_NONE. */
void i386_watch_line(struct i386_cpu *c, paddr_t pa);
void i386_set_a20(struct i386_cpu *c, bool enabled);
/* The external interrupt or NMI lines changed: wakes HLT by itself. */

/* ---- exception.c: raising ---- */
/* Each returns UOP_FAULT, so that a helper can
 * `return i386_raise(...)`. The state stays as before the instruction. */
int i386_raise(struct i386_cpu *c, unsigned vector);
int i386_raise_error(struct i386_cpu *c, unsigned vector, uint32_t error);
int i386_raise_pf(struct i386_cpu *c, uint64_t address, uint32_t error); /* CR2 at delivery */
int i386_raise_db(struct i386_cpu *c, uint32_t dr6_bits); /* fault-like #DB: code breakpoint, GD */
void i386_take_exception(struct ucpu *u);
bool i386_event_ready(const struct ucpu *u);
bool i386_quiet(const struct ucpu *u);
bool i386_take_event(struct ucpu *u);
/* INT n, INT3, INTO, ICEBP: a complete instruction; `next_eip` is the return address.
 * INT n (opcode CD) passes I386_INT_N | n: it is sensitive to IOPL and to VME's
 * redirection in virtual-8086 mode; INT3, INTO and ICEBP pass 3, 4 and 1. */
#define I386_INT_N 0x100u
int i386_software_int(struct i386_cpu *c, unsigned vector, uint64_t next_eip);
/* For queries: a system call was made by this instruction (trap.h). */
void i386_note_syscall(const struct i386_cpu *c, enum trap_syscall how, unsigned value, uint64_t sp);
/* Words for an exception's vector; NULL: it has none. */
const char *i386_exception_name(uint64_t vector);
int i386_iret(struct i386_cpu *c, unsigned size); /* size: of operands, in bytes */

/* After STI that set IF (I386_SHADOW_STI) or MOV/POP SS (I386_SHADOW_SS): no
 * interrupt before the end of the next instruction. The block must end. */
enum { I386_SHADOW_STI = 1, I386_SHADOW_SS = 2 };
void i386_set_shadow(struct i386_cpu *c, unsigned kind);
/* frontend.single_step, frontend.repeats and frontend.stepped. */
bool i386_single_step(const struct ucpu *u);
bool i386_repeats(const struct ucpu *u);
void i386_stepped(struct ucpu *u);
/* frontend.guest_break and frontend.guest_watch; DR7 or CR4.DE changed: set the traps anew. */
bool i386_guest_break(struct ucpu *u, const struct trap_hit *hit);
void i386_guest_watch(struct ucpu *u, const struct trap_hit *hit);
void i386_update_traps(struct i386_cpu *c);
/* May the current code access `size` bytes of ports at `port` (IOPL, permission bitmap; SDM 1,
 * 18.5)? False: exception pending. */
bool i386_io_allowed(struct i386_cpu *c, uint16_t port, unsigned size);
/* An I/O instruction accessed the ports: note a hit of an I/O breakpoint (CR4.DE). */
void i386_io_break(struct i386_cpu *c, uint16_t port, unsigned size);

/* ---- EFLAGS as the guest sees it ---- */
uint32_t i386_get_eflags(const struct i386_cpu *c);
/* Change exactly the bits in `mask`. Does not check privileges. */
void i386_set_eflags(struct i386_cpu *c, uint32_t value, uint32_t mask);

/* ---- segment.c ---- */
/* Logical access through a segment with all checks (limit, type, null, privilege); 1-16 bytes.
 * False: exception (or retry) pending. */
bool i386_read(struct i386_cpu *c, unsigned seg, uint64_t offset, void *buf, unsigned size);
bool i386_write(struct i386_cpu *c, unsigned seg, uint64_t offset, const void *buf, unsigned size);
/* Check only: limit, type, null, and alignment as of that many bytes. *linear on success. */
bool i386_linear(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, bool write, uint64_t *linear);
/* The same of an operand whose alignment (1: none) does not follow from its size. */
bool i386_linear_aligned(struct i386_cpu *c, unsigned seg, uint64_t offset, unsigned size, unsigned alignment, bool write, uint64_t *linear);
/* The same of a byte whose cache line is flushed: code that can only be executed is not refused (SDM 2, CLFLUSH). */
bool i386_linear_line(struct i386_cpu *c, unsigned seg, uint64_t offset, uint64_t *linear);
/* Load a segment register by selector as MOV/POP/LxS do (all modes; protected-mode checks). UOP_NEXT or UOP_FAULT. */
int i386_load_segment(struct i386_cpu *c, unsigned seg, uint16_t selector);
/* Far transfers: complete instructions; UOP_LEAVE or UOP_FAULT. `size`: of operands, in bytes. */
int i386_far_jump(struct i386_cpu *c, uint16_t selector, uint64_t offset, unsigned size);
int i386_far_call(struct i386_cpu *c, uint16_t selector, uint64_t offset, unsigned size, uint64_t next_eip);
int i386_far_return(struct i386_cpu *c, unsigned size, uint16_t extra_bytes);
enum task_source { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_INT };
int i386_task_switch(struct i386_cpu *c, uint16_t tss_selector, enum task_source source,
                     uint64_t next_eip, bool has_error, uint32_t error);
/* CPL, any of the six segment registers, CR0.PE/AM/NE or EFLAGS.VM/AC changed: refresh what is
 * derived (TLB regime, block_mode). */
void i386_mode_changed(struct i386_cpu *c);
/* The same, for less: a transfer of control has changed CPL and the segment registers CS and SS, within the same of real, virtual-8086,
 * protected, compatibility and 64-bit mode. */
void i386_level_moved(struct i386_cpu *c);
/* Likewise: the data or stack segment register `seg` has changed, and nothing else. */
void i386_segment_loaded(struct i386_cpu *c, unsigned seg);

/* ---- mmu.c ---- */
/* TLB regimes: of privilege level 3; of the others (and of what the CPU itself accesses), and while
 * EFLAGS.AC lifts SMAP for them. */
enum { MMU_SUPERVISOR = 0, MMU_USER = 1, MMU_OPEN = 2 };
bool i386_walk(struct ucpu *u, uint64_t va, enum access access, unsigned mode, struct translation *t);
void i386_roots(const struct ucpu *u, uint64_t roots[TLB_ROOTS]);
bool i386_top_table(const struct ucpu *u, const uint64_t roots[TLB_ROOTS], unsigned part, struct top_table *t);
bool i386_translate(const struct cpu *cpu, uint64_t va, paddr_t *pa);
uint64_t i386_stretch(const struct cpu *cpu, uint64_t va);

#endif
