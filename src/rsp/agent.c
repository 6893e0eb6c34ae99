/*
 * Agent expressions: checker and evaluator. gdb manual, appendix F "The GDB
 * Agent Expression Mechanism", "Bytecode Descriptions".
 *
 * Not implemented, as gdb never makes them: floating point operations; in printf: no floating point.
 * Trace state variables (getv, setv, tracev) and what the trace operations collect are the caller's (struct agent_env).
 *
 * To add an operation: a row in `operations`, a case in `step`.
 */
#include "rsp/agent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define STACK_DEPTH 100
/* Loops are legal bytecode; gdb's conditions have none and take some dozens of operations. */
#define MAX_OPERATIONS 20000u
#define MAX_STRING     4096u

enum op {
    OP_ADD = 0x02,
    OP_SUB = 0x03,
    OP_MUL = 0x04,
    OP_DIV_SIGNED = 0x05,
    OP_DIV_UNSIGNED = 0x06,
    OP_REM_SIGNED = 0x07,
    OP_REM_UNSIGNED = 0x08,
    OP_LSH = 0x09,
    OP_RSH_SIGNED = 0x0a,
    OP_RSH_UNSIGNED = 0x0b,
    OP_TRACE = 0x0c,
    OP_TRACE_QUICK = 0x0d,
    OP_LOG_NOT = 0x0e,
    OP_BIT_AND = 0x0f,
    OP_BIT_OR = 0x10,
    OP_BIT_XOR = 0x11,
    OP_BIT_NOT = 0x12,
    OP_EQUAL = 0x13,
    OP_LESS_SIGNED = 0x14,
    OP_LESS_UNSIGNED = 0x15,
    OP_EXT = 0x16,
    OP_REF8 = 0x17,
    OP_REF16 = 0x18,
    OP_REF32 = 0x19,
    OP_REF64 = 0x1a,
    OP_IF_GOTO = 0x20,
    OP_GOTO = 0x21,
    OP_CONST8 = 0x22,
    OP_CONST16 = 0x23,
    OP_CONST32 = 0x24,
    OP_CONST64 = 0x25,
    OP_REG = 0x26,
    OP_END = 0x27,
    OP_DUP = 0x28,
    OP_POP = 0x29,
    OP_ZERO_EXT = 0x2a,
    OP_SWAP = 0x2b,
    OP_GETV = 0x2c,
    OP_SETV = 0x2d,
    OP_TRACEV = 0x2e,
    OP_TRACENZ = 0x2f,
    OP_TRACE16 = 0x30,
    OP_PICK = 0x32,
    OP_ROT = 0x33,
    OP_PRINTF = 0x34,
    OP_COUNT
};

/* One row an operation: how many bytes of operand follow, how many values it pops, and how
 * many it pushes. printf's operand and arguments vary (fixed part here). */
