/*
 * System management mode (SDM 3C chapter 31; AMD64 APM 2 chapter 10): entry, the state save map, RSM.
 *
 * The save map is the P6's (SDM 3C 31.4.1) for models without long mode, revision 20000H, with the hidden parts of
 * segments and CR4 in its reserved bytes; else AMD64's (APM 2 10.2.3), revision 20064H. Both are as QEMU has them, for
 * firmware (SeaBIOS, OVMF) goes by these two. The SMBASE can be relocated; I/O instructions cannot be
 * restarted (bit 16 of the revision is clear): there is nothing on the board that would trap one.
 *
 * What is neither in the map nor reached by the handler is kept in the CPU: that NMIs were blocked, a debug trap that
 * waited at the entry (SMI goes first, SDM 3A table 6-2), and, of models without long mode, EFER.
 *
 * INIT waits until RSM, as NMI does until RSM or IRET; one more SMI is latched. A20M# acts as ever.
 *
 * Not modelled: SMM-transfer monitor, the I/O state field, SMRR.
 */
#include "i386/lower.h"
#include "i386/protect.h"
#include "i386/svm.h"

#define ENTRY_OFFSET     0x8000u
#define MAP_OFFSET       0x8000u /* of what the manuals call 0: the map's offsets are 7E00H to 7FFFH */
#define REVISION_P6      0x20000u
#define REVISION_AMD64   0x20064u
#define AUTO_HALT        1u

/* Access to the map: one direction, or the other. */
struct save_map {
    struct i386_cpu *c;
    uint32_t base;
    bool load;
};

static uint64_t field(const struct save_map *m, unsigned offset, unsigned size, uint64_t value)
{
    struct memory *memory = &m->c->u.cpu.machine->memory;
    paddr_t at = i386_physical(m->c, (uint32_t)(m->base + MAP_OFFSET + offset));

    if (m->load)
        return memory_read(memory, at, size);
    memory_write(memory, at, size, value);
    return value;
}

static void field64(const struct save_map *m, unsigned offset, uint64_t *value)
{
    *value = field(m, offset, 8, *value);
}

static void low32(const struct save_map *m, unsigned offset, uint64_t *value)
{
    *value = field(m, offset, 4, *value);
}

static void field32(const struct save_map *m, unsigned offset, uint32_t *value)
{
    *value = (uint32_t)field(m, offset, 4, *value);
}

static void selector(const struct save_map *m, unsigned offset, unsigned size, struct i386_segment *s)
{
    s->selector = (uint16_t)field(m, offset, size, s->selector);
}

/* P says whether a segment can be used. */
static void attributes(const struct save_map *m, unsigned offset, unsigned size, struct i386_segment *s)
{
    unsigned attr = s->valid ? s->attr : s->attr & ~SEG_ATTR_P;

    s->attr = (uint16_t)field(m, offset, size, attr) & 0xf0ff;
    s->valid = (s->attr & SEG_ATTR_P) != 0;
}

/* ---- the P6's map ---- */

static void hidden_p6(const struct save_map *m, unsigned flags, struct i386_segment *s)
{
    attributes(m, flags, 4, s);
    field32(m, flags + 4, &s->limit);
    low32(m, flags + 8, &s->base);
}

static void table_p6(const struct save_map *m, unsigned limit, struct i386_dtr *t)
{
    field32(m, limit, &t->limit);
    low32(m, limit + 4, &t->base);
}

static void map_p6(const struct save_map *m, struct i386_state *s, uint32_t *eflags)
{
    static const uint16_t hidden[] = {
        [SEG_ES] = 0x7f84, [SEG_CS] = 0x7f90, [SEG_SS] = 0x7f9c, [SEG_DS] = 0x7f2c, [SEG_FS] = 0x7f38, [SEG_GS] = 0x7f44,
    };

    field32(m, 0x7ffc, &s->cr0);
    low32(m, 0x7ff8, &s->cr3);
    field32(m, 0x7ff4, eflags);
    low32(m, 0x7ff0, &s->rip);
    for (unsigned r = 0; r < 8; r++)
        low32(m, 0x7fd0 + 4 * r, &s->gpr[r]);
    low32(m, 0x7fcc, &s->dr[6]);
    low32(m, 0x7fc8, &s->dr[7]);
    selector(m, 0x7fc4, 4, &s->seg[SEG_TR]);
    hidden_p6(m, 0x7f5c, &s->seg[SEG_TR]);
    selector(m, 0x7fc0, 4, &s->seg[SEG_LDTR]);
    hidden_p6(m, 0x7f78, &s->seg[SEG_LDTR]);
    table_p6(m, 0x7f70, &s->gdtr);
    table_p6(m, 0x7f54, &s->idtr);
    for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
        selector(m, 0x7fa8 + 4 * n, 4, &s->seg[n]);
        hidden_p6(m, hidden[n], &s->seg[n]);
    }
    field32(m, 0x7f14, &s->cr4);
    field32(m, 0x7ef8, &s->smbase);
}

