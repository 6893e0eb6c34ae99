/*
 * AMD's secure virtual machine (AMD64 APM 2, chapter 15): what its files and those that ask about guests share.
 *
 *   svm.c           VMRUN, #VMEXIT and the other instructions; the control block (VMCB); events for guests
 *   lower_svm.c     the instructions' lowering, and which of all may be intercepted
 *   mmu.c           nested paging
 *   exception.c     intercepts of exceptions and interrupts
 *
 * A #VMEXIT comes as an exception does: a helper, or a walk, returns i386_svm_exit() and leaves the state as before the
 * instruction; i386_take_exception() makes it.
 *
 * What a guest's control block says is in i386_state.svm while the guest runs, and so is the host's state: the area that
 * VM_HSAVE_PA names is not used (15.30.4 leaves to the processor what it holds).
 */
#ifndef HINDCAST_I386_SVM_H
#define HINDCAST_I386_SVM_H

#include "i386/lower.h"

struct i386_delivery;

/* Exit codes (appendix C). Those below SVM_EXIT_CODES have a bit of their own among the intercepts. */
enum {
    SVM_EXIT_CR_READ = 0x00, SVM_EXIT_CR_WRITE = 0x10, SVM_EXIT_DR_READ = 0x20, SVM_EXIT_DR_WRITE = 0x30, SVM_EXIT_EXCEPTION = 0x40,
    SVM_EXIT_INTR = 0x60, SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT, SVM_EXIT_VINTR, SVM_EXIT_CR0_SELECTIVE, SVM_EXIT_IDTR_READ,
    SVM_EXIT_GDTR_READ, SVM_EXIT_LDTR_READ, SVM_EXIT_TR_READ, SVM_EXIT_IDTR_WRITE, SVM_EXIT_GDTR_WRITE, SVM_EXIT_LDTR_WRITE,
    SVM_EXIT_TR_WRITE, SVM_EXIT_RDTSC, SVM_EXIT_RDPMC, SVM_EXIT_PUSHF, SVM_EXIT_POPF, SVM_EXIT_CPUID, SVM_EXIT_RSM, SVM_EXIT_IRET,
    SVM_EXIT_SWINT, SVM_EXIT_INVD, SVM_EXIT_PAUSE, SVM_EXIT_HLT, SVM_EXIT_INVLPG, SVM_EXIT_INVLPGA, SVM_EXIT_IOIO, SVM_EXIT_MSR,
    SVM_EXIT_TASK_SWITCH, SVM_EXIT_FERR_FREEZE, SVM_EXIT_SHUTDOWN,
    SVM_EXIT_VMRUN = 0x80, SVM_EXIT_VMMCALL, SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE, SVM_EXIT_STGI, SVM_EXIT_CLGI, SVM_EXIT_SKINIT,
    SVM_EXIT_RDTSCP, SVM_EXIT_ICEBP, SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT, SVM_EXIT_MWAIT_ARMED, SVM_EXIT_XSETBV,
    SVM_EXIT_CODES = 0xa0,
    SVM_EXIT_NPF = 0x400,
};
#define SVM_EXIT_INVALID UINT64_MAX
#define SVM_EVENT_VALID  UINT64_C(0x80000000) /* of EVENTINJ and EXITINTINFO (15.7.2, 15.20) */

/* i386_svm.guest. In system management mode a guest that the SMI came to waits. */
enum { I386_SVM_HOST = 0, I386_SVM_GUEST = 1, I386_SVM_GUEST_WAITS = 2 };

/* i386_svm.interrupts: the control block's 8 bytes at 60H (appendix B). */
#define V_TPR          UINT64_C(0xff)
#define V_IRQ          UINT64_C(0x100)
#define V_GIF          UINT64_C(0x200)
#define V_INTR_PRIO    UINT64_C(0xf0000)
#define V_IGN_TPR      UINT64_C(0x100000)
#define V_INTR_MASKING UINT64_C(0x1000000)
#define V_GIF_ENABLE   UINT64_C(0x2000000)
#define V_INTR_VECTOR(w) ((unsigned)((w) >> 32 & 0xff))