static const struct operation {
    const char *name; /* NULL: not known */
    uint8_t operand, pops, pushes;
} operations[OP_COUNT] = {
    [OP_ADD] = {"add", 0, 2, 1},
    [OP_SUB] = {"sub", 0, 2, 1},
    [OP_MUL] = {"mul", 0, 2, 1},
    [OP_DIV_SIGNED] = {"div_signed", 0, 2, 1},
    [OP_DIV_UNSIGNED] = {"div_unsigned", 0, 2, 1},
    [OP_REM_SIGNED] = {"rem_signed", 0, 2, 1},
    [OP_REM_UNSIGNED] = {"rem_unsigned", 0, 2, 1},
    [OP_LSH] = {"lsh", 0, 2, 1},
    [OP_RSH_SIGNED] = {"rsh_signed", 0, 2, 1},
    [OP_RSH_UNSIGNED] = {"rsh_unsigned", 0, 2, 1},
    [OP_TRACE] = {"trace", 0, 2, 0},
    [OP_TRACE_QUICK] = {"trace_quick", 1, 1, 1},
    [OP_LOG_NOT] = {"log_not", 0, 1, 1},
    [OP_BIT_AND] = {"bit_and", 0, 2, 1},
    [OP_BIT_OR] = {"bit_or", 0, 2, 1},
    [OP_BIT_XOR] = {"bit_xor", 0, 2, 1},
    [OP_BIT_NOT] = {"bit_not", 0, 1, 1},
    [OP_EQUAL] = {"equal", 0, 2, 1},
    [OP_LESS_SIGNED] = {"less_signed", 0, 2, 1},
    [OP_LESS_UNSIGNED] = {"less_unsigned", 0, 2, 1},
    [OP_EXT] = {"ext", 1, 1, 1},
    [OP_REF8] = {"ref8", 0, 1, 1},
    [OP_REF16] = {"ref16", 0, 1, 1},
    [OP_REF32] = {"ref32", 0, 1, 1},
    [OP_REF64] = {"ref64", 0, 1, 1},
    [OP_IF_GOTO] = {"if_goto", 2, 1, 0},
    [OP_GOTO] = {"goto", 2, 0, 0},
    [OP_CONST8] = {"const8", 1, 0, 1},
    [OP_CONST16] = {"const16", 2, 0, 1},
    [OP_CONST32] = {"const32", 4, 0, 1},
    [OP_CONST64] = {"const64", 8, 0, 1},
    [OP_REG] = {"reg", 2, 0, 1},
    [OP_END] = {"end", 0, 0, 0},
    [OP_DUP] = {"dup", 0, 1, 2},
    [OP_POP] = {"pop", 0, 1, 0},
    [OP_ZERO_EXT] = {"zero_ext", 1, 1, 1},
    [OP_SWAP] = {"swap", 0, 2, 2},
    [OP_GETV] = {"getv", 2, 0, 1},
    [OP_SETV] = {"setv", 2, 1, 1},
    [OP_TRACEV] = {"tracev", 2, 0, 0},
    [OP_TRACENZ] = {"tracenz", 0, 2, 0},
    [OP_TRACE16] = {"trace16", 2, 1, 1},
    [OP_PICK] = {"pick", 1, 0, 1},
    [OP_ROT] = {"rot", 0, 3, 3},
    [OP_PRINTF] = {"printf", 3, 2, 0},
};

/* ---- checking ---- */

/* Bytes of the operation at `pc`, or a negative errno. */
static int operation_len(const uint8_t *code, size_t len, size_t pc, struct error *err)
{
    const struct operation *op = code[pc] < OP_COUNT ? &operations[code[pc]] : NULL;
    size_t n;

    if (!op || !op->name)
        return error_set(err, -EINVAL, "agent expression: operation 0x%02x at %zu is not supported", code[pc],
                         pc);
    n = 1u + op->operand;
    if (code[pc] == OP_PRINTF && len - pc >= n) {
        size_t text = (size_t)get_be(code + pc + 2, 2);

        n += text;
        if (!text || len - pc < n || code[pc + n - 1] != '\0')
            return error_set(err, -EINVAL, "agent expression: unterminated format at %zu", pc);
    }
    if (len - pc < n)
        return error_set(err, -EINVAL, "agent expression: %s at %zu is cut short", op->name, pc);
    return (int)n;
}

static int check_operands(const uint8_t *code, size_t pc, unsigned nregs, struct error *err)
{
    switch (code[pc]) {
    case OP_REG:
        if (get_be(code + pc + 1, 2) < nregs)
            return 0;
        return error_set(err, -EINVAL, "agent expression: no register %u",
                         (unsigned)get_be(code + pc + 1, 2));
    case OP_EXT:
    case OP_ZERO_EXT:
        if (code[pc + 1] >= 1 && code[pc + 1] <= 64)
            return 0;
        return error_set(err, -EINVAL, "agent expression: cannot extend from %u bits", code[pc + 1]);
    default:
        return 0;
    }
}

int agent_check(const uint8_t *code, size_t len, unsigned nregs, struct error *err)
{
    uint8_t *starts;
    size_t pc = 0;
    int n, result = 0;

    if (!len || len > 0xffff)
        return error_set(err, -EINVAL, "agent expression: %zu bytes long", len);
    starts = xcalloc(len, 1);
    while (pc < len) {
        n = operation_len(code, len, pc, err);
        result = n < 0 ? n : check_operands(code, pc, nregs, err);
        if (result)
            goto out;
        starts[pc] = 1;
        /* What follows the last operation must not be run into. */
        if (pc + (size_t)n == len && code[pc] != OP_END && code[pc] != OP_GOTO) {
            result = error_set(err, -EINVAL, "agent expression: does not end");
            goto out;
        }
        pc += (size_t)n;
    }
    for (pc = 0; pc < len; pc += (size_t)operation_len(code, len, pc, NULL)) {
        size_t to;

        if (code[pc] != OP_GOTO && code[pc] != OP_IF_GOTO)
            continue;
        to = (size_t)get_be(code + pc + 1, 2);
        if (to < len && starts[to])
            continue;
        result = error_set(err, -EINVAL, "agent expression: jump at %zu to %zu leads nowhere", pc, to);
        break;
    }
out:
    free(starts);
    return result;
}

