/*
 * Protected-mode machinery that segment.c, task.c, exception.c and system.c
 * share: descriptors, stores that wait until nothing can fault any more, and
 * stacks that are not (yet) the current one.
 *
 * The rule that keeps every transfer restartable: an operation first reads and
 * checks everything, collecting its stores in a struct i386_stores (which
 * plans each of them); only then it commits, which cannot fail, nor does anything
 * after that. (A task switch goes on in the new task's context, where faults are the new
 * task's: it is alone from the beginning.)
 */
#ifndef HINDCAST_I386_PROTECT_H
#define HINDCAST_I386_PROTECT_H

#include "i386/cpu.h"

#include "base/buffer.h"
#include "base/error.h"

/* ---- descriptors (SDM 3A 3.4.5, 5.8.3, 7.2) ---- */

struct i386_desc {
    uint32_t lo, hi;
    uint32_t upper; /* long mode, LDT, TSS and gates: bits 32-63 of base or offset; else 0 */
    uint64_t addr;  /* linear address of its 8 (16) bytes */
};

/* Types of system descriptors (S = 0). */
enum {
    SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6,
    SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
};
#define SYS_32BIT 8u /* set in the types of 32-bit gates and TSSs */

static inline unsigned desc_type(const struct i386_desc *d) { return d->hi >> 8 & 15; }
static inline bool desc_is_system(const struct i386_desc *d) { return !(d->hi & 0x1000); }
static inline unsigned desc_dpl(const struct i386_desc *d) { return d->hi >> 13 & 3; }
static inline bool desc_present(const struct i386_desc *d) { return d->hi & 0x8000; }
static inline bool desc_is_code(const struct i386_desc *d) { return (d->hi & 0x1800) == 0x1800; }
static inline bool desc_is_conforming(const struct i386_desc *d) { return d->hi & 0x400; }
static inline bool desc_is_writable_data(const struct i386_desc *d) { return (d->hi & 0x1a00) == 0x1200; }
/* Data, or code that may be read. */
static inline bool desc_is_readable(const struct i386_desc *d)
{
    return (d->hi & 0x1000) && (d->hi & 0x0a00) != 0x0800;
}
static inline uint64_t desc_base(const struct i386_desc *d)
{
    return (uint64_t)d->upper << 32 | d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000u);
}
/* Code segments: L and D/B. */
static inline bool desc_is_64bit(const struct i386_desc *d) { return d->hi & 0x200000; }
static inline bool desc_is_32bit(const struct i386_desc *d) { return d->hi & 0x400000; }
static inline uint32_t desc_limit(const struct i386_desc *d)
{
    uint32_t limit = (d->lo & 0xffff) | (d->hi & 0xf0000u);

    return d->hi & 0x800000 ? limit << 12 | 0xfff : limit;
}
/* Gates. */
static inline uint16_t gate_selector(const struct i386_desc *d) { return (uint16_t)(d->lo >> 16); }
static inline uint64_t gate_offset(const struct i386_desc *d)
{
    uint32_t low = d->lo & 0xffff;

    return desc_type(d) & SYS_32BIT ? (uint64_t)d->upper << 32 | low | (d->hi & 0xffff0000u) : low;
}

static inline bool selector_is_null(uint16_t selector) { return !(selector & ~3u); }

/* Linear address of the descriptor that a selector that is not null names; false: beyond its table. */
bool i386_desc_locate(const struct i386_cpu *c, uint16_t selector, uint64_t *addr);
/* Read it; beyond its table raises `vector`(selector). False: exception pending. */
bool i386_desc_read(struct i386_cpu *c, uint16_t selector, unsigned vector, struct i386_desc *d);
/* In long mode, of a system descriptor: read its second half, and check that its type is 0 (#GP(selector)). */
bool i386_desc_read_upper(struct i386_cpu *c, uint16_t selector, struct i386_desc *d);
/* Can code at `offset` in the code segment *d be gone to: within its limit, or canonical? False: exception pending. */
bool i386_code_target(struct i386_cpu *c, const struct i386_desc *d, uint64_t offset);
/* The hidden part of a segment register that holds it. */
struct i386_segment i386_desc_segment(const struct i386_desc *d, uint16_t selector);

/* Raise vector(selector without RPL). Return false / UOP_FAULT. */
bool i386_fail(struct i386_cpu *c, unsigned vector, uint32_t error);
int i386_fault_selector(struct i386_cpu *c, unsigned vector, uint16_t selector);

/* ---- stores that wait ---- */

