/*
 * Micro-ops on bits (uop.def: counting, choosing and spreading bits, and CRC-32C) in x86-64 code: each is an
 * instruction of the host, if it has it. Flags that the manual leaves undefined are not taken from it.
 */
#include "vm/jit/jit_priv.h"

/* Of the flags: those that are results. */
#define FLAGS_ZC  (FLAG_Z | FLAG_C)
#define FLAGS_ZSC (FLAG_Z | FLAG_S | FLAG_C)

/* The flags become those of the host among `mask`, of C, Z and S; uses rax. */
static void take_flags(struct jit *j, uint32_t mask)
{
    struct code *e = &j->code;

    code_8(e, 0x9f);                   /* LAHF */
    code_bytes(e, "\x0f\xb6\xc4", 3); /* MOVZX EAX, AH */
    x_alu_imm(e, 32, ALU_AND, RAX, (int32_t)mask);
    flags_put(j);
}

/* POPCNT and its like: of one operand. */
static void emit_count(struct jit *j, const struct uop *u, unsigned bits, uint8_t opcode, uint32_t mask)
{
    unsigned a = operand_use(j, u->a, bits, 64);

    x_legacy(&j->code, bits, (struct encoding){0xf3, 1, opcode, false}, RCX, a, false);
    take_flags(j, mask);
    operand_put(j, u->d, 64, 64, RCX);
}

/* BLSR, BLSMSK, BLSI */
static void emit_lowest(struct jit *j, const struct uop *u, unsigned bits, unsigned digit)
{
    x_vex(&j->code, bits, (struct encoding){0, 2, 0xf3, false}, digit, RCX, operand_use(j, u->a, bits, 64));
    take_flags(j, FLAGS_ZSC);
    operand_put(j, u->d, 64, 64, RCX);
}

/* BZHI and BEXTR: what tells the bits is in the operand that VEX names. */
static void emit_choose(struct jit *j, const struct uop *u, unsigned bits, bool extract)
{
    unsigned a = operand_use(j, u->a, bits, 64);

    operand_get(j, RDX, u->b, 16, 64);
    x_vex(&j->code, bits, (struct encoding){0, 2, extract ? 0xf7 : 0xf5, false}, RCX, RDX, a);
    if (extract)
        flags_note_imm(j, FLAGS_LOGIC, bits, RCX, 0);
    else
        take_flags(j, FLAGS_ZSC);
    operand_put(j, u->d, 64, 64, RCX);
}

/* PDEP, PEXT */
static void emit_spread(struct jit *j, const struct uop *u, unsigned bits, uint8_t prefix)
{
    unsigned a = operand_use(j, u->a, bits, 64), b = operand_use(j, u->b, bits, 64);

    x_vex(&j->code, bits, (struct encoding){prefix, 2, 0xf5, false}, RCX, a, b);
    operand_put(j, u->d, 64, 64, RCX);
}

/* ADCX, ADOX: with the flag that is bit `flag`. */
static void emit_add_with(struct jit *j, const struct uop *u, unsigned bits, unsigned flag)
{
    struct code *e = &j->code;
    unsigned a = operand_use(j, u->a, bits, 64), b = operand_use(j, u->b, bits, 64);

    flags_get(j);
    x_mov(e, bits, RCX, a);
    x_bt_imm(e, 32, RAX, flag);
    x_alu(e, bits, ALU_ADC, RCX, b);
    x_setcc(e, CC_B, RDX);
    x_rr(e, 32, X_MOVZX8, RDX, RDX);
    x_alu_imm(e, 32, ALU_AND, RAX, (int32_t)~(1u << flag));
    if (flag)
        x_shift_imm(e, 32, SHIFT_SHL, RDX, flag);
    x_alu(e, 32, ALU_OR, RAX, RDX);
    flags_put(j);
    operand_put(j, u->d, 64, 64, RCX);
}

static void emit_crc(struct jit *j, const struct uop *u, unsigned bits)
{
    operand_get(j, RAX, u->a, 32, 64);
    operand_get(j, RCX, u->b, bits, 64);
    x_legacy(&j->code, bits, (struct encoding){0xf2, 2, bits == 8 ? 0xf0 : 0xf1, false}, RAX, RCX, bits == 8);
    operand_put(j, u->d, 64, 64, RAX);
}

/* What the host has. */
#define HOST(feature) \
    if (!__builtin_cpu_supports(feature)) \
        return false

#define HOST_LZCNT \
    if (!j->host_lzcnt) \
        return false

bool emit_bits(struct jit *j, const struct uop *u)
{
    switch (u->op) {
#define FORMS(z, n) \
    case UOP_POPCNT##z##_F: HOST("popcnt"); emit_count(j, u, n, 0xb8, FLAG_Z); return true; \
    case UOP_TZCNT##z##_F: HOST("bmi"); emit_count(j, u, n, 0xbc, FLAGS_ZC); return true; \
    case UOP_LZCNT##z##_F: HOST_LZCNT; emit_count(j, u, n, 0xbd, FLAGS_ZC); return true; \
    case UOP_BLSR##z##_F: HOST("bmi"); emit_lowest(j, u, n, 1); return true; \
    case UOP_BLSMSK##z##_F: HOST("bmi"); emit_lowest(j, u, n, 2); return true; \
    case UOP_BLSI##z##_F: HOST("bmi"); emit_lowest(j, u, n, 3); return true; \
    case UOP_BEXTR##z##_F: HOST("bmi"); emit_choose(j, u, n, true); return true; \
    case UOP_BZHI##z##_F: HOST("bmi2"); emit_choose(j, u, n, false); return true; \
    case UOP_PDEP##z: HOST("bmi2"); emit_spread(j, u, n, 0xf2); return true; \
    case UOP_PEXT##z: HOST("bmi2"); emit_spread(j, u, n, 0xf3); return true; \
    case UOP_ADCX##z##_F: emit_add_with(j, u, n, 0); return true; \
    case UOP_ADOX##z##_F: emit_add_with(j, u, n, 11); return true;
    FORMS(32Z, 32)
    FORMS(64, 64)
#undef FORMS
    case UOP_CRC8_64: HOST("sse4.2"); emit_crc(j, u, 8); return true;
    case UOP_CRC16_64: HOST("sse4.2"); emit_crc(j, u, 16); return true;
    case UOP_CRC32_64: HOST("sse4.2"); emit_crc(j, u, 32); return true;
    case UOP_CRC64_64: HOST("sse4.2"); emit_crc(j, u, 64); return true;
    default: return false;
    }
}