int agent_init(struct agent_expr *e, const uint8_t *code, size_t len, unsigned nregs, struct error *err)
{
    int result = agent_check(code, len, nregs, err);

    *e = (struct agent_expr){0};
    if (result)
        return result;
    e->code = xmalloc(len);
    memcpy(e->code, code, len);
    e->len = len;
    return 0;
}

bool agent_uses_variables(const struct agent_expr *e)
{
    for (size_t pc = 0; pc < e->len; pc += (size_t)operation_len(e->code, e->len, pc, NULL))
        if (e->code[pc] >= OP_GETV && e->code[pc] <= OP_TRACEV)
            return true;
    return false;
}

void agent_finish(struct agent_expr *e)
{
    free(e->code);
    *e = (struct agent_expr){0};
}

/* ---- printf ---- */

/* What a conversion letter wants to be called with. */
static bool is_integer_conversion(char c)
{
    return c && strchr("diuxXo", c);
}

/* A C string at a guest address. */
static int append_string(struct buffer *out, const struct agent_env *env, uint64_t addr, int precision,
                         struct error *err)
{
    size_t limit = precision >= 0 && (size_t)precision < MAX_STRING ? (size_t)precision : MAX_STRING;

    for (size_t i = 0; i < limit; i++) {
        uint8_t c;

        if (!env->read_memory(env->ctx, addr + i, &c, 1))
            return error_set(err, -EFAULT, "printf: string at 0x%" PRIx64 " is not mapped", addr);
        if (!c)
            break;
        buffer_append_byte(out, c);
    }
    return 0;
}

/* A conversion specification, taken apart. */
struct conversion {
    char flags[8];
    int width;     /* -1: none */
    int precision; /* -1: none */
    unsigned bits; /* of an integer argument */
    char letter;
};

static int parse_number(const char **f)
{
    int n = 0;

    while (**f >= '0' && **f <= '9') {
        n = n * 10 + (*(*f)++ - '0');
        if (n > 1000)
            n = 1000;
    }
    return n;
}

/* *f is past the '%'; moves it past the letter. `long_bits`: of the target's long. */
static void parse_conversion(const char **f, struct conversion *c, unsigned long_bits)
{
    size_t nflags = 0;

    *c = (struct conversion){.width = -1, .precision = -1, .bits = 32};
    while (**f && strchr("-+ #0", **f) && nflags < sizeof(c->flags) - 1)
        c->flags[nflags++] = *(*f)++;
    if (**f >= '1' && **f <= '9')
        c->width = parse_number(f);
    if (**f == '.') {
        (*f)++;
        c->precision = parse_number(f);
    }
    for (; **f && strchr("hlLjztw", **f); (*f)++) {
        if (**f == 'h')
            c->bits /= 2;
        else if (**f == 'j' || **f == 'L' || (**f == 'l' && (*f)[1] == 'l'))
            c->bits = 64;
        else if (c->bits == 32 && **f != 'w')
            c->bits = long_bits;
    }
    if (c->bits < 8)
        c->bits = 8;
    c->letter = **f;
    if (**f)
        (*f)++;
}

static void append_integer(struct buffer *out, const struct conversion *c, uint64_t value)
{
    char format[24], width[12] = "", precision[12] = "";
    unsigned drop = 64 - c->bits;

    if (c->width >= 0)
        snprintf(width, sizeof(width), "%d", c->width);
    if (c->precision >= 0)
        snprintf(precision, sizeof(precision), ".%d", c->precision);
    snprintf(format, sizeof(format), "%%%s%.4s%.5s%s%c", c->flags, width, precision, "ll", c->letter);
    if (c->letter == 'd' || c->letter == 'i')
        value = (uint64_t)((int64_t)(value << drop) >> drop);
    else
        value = value << drop >> drop;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    buffer_printf(out, format, (unsigned long long)value);
#pragma GCC diagnostic pop
}