#define I386_MAX_STORES 64
#define I386_MAX_FRAME  80 /* bytes */
struct i386_stores {
    unsigned count;
    struct {
        struct planned_store plan;
        uint64_t va, value;
        unsigned size;      /* more than 8: of `frame` instead of `value` */
    } store[I386_MAX_STORES];
    /* What i386_stack_push_all() pushes. Where inline access is allowed it is not planned, if it is all there is. */
    uint8_t *direct;    /* where it goes, or NULL */
    uint64_t frame_va;
    unsigned frame_bytes, frame_mode;
    uint8_t frame[I386_MAX_FRAME];
};

/* There are none yet. (The rest stays as it is: it is large.) */
static inline void i386_stores_begin(struct i386_stores *s)
{
    s->count = 0;
    s->direct = NULL;
}
/* Plan a store of 1, 2, 4 or 8 bytes. False: exception or retry pending. */
bool i386_stores_add(struct i386_cpu *c, struct i386_stores *s, unsigned mode, uint64_t va, unsigned size,
                     uint64_t value);
/* Set the accessed bit of a code or data descriptor, in *d and later in memory. */
bool i386_stores_accessed(struct i386_cpu *c, struct i386_stores *s, struct i386_desc *d);
/* Make them, in the order they were added. (Since the last one memory was not accessed.) */
void i386_stores_commit(struct i386_cpu *c, const struct i386_stores *s);
/* Put those that overlap [va, va + size) over what was read there. */
void i386_stores_show(const struct i386_stores *s, uint64_t va, unsigned size, void *buf);

/* ---- stacks ---- */

struct i386_stack {
    struct i386_segment ss;
    uint64_t rsp;
    unsigned mode;  /* TLB regime of its accesses */
    bool wide;      /* RSP: no segment */
    uint32_t error; /* of the #SS that a limit violation raises */
};

/* The current stack. */
void i386_stack_current(const struct i386_cpu *c, struct i386_stack *st);
/* The stack that the TSS holds for privilege level `cpl`, checked (SDM 3A 5.8.5). On
 * success st->ss is what SS will hold, accessed bit noted. */
bool i386_stack_inner(struct i386_cpu *c, struct i386_stores *s, unsigned cpl, struct i386_stack *st);
/* The 64-bit pointer at `offset` of the TSS of long mode (RSPn, ISTn), as a stack for privilege level `cpl`. */
bool i386_stack_tss64(struct i386_cpu *c, unsigned offset, unsigned cpl, struct i386_stack *st);
#define TSS64_RSP(cpl) (4u + 8u * (cpl))
#define TSS64_IST(n)   (28u + 8u * (n))
/* Push or pop 2, 4 or 8 bytes; only st->rsp changes. */
bool i386_stack_push(struct i386_cpu *c, struct i386_stores *s, struct i386_stack *st, unsigned size, uint64_t value);
bool i386_stack_pop(struct i386_cpu *c, struct i386_stack *st, unsigned size, uint64_t *value);
/* The same of n values, one after the other, at most I386_MAX_FRAME bytes, and once in an i386_stores: faults and accesses are
 * those of single ones, but where nobody could tell it is one. */
bool i386_stack_push_all(struct i386_cpu *c, struct i386_stores *s, struct i386_stack *st, unsigned size, const uint64_t *values,
                         unsigned n);
bool i386_stack_pop_all(struct i386_cpu *c, struct i386_stack *st, unsigned size, uint64_t *values, unsigned n);

/* ---- transfers ---- */

/* An interrupt or exception on its way to its handler: exception.c, and in long mode long.c. */
enum i386_source {
    FROM_INT_N,     /* INT n */
    FROM_SOFTWARE,  /* INT3, INTO */
    FROM_ICEBP,     /* INT1: software, but checked like an exception */
    FROM_EXCEPTION,
    FROM_OUTSIDE,   /* INTR, NMI: `nmi` */
};
struct i386_delivery {
    enum i386_source source;
    unsigned vector;
    bool has_error;
    uint32_t error;
    uint64_t eip;    /* to return to */
    bool set_rf;     /* in the EFLAGS image */
    bool nmi;
};
/* Was the access to `va` that the instruction at RIP made one to the stack, by instruction or segment? */
bool i386_stack_access(const struct i386_cpu *c, uint64_t va);
bool i386_deliver_long(struct i386_cpu *c, const struct i386_delivery *d);
/* quick.c: deliver, or return with operands of `size` bytes, what is in the usual shape. False: it is not, and nothing was done. */
bool i386_quick_gate(struct i386_cpu *c, const struct i386_delivery *d);
bool i386_quick_iret(struct i386_cpu *c, unsigned size);
/* The same of loading a data or stack segment register, as i386_load_segment() does. */
bool i386_quick_segment(struct i386_cpu *c, unsigned seg, uint16_t selector);
int i386_iret_long(struct i386_cpu *c, unsigned size);
/* The bits of EFLAGS that IRET at this privilege may change. */
uint32_t i386_iret_mask(const struct i386_state *s, unsigned size);