/* ---- AMD64's map ---- */

static void segment_amd64(const struct save_map *m, unsigned at, struct i386_segment *s)
{
    selector(m, at, 2, s);
    attributes(m, at + 2, 2, s);
    field32(m, at + 4, &s->limit);
    field64(m, at + 8, &s->base);
}

static void table_amd64(const struct save_map *m, unsigned at, struct i386_dtr *t)
{
    field32(m, at + 4, &t->limit);
    field64(m, at + 8, &t->base);
}

static void wide32(const struct save_map *m, unsigned offset, uint32_t *value)
{
    *value = (uint32_t)field(m, offset, 8, *value);
}

static void map_amd64(const struct save_map *m, struct i386_state *s, uint32_t *eflags)
{
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        segment_amd64(m, 0x7e00 + 16 * n, &s->seg[n]);
    table_amd64(m, 0x7e60, &s->gdtr);
    segment_amd64(m, 0x7e70, &s->seg[SEG_LDTR]);
    table_amd64(m, 0x7e80, &s->idtr);
    segment_amd64(m, 0x7e90, &s->seg[SEG_TR]);
    field64(m, 0x7ed0, &s->efer);
    field32(m, 0x7f00, &s->smbase);
    wide32(m, 0x7f48, &s->cr4);
    field64(m, 0x7f50, &s->cr3);
    wide32(m, 0x7f58, &s->cr0);
    field64(m, 0x7f60, &s->dr[7]);
    field64(m, 0x7f68, &s->dr[6]);
    wide32(m, 0x7f70, eflags);
    field64(m, 0x7f78, &s->rip);
    for (unsigned r = 0; r < 16; r++)
        field64(m, 0x7ff8 - 8 * r, &s->gpr[r]);
}

/* ---- both ---- */

static bool is_amd64(const struct i386_cpu *c)
{
    return i386_has(c->model, FEATURE_LM);
}

/* All that the map holds of *s, and the auto HALT restart field. */
static void transfer(const struct save_map *m, struct i386_state *s, uint32_t *eflags, bool *halted)
{
    if (is_amd64(m->c)) {
        map_amd64(m, s, eflags);
        *halted = field(m, 0x7ec9, 1, *halted ? AUTO_HALT : 0) & AUTO_HALT;
    } else {
        map_p6(m, s, eflags);
        *halted = field(m, 0x7f02, 2, *halted ? AUTO_HALT : 0) & AUTO_HALT;
    }
}

static void save(struct i386_cpu *c)
{
    const struct save_map m = {.c = c, .base = c->st->smbase};
    struct i386_state image = *c->st;
    uint32_t eflags = i386_get_eflags(c) | (image.rep_active ? EFLAGS_RF : 0);
    bool halted = image.halted == I386_HALTED;

    transfer(&m, &image, &eflags, &halted);
    if (is_amd64(c)) {
        field(&m, 0x7ec8, 1, 0);
        field(&m, 0x7eca, 1, c->st->smm & I386_SMM_NMI_BLOCKED ? 1 : 0);
        field(&m, 0x7efc, 4, REVISION_AMD64);
    } else {
        field(&m, 0x7f00, 2, 0);
        field(&m, 0x7efc, 4, REVISION_P6);
    }
}

/* Modes, registers and caches are others now. */
static void state_changed(struct i386_cpu *c)
{
    i386_mode_changed(c);
    ucpu_flush_tlb(&c->u);
    i386_update_traps(c);
}

/* SDM 3C 31.5.1 */
static void enter_handler(struct i386_state *s, bool amd64)
{
    for (unsigned n = SEG_ES; n <= SEG_GS; n++)
        s->seg[n] = (struct i386_segment){
            .attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_G | 3, .limit = 0xffffffff, .valid = 1};
    s->seg[SEG_CS].selector = (uint16_t)(s->smbase >> 4);
    s->seg[SEG_CS].base = s->smbase;
    s->rip = ENTRY_OFFSET;
    s->cc = (struct lazy_flags){.op = FLAGS_EXPLICIT};
    s->eflags = EFLAGS_1;
    s->cpl = 0;
    s->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    s->cr4 = 0;
    s->dr[7] = DR7_FIXED;
    if (amd64)
        s->efer = 0;
}