/* Strings and characters: pad what was appended since `start` to the width. */
static void pad(struct buffer *out, size_t start, const struct conversion *c)
{
    size_t len = out->len - start, width = c->width > 0 ? (size_t)c->width : 0;
    size_t fill = width > len ? width - len : 0;

    if (!fill)
        return;
    buffer_reserve(out, fill);
    if (strchr(c->flags, '-')) {
        memset(out->data + out->len, ' ', fill);
    } else {
        memmove(out->data + start + fill, out->data + start, len);
        memset(out->data + start, ' ', fill);
    }
    out->len += fill;
}

static int append_conversion(struct buffer *out, const struct agent_env *env, const struct conversion *c,
                             uint64_t value, struct error *err)
{
    size_t start = out->len;
    int result = 0;

    if (is_integer_conversion(c->letter)) {
        append_integer(out, c, value);
        return 0;
    }
    if (c->letter == 'p')
        buffer_printf(out, "0x%" PRIx64, value);
    else if (c->letter == 'c')
        buffer_append_byte(out, (uint8_t)value);
    else if (c->letter == 's')
        result = append_string(out, env, value, c->precision, err);
    else
        return error_set(err, -EINVAL, "printf: conversion '%%%c' is not supported", c->letter);
    pad(out, start, c);
    return result;
}

/* The format is the text between the quotes of gdb's command: its escapes are not yet undone. *f is past the
 * backslash; moves it past the escape. */
static uint8_t parse_escape(const char **f)
{
    static const char letters[] = "abefnrtv", values[] = "\a\b\033\f\n\r\t\v";
    const char *known;
    unsigned value = 0;
    char c = **f;

    if (!c)
        return '\\';
    if (c < '0' || c > '7') {
        known = strchr(letters, c);
        (*f)++;
        return (uint8_t)(known ? values[known - letters] : c);
    }
    for (int i = 0; i < 3 && **f >= '0' && **f <= '7'; i++)
        value = value << 3 | (unsigned)(*(*f)++ - '0');
    return (uint8_t)value;
}

static int format_printf(struct buffer *out, const struct agent_env *env, const char *format,
                         const uint64_t *args, unsigned nargs, struct error *err)
{
    unsigned used = 0;

    while (*format) {
        struct conversion c;
        int result;

        if (*format == '\\') {
            format++;
            buffer_append_byte(out, parse_escape(&format));
            continue;
        }
        if (*format != '%') {
            buffer_append_byte(out, (uint8_t)*format++);
            continue;
        }
        format++;
        if (*format == '%') {
            buffer_append_byte(out, (uint8_t)*format++);
            continue;
        }
        parse_conversion(&format, &c, env->long_bits);
        if (used >= nargs)
            return error_set(err, -EINVAL, "printf: more conversions than arguments");
        result = append_conversion(out, env, &c, args[used++], err);
        if (result)
            return result;
    }
    return 0;
}

/* ---- evaluation ---- */

struct eval {
    const struct agent_expr *e;
    const struct agent_env *env;
    size_t pc;
    uint64_t stack[STACK_DEPTH];
    unsigned depth;
};

static uint64_t pop(struct eval *v)
{
    CHECK(v->depth > 0);
    return v->stack[--v->depth];
}

static void push(struct eval *v, uint64_t value)
{
    CHECK(v->depth < STACK_DEPTH);
    v->stack[v->depth++] = value;
}

/* gdb pushes the arguments last to first, then the channel and the function, which are 0. */
static int run_printf(struct eval *v, const uint8_t *operand, struct error *err)
{
    unsigned nargs = operand[0];
    const char *format = (const char *)operand + 3;
    uint64_t args[STACK_DEPTH];
    struct buffer text;
    int result;

    pop(v);
    pop(v);
    if (nargs > v->depth)
        return error_set(err, -EINVAL, "agent expression: stack underflow in printf");
    for (unsigned i = 0; i < nargs; i++)
        args[i] = pop(v);
    buffer_init(&text);
    result = format_printf(&text, v->env, format, args, nargs, err);
    if (text.len && v->env->print)
        v->env->print(v->env->ctx, (const char *)text.data, text.len);
    buffer_finish(&text);
    return result;
}