/* Read and check the code segment that RETF and IRET return to (*d), and for an outer level the
 * stack segment (*d of SS). Exceptions as SDM 2B, "RET" and "IRET". */
bool i386_return_code(struct i386_cpu *c, uint16_t selector, struct i386_desc *d);
bool i386_return_stack(struct i386_cpu *c, uint16_t selector, unsigned rpl, struct i386_desc *d);
/* What i386_mode_changed() derives from and a transfer of control may change, but for the data segments that
 * i386_hide_segments() hides, which it does at another level only. */
struct i386_level {
    struct i386_segment cs, ss;
    uint32_t cpl, eflags;
};
static inline struct i386_level i386_level_now(const struct i386_state *s)
{
    return (struct i386_level){s->seg[SEG_CS], s->seg[SEG_SS], s->cpl, s->eflags};
}
static inline bool i386_same_hidden(const struct i386_segment *a, const struct i386_segment *b)
{
    return !((a->base ^ b->base) | (uint16_t)(a->attr ^ b->attr) | (a->limit ^ b->limit) | (a->valid ^ b->valid));
}
/* Is it another one now, so that i386_mode_changed() has to be called? */
bool i386_level_differs(const struct i386_state *s, const struct i386_level *before);
/* May SS be null after a return to the code segment *code with `rpl`? */
static inline bool i386_null_stack_allowed(uint16_t ss, unsigned rpl, const struct i386_desc *code)
{
    return selector_is_null(ss) && desc_is_64bit(code) && rpl < 3 && (ss & 3) == rpl;
}
/* After a return to a less privileged level: data segments that it must not see become null, and null selectors 0 (SDM 2,
 * IRET and RET, RETURN-TO-OUTER-PRIVILEGE-LEVEL). */
void i386_hide_segments(struct i386_cpu *c);
/* A null data segment register. */
void i386_null_segment(struct i386_cpu *c, unsigned seg, uint16_t selector);
/* Load a segment register as real (vm86 false) or virtual-8086 mode does. */
void i386_real_segment(struct i386_state *s, unsigned seg, uint16_t selector, bool vm86);

static inline bool i386_protected(const struct i386_state *s) { return s->cr0 & CR0_PE; }
static inline bool i386_vm86(const struct i386_state *s) { return s->eflags & EFLAGS_VM; }
/* Selectors name descriptors: protected mode, not virtual-8086 mode. */
static inline bool i386_uses_descriptors(const struct i386_state *s)
{
    return i386_protected(s) && !i386_vm86(s);
}
static inline bool i386_long(const struct i386_state *s) { return s->efer & EFER_LMA; }
/* The 64-bit submode of long mode; otherwise the rules are those of 32 bits. */
static inline bool i386_64bit(const struct i386_state *s)
{
    return i386_long(s) && (s->seg[SEG_CS].attr & SEG_ATTR_L);
}
static inline uint64_t i386_sign_extend(uint64_t address, unsigned bits)
{
    return (uint64_t)((int64_t)(address << (64 - bits)) >> (64 - bits));
}
static inline bool i386_sign_extended(uint64_t address, unsigned bits)
{
    return i386_sign_extend(address, bits) == address;
}
/* Bits 63 to 47 (56 with five levels of tables) are equal (SDM 1, 3.3.7.1). */
static inline bool i386_canonical(const struct i386_state *s, uint64_t address)
{
    return i386_sign_extended(address, s->cr4 & CR4_LA57 ? 57 : 48);
}
/* An address that is put into a register for later (a base, an MSR, that of INVPCID) with the upper bits that it should
 * have; has it them? What the model has counts then, whether CR4.LA57 is set or not (so do processors, as the KVM
 * of Linux has found and does likewise: arch/x86/kvm/mmu.h). */