void i386_enter_smm(struct i386_cpu *c)
{
    struct i386_state *s = c->st;

    s->smi_pending = 0;
    s->smi_count++;
    s->smm = I386_SMM | (s->nmi_blocked ? I386_SMM_NMI_BLOCKED : 0);
    s->nmi_blocked = 1;
    s->smm_pending_db = s->pending_db;
    s->pending_db = 0;
    save(c);
    if (s->svm.guest)
        s->svm.guest = I386_SVM_GUEST_WAITS;
    i386_wake(c);
    s->rep_active = 0;
    s->rep_start = 0;
    enter_handler(s, is_amd64(c));
    state_changed(c);
}

/* Does the map ask for modes that cannot be (SDM 3C 31.3.2, APM 2 10.3.6)? */
static bool impossible(const struct i386_cpu *c, const struct i386_state *s, uint32_t eflags)
{
    bool paging = s->cr0 & CR0_PG, is_long = s->efer & EFER_LMA;

    if ((paging && !(s->cr0 & CR0_PE)) || ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)))
        return true;
    if ((s->cr4 & ~i386_cr4_allowed(c)) || (s->efer & ~i386_efer_allowed(c)))
        return true;
    if (is_long != (paging && (s->efer & EFER_LME)) || (is_long && !(s->cr4 & CR4_PAE)))
        return true;
    if ((eflags & EFLAGS_VM) && (is_long || !(s->cr0 & CR0_PE)))
        return true;
    return (s->cr4 & CR4_PCIDE) && !is_long;
}

static uint32_t privilege(const struct i386_state *s, uint32_t eflags)
{
    const struct i386_segment *ss = &s->seg[SEG_SS];

    if (!i386_protected(s))
        return 0;
    if (eflags & EFLAGS_VM)
        return 3;
    return ss->valid ? (ss->attr & SEG_ATTR_DPL) >> 5 : ss->selector & 3u;
}

/* What has only 32 bits in the mode that comes. */
static void narrow(struct i386_state *s)
{
    if (!i386_long(s))
        for (unsigned n = 0; n < SEG_COUNT; n++)
            s->seg[n].base = (uint32_t)s->seg[n].base;
    if (i386_64bit(s))
        return;
    s->rip = (uint32_t)s->rip;
    for (unsigned r = EAX; r <= EDI; r++)
        s->gpr[r] = (uint32_t)s->gpr[r];
}

int i386_op_rsm(struct ucpu *u, const struct uop *op)
{
    struct i386_cpu *c = i386_of(u);
    struct i386_state *s = c->st, image = *s;
    const struct save_map m = {.c = c, .base = s->smbase, .load = true};
    uint32_t eflags = 0;
    bool halted = false;

    (void)op;
    if (!s->smm)
        return i386_raise(c, EXC_UD);
    transfer(&m, &image, &eflags, &halted);
    image.cr0 = (image.cr0 & CR0_WRITABLE) | CR0_ET;
    image.dr[6] = (uint32_t)image.dr[6] | DR6_FIXED;
    image.dr[7] = (uint32_t)image.dr[7] | DR7_FIXED;
    image.smm = 0;
    if (impossible(c, &image, eflags) ||
        ((image.cr0 & CR0_PG) && (image.cr4 & CR4_PAE) && !i386_long(&image) &&
         i386_read_pdptes(c, image.cr3, image.pdpte) < 0)) {
        s->rip = i386_next_eip(c);
        i386_shut_down(c, c->u.cpu.index);
        return UOP_LEAVE;
    }
    narrow(&image);
    image.cpl = privilege(&image, eflags);
    image.nmi_blocked = (s->smm & I386_SMM_NMI_BLOCKED) != 0;
    image.pending_db |= s->smm_pending_db;
    image.smm_pending_db = 0;
    if (image.svm.guest)
        image.svm.guest = I386_SVM_GUEST;
    image.halted = halted ? I386_HALTED : 0;
    *s = image;
    i386_set_eflags(c, eflags, 0xffffffffu);
    state_changed(c);
    return UOP_LEAVE;
}