static int divide(struct eval *v, uint8_t op, struct error *err)
{
    uint64_t b = pop(v), a = pop(v);

    if (!b)
        return error_set(err, -EDOM, "agent expression: division by zero");
    switch (op) {
    case OP_DIV_UNSIGNED:
        push(v, a / b);
        return 0;
    case OP_REM_UNSIGNED:
        push(v, a % b);
        return 0;
    default:
        break;
    }
    /* INT64_MIN / -1 overflows in C; two's complement wraps. */
    if (b == UINT64_MAX)
        push(v, op == OP_DIV_SIGNED ? 0 - a : 0);
    else if (op == OP_DIV_SIGNED)
        push(v, (uint64_t)((int64_t)a / (int64_t)b));
    else
        push(v, (uint64_t)((int64_t)a % (int64_t)b));
    return 0;
}

static void binary(struct eval *v, uint8_t op)
{
    uint64_t b = pop(v), a = pop(v), r = 0;
    bool over = b >= 64; /* shifts by that much: as if done bit by bit */

    /* clang-format off */
    switch (op) {
    case OP_ADD: r = a + b; break;
    case OP_SUB: r = a - b; break;
    case OP_MUL: r = a * b; break;
    case OP_LSH: r = over ? 0 : a << b; break;
    case OP_RSH_UNSIGNED: r = over ? 0 : a >> b; break;
    case OP_RSH_SIGNED: r = (uint64_t)((int64_t)a >> (over ? 63 : b)); break;
    case OP_BIT_AND: r = a & b; break;
    case OP_BIT_OR: r = a | b; break;
    case OP_BIT_XOR: r = a ^ b; break;
    case OP_EQUAL: r = a == b; break;
    case OP_LESS_SIGNED: r = (int64_t)a < (int64_t)b; break;
    case OP_LESS_UNSIGNED: r = a < b; break;
    default: CHECK(!"binary operation");
    }
    /* clang-format on */
    push(v, r);
}

static int load(struct eval *v, unsigned bytes, struct error *err)
{
    uint64_t addr = pop(v), value = 0;

    if (!v->env->read_memory(v->env->ctx, addr, &value, bytes))
        return error_set(err, -EFAULT, "agent expression: no memory at 0x%" PRIx64, addr);
    push(v, value);
    return 0;
}

static int load_register(struct eval *v, unsigned n, struct error *err)
{
    uint64_t value = 0;

    if (!v->env->read_register(v->env->ctx, n, &value))
        return error_set(err, -EFAULT, "agent expression: register %u is not available", n);
    push(v, value);
    return 0;
}

static void extend(struct eval *v, unsigned bits, bool sign)
{
    unsigned drop = 64 - bits;
    uint64_t value = pop(v) << drop;

    push(v, sign ? (uint64_t)((int64_t)value >> drop) : value >> drop);
}

static int pick(struct eval *v, unsigned n, struct error *err)
{
    if (n >= v->depth)
        return error_set(err, -EINVAL, "agent expression: stack underflow in pick");
    push(v, v->stack[v->depth - 1 - n]);
    return 0;
}

/* a b c (c on top) becomes c a b. */
static void rotate(struct eval *v)
{
    uint64_t c = pop(v), b = pop(v), a = pop(v);

    push(v, c);
    push(v, a);
    push(v, b);
}

static int load_variable(struct eval *v, unsigned n, struct error *err)
{
    uint64_t value = 0;

    if (!v->env->read_variable || !v->env->read_variable(v->env->ctx, n, &value))
        return error_set(err, -EFAULT, "agent expression: no trace state variable %u", n);
    push(v, value);
    return 0;
}

/* setv: the value stays on the stack. tracev: it does not look at it. */
static int variable(struct eval *v, bool (*act)(void *ctx, unsigned n, uint64_t value), unsigned n, struct error *err)
{
    if (!act || !act(v->env->ctx, n, v->depth ? v->stack[v->depth - 1] : 0))
        return error_set(err, -EFAULT, "agent expression: no trace state variable %u", n);
    return 0;
}

static int trace(struct eval *v, uint64_t addr, uint64_t len, struct error *err)
{
    if (v->env->trace && len && !v->env->trace(v->env->ctx, addr, len))
        return error_set(err, -EFAULT, "agent expression: no memory at 0x%" PRIx64, addr);
    return 0;
}