static inline uint64_t i386_register_address(const struct i386_cpu *c, uint64_t address)
{
    return i386_sign_extend(address, i386_has(c->model, FEATURE_LA57) ? 57 : 48);
}
static inline bool i386_register_canonical(const struct i386_cpu *c, uint64_t address)
{
    return i386_register_address(c, address) == address;
}
/* An address of a descriptor table or TSS: as wide as linear addresses are in this mode. */
static inline uint64_t i386_system_address(const struct i386_state *s, uint64_t address)
{
    return s->efer & EFER_LMA ? address : (uint32_t)address;
}
static inline unsigned i386_iopl(const struct i386_state *s) { return s->eflags >> 12 & 3; }

/* ---- mmu.c ---- */

/* The regime of the current code's data accesses. */
unsigned i386_regime(const struct i386_state *s);

/* A physical address as the CPU's data accesses put it out: A20M#, and in system management mode its SMRAM. */
paddr_t i386_physical(const struct i386_cpu *c, paddr_t addr);
/* Read the PDPTEs that CR3 points to; negative: reserved bits are set. */
int i386_read_pdptes(struct i386_cpu *c, uint64_t cr3, uint64_t pdpte[4]);
void i386_describe_tlb(const struct cpu *cpu, struct buffer *out);

/* ---- xsave.c, long.c ---- */

/* The bits that XCR0 can have. */
uint64_t i386_xcr0_mask(const struct i386_model *m);
/* Bytes of an XSAVE area with the components of `mask`. */
uint32_t i386_xsave_bytes(uint64_t mask, bool compacted);
/* Place and size of component n in an area of the standard form. False: it is not there, or in the legacy region. */
bool i386_xsave_component(unsigned n, uint32_t *offset, uint32_t *size);
void i386_set_pkru(struct i386_cpu *c, uint32_t value);

/* ---- system.c ---- */

/* Checked writes as MOV to CR/DR and WRMSR make them. False: the value is not allowed, nothing changed. */
bool i386_set_cr0(struct i386_cpu *c, uint64_t value);
bool i386_set_cr3(struct i386_cpu *c, uint64_t value);
bool i386_set_cr4(struct i386_cpu *c, uint64_t value);
bool i386_set_dr(struct i386_cpu *c, unsigned n, uint64_t value);
/* The bits of CR4 that the model has. */
uint32_t i386_cr4_allowed(const struct i386_cpu *c);
#define CR0_WRITABLE (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
/* Are MONITOR and MWAIT there, for CPUID and for system software? */
bool i386_monitor_enabled(const struct i386_cpu *c);

/* EIP after the instruction in progress, which is the last of its block. */
static inline uint64_t i386_next_eip(const struct i386_cpu *c)
{
    const struct block *block = c->u.block;

    uint64_t next = block ? block->key.pc + block->len : c->st->rip;

    return i386_64bit(c->st) ? next : (uint32_t)next;
}
/* INIT: as a reset, but x87, SSE, MSRs and CR0.CD/NW stay (SDM 3A table 9-1). cpu.c. */
void i386_init_signal(struct i386_cpu *c);
/* Are unaligned accesses to memory #AC (SDM 3A 6.15)? */
static inline bool i386_alignment_checked(const struct i386_state *s)
{
    return s->cpl == 3 && (s->cr0 & CR0_AM) && (s->eflags & EFLAGS_AC);
}

/* A flat code or data segment as SYSENTER and SYSCALL load it; `type` of the descriptor, flag SEG_ATTR_L or _DB. */
static inline void i386_load_flat(struct i386_segment *sg, uint16_t selector, unsigned type, unsigned dpl, unsigned flag)
{
    sg->base = 0;
    sg->selector = (uint16_t)((selector & 0xfffcu) | dpl);
    sg->attr = (uint16_t)(SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_G | flag | dpl << 5 | type);
    sg->limit = 0xffffffffu;
    sg->valid = 1;
    sg->reserved = 0;
}
static inline struct i386_segment i386_flat_segment(uint16_t selector, unsigned type, unsigned dpl, unsigned flag)
{
    struct i386_segment sg;

    i386_load_flat(&sg, selector, type, dpl, flag);
    return sg;
}
/* They have loaded them, and changed the level; before, code was `was_64bit`. */
static inline void i386_flat_loaded(struct i386_cpu *c, bool was_64bit)
{
    if (c->u.careful || was_64bit != i386_64bit(c->st))
        i386_mode_changed(c);
    else
        i386_level_moved(c);
}

/* ---- msr.c ---- */