static inline bool i386_svm_guest(const struct i386_state *s)
{
    return s->svm.guest == I386_SVM_GUEST;
}
/* Does a guest run whose physical addresses are translated once more (15.25)? */
static inline bool i386_svm_nested(const struct i386_state *s)
{
    return s->svm.guest == I386_SVM_GUEST && s->svm.nested;
}
/* Does a guest run from which `code` leads out? */
static inline bool i386_svm_intercepts(const struct i386_state *s, unsigned code)
{
    return i386_svm_guest(s) && (s->svm.intercept[code / 16] >> (code % 16) & 1);
}
/* Is CR8 the guest's own (15.21.2)? */
static inline bool i386_svm_has_tpr(const struct i386_state *s)
{
    return i386_svm_guest(s) && (s->svm.interrupts & V_INTR_MASKING);
}
/* May a physical interrupt come now, as far as flags say (15.21.1)? */
static inline bool i386_svm_interruptible(const struct i386_state *s)
{
    uint64_t flags = i386_svm_has_tpr(s) ? s->svm.host.rflags : s->eflags;

    return !s->svm.gif_clear && (flags & EFLAGS_IF);
}
/* Does a virtual interrupt come before the next instruction (15.21.4)? */
bool i386_svm_virtual_interrupt(const struct i386_state *s);

/* The instruction, walk or event in progress leads out of the guest, with EXITINFO1 and EXITINFO2. Returns UOP_FAULT. */
int i386_svm_exit(struct i386_cpu *c, uint64_t code, uint64_t info1, uint64_t info2);
/* #VMEXIT (15.6). `during`: EXITINTINFO (15.7.2), the event that was being delivered, or 0. */
void i386_svm_leave(struct i386_cpu *c, uint64_t code, uint64_t info1, uint64_t info2, uint64_t during);
/* *d in EXITINTINFO's form; and in that of a delivery what EVENTINJ asked for (15.20), whose turn it is now. */
uint64_t i386_svm_event(const struct i386_delivery *d);
struct i386_delivery i386_svm_injected(struct i386_cpu *c);
/* An access to ports, which is allowed otherwise: `kind` as in EXITINFO1 (15.10.2) without port and size. False: a #VMEXIT is
 * pending. */
#define SVM_IO_IN      0x001u
#define SVM_IO_STRING  0x004u
#define SVM_IO_REP     0x008u
#define SVM_IO_ADDRESS(bytes) ((bytes) << 6) /* of 2, 4, 8 bytes */
bool i386_svm_io(struct i386_cpu *c, uint16_t port, unsigned size, unsigned kind);
/* RDMSR (WRMSR with `write`) at level 0. The same. */
bool i386_svm_msr(struct i386_cpu *c, uint32_t n, bool write);

/* ---- micro-ops' helpers ---- */
i386_helper i386_op_intercept; /* of CHECK32: d: a bit of the intercepts' word at *a; b: I386_AFTER_* */
enum {
    I386_AFTER_LEVEL = 1, /* #GP of a level above 0 comes first; */
    I386_AFTER_TSD = 2,   /* that of CR4.TSD; */
    I386_AFTER_PCE = 4,   /* of CR4.PCE; */
    I386_AFTER_UMIP = 8,  /* of CR4.UMIP; */
    I386_AFTER_XSAVE = 16, /* #UD without CR4.OSXSAVE; */
    I386_IF_ARMED = 32,   /* only after MONITOR */
};
i386_helper i386_op_vmrun;     /* b: size of addresses. Alone; UOP_LEAVE */
i386_helper i386_op_vmload;    /* the same */
i386_helper i386_op_vmsave;    /* the same; alone */
i386_helper i386_op_vmmcall, i386_op_skinit, i386_op_invlpga;
i386_helper i386_op_gif;       /* GIF = a                                                 (E) */

#endif