/* Up to a zero byte, and with it; at most `len`. */
static int trace_string(struct eval *v, uint64_t addr, uint64_t len, struct error *err)
{
    uint64_t n = 0;
    uint8_t c = 1;

    while (v->env->trace && c && n < len && n < MAX_STRING)
        if (!v->env->read_memory(v->env->ctx, addr + n++, &c, 1))
            return error_set(err, -EFAULT, "agent expression: no memory at 0x%" PRIx64, addr + n - 1);
    return trace(v, addr, n, err);
}

/* One operation; v->pc is already past it. */
static int step(struct eval *v, uint8_t op, const uint8_t *operand, struct error *err)
{
    uint64_t a, b;

    switch (op) {
    case OP_DIV_SIGNED:
    case OP_DIV_UNSIGNED:
    case OP_REM_SIGNED:
    case OP_REM_UNSIGNED:
        return divide(v, op, err);
    case OP_LOG_NOT:
        push(v, !pop(v));
        return 0;
    case OP_BIT_NOT:
        push(v, ~pop(v));
        return 0;
    case OP_EXT:
    case OP_ZERO_EXT:
        extend(v, operand[0], op == OP_EXT);
        return 0;
    case OP_REF8:
        return load(v, 1, err);
    case OP_REF16:
        return load(v, 2, err);
    case OP_REF32:
        return load(v, 4, err);
    case OP_REF64:
        return load(v, 8, err);
    case OP_IF_GOTO:
        if (pop(v))
            v->pc = (size_t)get_be(operand, 2);
        return 0;
    case OP_GOTO:
        v->pc = (size_t)get_be(operand, 2);
        return 0;
    case OP_CONST8:
    case OP_CONST16:
    case OP_CONST32:
    case OP_CONST64:
        push(v, get_be(operand, operations[op].operand));
        return 0;
    case OP_REG:
        return load_register(v, (unsigned)get_be(operand, 2), err);
    case OP_DUP:
        a = pop(v);
        push(v, a);
        push(v, a);
        return 0;
    case OP_POP:
        pop(v);
        return 0;
    case OP_SWAP:
        b = pop(v);
        a = pop(v);
        push(v, b);
        push(v, a);
        return 0;
    case OP_PICK:
        return pick(v, operand[0], err);
    case OP_ROT:
        rotate(v);
        return 0;
    case OP_PRINTF:
        return run_printf(v, operand, err);
    case OP_GETV:
        return load_variable(v, (unsigned)get_be(operand, 2), err);
    case OP_SETV:
        return variable(v, v->env->write_variable, (unsigned)get_be(operand, 2), err);
    case OP_TRACEV:
        return variable(v, v->env->trace_variable, (unsigned)get_be(operand, 2), err);
    case OP_TRACE:
    case OP_TRACENZ:
        b = pop(v);
        a = pop(v);
        return op == OP_TRACE ? trace(v, a, b, err) : trace_string(v, a, b, err);
    case OP_TRACE_QUICK:
    case OP_TRACE16:
        a = pop(v);
        push(v, a);
        return trace(v, a, get_be(operand, operations[op].operand), err);
    default:
        binary(v, op);
        return 0;
    }
}

int agent_eval(const struct agent_expr *e, const struct agent_env *env, uint64_t *result, struct error *err)
{
    struct eval v = {.e = e, .env = env};

    *result = 0;
    for (unsigned n = 0; n < MAX_OPERATIONS; n++) {
        uint8_t op = e->code[v.pc];
        const uint8_t *operand = e->code + v.pc + 1;
        const struct operation *o = &operations[op];
        int failed;

        if (op == OP_END) {
            *result = v.depth ? v.stack[v.depth - 1] : 0;
            return 0;
        }
        if (v.depth < o->pops)
            return error_set(err, -EINVAL, "agent expression: stack underflow in %s", o->name);
        if (v.depth - o->pops + o->pushes > STACK_DEPTH)
            return error_set(err, -EINVAL, "agent expression: stack overflow in %s", o->name);
        v.pc += (size_t)operation_len(e->code, e->len, v.pc, NULL);
        failed = step(&v, op, operand, err);
        if (failed)
            return failed;
    }
    return error_set(err, -ELOOP, "agent expression: still not done after %u operations", MAX_OPERATIONS);
}