/* RDMSR and WRMSR at level 0. False: #GP(0), nothing changed. */
bool i386_read_msr(struct i386_cpu *c, uint32_t n, uint64_t *value);
bool i386_write_msr(struct i386_cpu *c, uint32_t n, uint64_t value);
/* Those whose state begins at offset `from` of the state or behind it, as after a reset. */
void i386_reset_msrs(struct i386_cpu *c, size_t from);
/* The bits of EFER that can be set now. */
uint64_t i386_efer_allowed(const struct i386_cpu *c);
/* AMD's: the processor name string, of 48 characters. */
const uint64_t *i386_name_string(const struct i386_cpu *c);
/* Is the bit of IA32_MISC_ENABLE set? Not on models that have no such register, or no such bit. */
#define MISC_ENABLE_MONITOR     ((uint64_t)1 << 18)
#define MISC_ENABLE_LIMIT_CPUID ((uint64_t)1 << 22)
#define MISC_ENABLE_XD_DISABLE  ((uint64_t)1 << 34)
static inline bool i386_misc_enabled(const struct i386_cpu *c, uint64_t bit)
{
    return (c->st->misc_enable & bit) != 0;
}

/* ---- lbr.c ---- */

/* The instruction in progress, which was begun while last branches were recorded, is complete. */
void i386_lbr_instruction(struct i386_cpu *c);
/* An interrupt or an exception was delivered: from an offset in a code segment whose base was `base`. */
void i386_lbr_event(struct i386_cpu *c, uint64_t base, uint64_t eip);
/* How many the model's stack has; 0: there are none. */
unsigned i386_lbr_depth(const struct i386_model *m);

/* ---- exception.c, smm.c ---- */

/* EFLAGS become `value`, those of another world: nothing that the instruction in progress has begun goes on. The mode may have changed. */
void i386_replace_eflags(struct i386_state *s, uint32_t value);
/* HLT or MWAIT ends. */
void i386_wake(struct i386_cpu *c);
/* The shutdown state (SDM 3A 6.15, #DF). */
void i386_shut_down(struct i386_cpu *c, uint32_t status);
/* The pending SMI is taken, between instructions: a step. */
void i386_enter_smm(struct i386_cpu *c);
#define SMBASE_RESET 0x30000u /* SDM 3C 31.4 */

/* ---- pmu.c ---- */

void i386_pmu_reset(struct i386_cpu *c);
/* CPL went to 0 or away from it. */
void i386_pmu_mode_changed(struct i386_cpu *c);
/* cpu_ops.room: steps until a counter may overflow. */
icount_t i386_pmu_room(const struct cpu *cpu);
/* The CPU stands: overflows are noticed. */
void i386_pmu_stood(struct i386_cpu *c);
void i386_pmu_leaf(const struct i386_model *m, uint32_t *eax, uint32_t *ebx, uint32_t *edx);
bool i386_pmu_has_msr(const struct i386_model *m, uint32_t n);
/* Of those. False: #GP. */
uint64_t i386_pmu_read(const struct i386_cpu *c, uint32_t n);
bool i386_pmu_write(struct i386_cpu *c, uint32_t n, uint64_t value);
bool i386_pmu_rdpmc(const struct i386_cpu *c, uint32_t n, uint64_t *value);
/* `steps` of the CPU retire no instruction. */
static inline void i386_pmu_uncount(struct i386_cpu *c, uint64_t steps)
{
    if (c->model->pmu)
        c->st->pmc_uncounted += steps;
}

/* ---- regs.c ---- */

#define I386_NREGS 76
extern const struct reg_desc i386_regs[I386_NREGS];
enum { I386_REG_ESP = 4, I386_REG_EBP = 5, I386_REG_EIP = 8, I386_REG_EFLAGS = 9 };
/* The layout of gdb's i386:x86-64. */
enum { I386_REG_RBP = 6, I386_REG_RSP = 7, I386_REG_RIP = 16, I386_REG_RFLAGS = 17 };
void i386_layout_64(struct reg_desc out[], bool avx, unsigned *count);
void i386_read_reg_64(const struct cpu *cpu, unsigned n, void *buf);
bool i386_write_reg_64(struct cpu *cpu, unsigned n, const void *buf);
const char *i386_feature_types_64(const char *feature);
void i386_read_reg(const struct cpu *cpu, unsigned n, void *buf);
bool i386_write_reg(struct cpu *cpu, unsigned n, const void *buf);
const char *i386_feature_types(const char *feature);
void i386_describe(const struct cpu *cpu, struct buffer *out);

#endif
