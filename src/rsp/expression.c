/* From text to agent bytecode by way of a small tree. See expression.h. */
#include "rsp/expression.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 256u
#define MAX_DEPTH 40u

/* Operations of the bytecode (agent.c has all of them). */
enum {
    A_ADD = 0x02, A_SUB = 0x03, A_MUL = 0x04, A_DIV_SIGNED = 0x05, A_DIV_UNSIGNED = 0x06, A_REM_SIGNED = 0x07,
    A_REM_UNSIGNED = 0x08, A_LSH = 0x09, A_RSH_SIGNED = 0x0a, A_RSH_UNSIGNED = 0x0b, A_LOG_NOT = 0x0e, A_AND = 0x0f,
    A_OR = 0x10, A_XOR = 0x11, A_NOT = 0x12, A_EQUAL = 0x13, A_LESS_SIGNED = 0x14, A_LESS_UNSIGNED = 0x15, A_EXT = 0x16,
    A_REF8 = 0x17, A_IF_GOTO = 0x20, A_GOTO = 0x21, A_CONST8 = 0x22, A_CONST64 = 0x25, A_REG = 0x26, A_END = 0x27,
    A_ZERO_EXT = 0x2a, A_SWAP = 0x2b,
};

struct type {
    uint8_t bits;       /* 8, 16, 32, 64 */
    bool is_unsigned;
};

enum node_kind { NODE_CONST, NODE_REG, NODE_UNARY, NODE_BINARY, NODE_CAST, NODE_LOAD };

/* Operators by the text that they are. */
enum operator {
    OP_OR_ELSE, OP_AND_ALSO, OP_BIT_OR, OP_BIT_XOR, OP_BIT_AND, OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT, OP_LSHIFT, OP_RSHIFT,
    OP_PLUS, OP_MINUS, OP_TIMES, OP_DIVIDE, OP_MODULO, OP_COUNT,
};

static const struct {
    char text[3];
    uint8_t level; /* binds the stronger, the higher */
} operators[OP_COUNT] = {
    {"||", 1}, {"&&", 2}, {"|", 3}, {"^", 4}, {"&", 5}, {"==", 6}, {"!=", 6}, {"<=", 7}, {">=", 7},
    {"<", 7}, {">", 7}, {"<<", 8}, {">>", 8}, {"+", 9}, {"-", 9}, {"*", 10}, {"/", 10}, {"%", 10},
};

struct node {
    enum node_kind kind;
    struct type type;
    unsigned op;          /* enum operator; unary: its character; register: number */
    unsigned shift;       /* register: where the part begins, in bits */
    uint64_t value;
    unsigned left, right; /* nodes */
};

struct parser {
    const char *text, *at;
    const struct rsp_target_info *info;
    struct node nodes[MAX_NODES];
    unsigned n, depth;
    struct error *err;
    bool failed;
    struct buffer code;
};

static unsigned fail(struct parser *p, const char *what)
{
    if (!p->failed)
        error_set(p->err, -EINVAL, "%s at '%.20s' of the condition", what, *p->at ? p->at : "the end");
    p->failed = true;
    return 0;
}

static unsigned add(struct parser *p, const struct node *node)
{
    if (p->n == MAX_NODES)
        return fail(p, "too long");
    p->nodes[p->n] = *node;
    return p->n++;
}

static void skip(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool take(struct parser *p, char c)
{
    skip(p);
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static void expect(struct parser *p, char c)
{
    char what[] = "'?' is expected";

    what[1] = c;
    if (!take(p, c))
        fail(p, what);
}

static size_t word_len(const char *s)
{
    size_t n = 0;

    while (isalnum((unsigned char)s[n]) || s[n] == '_')
        n++;
    return n;
}

static bool take_word(struct parser *p, const char *word)
{
    size_t n;

    skip(p);
    n = word_len(p->at);
    if (n != strlen(word) || strncmp(p->at, word, n))
        return false;
    p->at += n;
    return true;
}

/* ---- types ---- */

static uint8_t pointer_bits(const struct parser *p)
{
    return (uint8_t)(p->info->pointer_bytes * 8);
}

static bool take_fixed_type(struct parser *p, struct type *t)
{
    static const struct {
        const char *name;
        struct type type;
    } fixed[] = {{"int8_t", {8, false}}, {"int16_t", {16, false}}, {"int32_t", {32, false}}, {"int64_t", {64, false}},
                 {"uint8_t", {8, true}}, {"uint16_t", {16, true}}, {"uint32_t", {32, true}}, {"uint64_t", {64, true}}};

    for (unsigned i = 0; i < ARRAY_LEN(fixed); i++)
        if (take_word(p, fixed[i].name)) {
            *t = fixed[i].type;
            return true;
        }
    return false;
}

/* "unsigned long long", "char"... False: no type begins here. */
static bool take_type(struct parser *p, struct type *t)
{
    unsigned longs = 0;
    bool any = false, sized = false, said = false;

    if (take_fixed_type(p, t))
        return true;
    *t = (struct type){32, false};
    for (;;) {
        if (take_word(p, "unsigned"))
            t->is_unsigned = said = true;
        else if (take_word(p, "signed"))
            said = true;
        else if (take_word(p, "int"))
            ;
        else if (take_word(p, "char"))
            t->bits = 8, sized = true;
        else if (take_word(p, "short"))
            t->bits = 16, sized = true;
        else if (take_word(p, "long"))
            longs++;
        else
            break;
        any = true;
    }
    if (t->bits == 8 && !said)
        t->is_unsigned = p->info->char_unsigned;
    if (longs && !sized)
        t->bits = longs == 1 ? pointer_bits(p) : 64;
    return any;
}

/* ---- registers ---- */

static bool is_name(const char *name, const char *text, size_t n)
{
    return strlen(name) == n && !strncmp(name, text, n);
}

static unsigned find_register(const struct parser *p, const char *text, size_t n)
{
    for (unsigned i = 0; i < p->info->nregs; i++)
        if (is_name(p->info->regs[i].name, text, n))
            return i;
    return RSP_NO_REG;
}

/* A part of a register: eax, ax, al, ah, r8d, w3... */
static bool find_part(const struct parser *p, const char *text, size_t n, struct node *node)
{
    static const char *const parts[][5] = {{"rax", "eax", "ax", "al", "ah"}, {"rbx", "ebx", "bx", "bl", "bh"},
                                           {"rcx", "ecx", "cx", "cl", "ch"}, {"rdx", "edx", "dx", "dl", "dh"},
                                           {"rsi", "esi", "si", "sil", ""}, {"rdi", "edi", "di", "dil", ""},
                                           {"rbp", "ebp", "bp", "bpl", ""}, {"rsp", "esp", "sp", "spl", ""}};
    static const uint8_t bits[] = {64, 32, 16, 8, 8};
    char whole[8];

    for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
        for (unsigned k = 1; k < 5; k++) {
            if (!is_name(parts[i][k], text, n) || k == 2)
                continue;
            node->op = find_register(p, parts[i][0], 3);
            if (node->op == RSP_NO_REG)
                node->op = find_register(p, parts[i][1], 3);
            node->type = (struct type){bits[k], false};
            node->shift = k == 4 ? 8 : 0;
            return node->op != RSP_NO_REG;
        }
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
        if (is_name(parts[i][2], text, n)) {
            node->op = find_register(p, parts[i][0], 3);
            if (node->op == RSP_NO_REG)
                node->op = find_register(p, parts[i][1], 3);
            node->type = (struct type){16, false};
            return node->op != RSP_NO_REG;
        }
    if (n >= 2 && n < sizeof(whole) && (text[0] == 'w' || text[0] == 'r')) {
        memcpy(whole, text, n);
        whole[n] = 0;
        node->type = (struct type){32, *whole == 'w'}; /* (as in gdb) */
        if (*whole == 'w')
            whole[0] = 'x';
        else if (whole[n - 1] == 'd')
            whole[n - 1] = 0;
        node->op = find_register(p, whole, strlen(whole));
        return node->op != RSP_NO_REG;
    }
    return false;
}

static unsigned parse_register(struct parser *p)
{
    size_t n = word_len(p->at);
    struct node node = {.kind = NODE_REG, .op = RSP_NO_REG};
    const struct rsp_reg *r;

    if (is_name("pc", p->at, n))
        node.op = p->info->pc_reg;
    else if (is_name("sp", p->at, n))
        node.op = p->info->sp_reg;
    else if (is_name("fp", p->at, n))
        node.op = p->info->fp_reg;
    if (node.op == RSP_NO_REG)
        node.op = find_register(p, p->at, n);
    if (node.op != RSP_NO_REG) {
        r = &p->info->regs[node.op];
        node.type.bits = r->bits >= 64 ? 64 : r->bits > 16 ? 32 : r->bits > 8 ? 16 : 8;
        node.type.is_unsigned = !r->type || strncmp(r->type, "int", 3);
    } else if (!find_part(p, p->at, n, &node)) {
        return fail(p, "there is no register of that name");
    }
    p->at += n;
    return add(p, &node);
}

/* ---- parsing ---- */

static unsigned parse_level(struct parser *p, unsigned level);
static unsigned parse_unary(struct parser *p);

static unsigned parse_number(struct parser *p)
{
    struct node node = {.kind = NODE_CONST, .type = {32, false}};
    bool hex = p->at[0] == '0' && (p->at[1] == 'x' || p->at[1] == 'X');
    char *end;

    errno = 0;
    node.value = strtoull(p->at, &end, 0);
    if (end == p->at || errno)
        return fail(p, "no number");
    p->at = end;
    while (*p->at == 'u' || *p->at == 'U' || *p->at == 'l' || *p->at == 'L') {
        if (*p->at == 'u' || *p->at == 'U')
            node.type.is_unsigned = true;
        else
            node.type.bits = 64;
        p->at++;
    }
    if (word_len(p->at))
        return fail(p, "no number");
    /* C's rule: the first type that can hold it. */
    if (node.type.bits == 32 && node.value >> (node.type.is_unsigned ? 32 : 31)) {
        if (hex && !(node.value >> 32))
            node.type.is_unsigned = true;
        else
            node.type.bits = 64;
    }
    if (node.type.bits == 64 && node.value >> 63)
        node.type.is_unsigned = true;
    return add(p, &node);
}

static unsigned load(struct parser *p, unsigned address, struct type t)
{
    return add(p, &(struct node){.kind = NODE_LOAD, .type = t, .left = address});
}

/* After "*": what it points to is said by a cast, or it is as wide as an address. */
static unsigned parse_deref(struct parser *p)
{
    struct type t = {pointer_bits(p), true};
    const char *back;
    unsigned address;

    skip(p);
    back = p->at;
    if (take(p, '(')) {
        if (take_type(p, &t) && take(p, '*')) {
            bool to_pointer = take(p, '*');

            expect(p, ')');
            if (to_pointer)
                t = (struct type){pointer_bits(p), true};
            address = parse_unary(p);
            return load(p, address, t);
        }
        p->at = back;
        t = (struct type){pointer_bits(p), true};
    }
    address = parse_unary(p);
    return load(p, address, t);
}

static unsigned parse_parenthesis(struct parser *p)
{
    struct type t;
    unsigned n;

    if (take_type(p, &t)) {
        if (take(p, '*'))
            t = (struct type){pointer_bits(p), true};
        expect(p, ')');
        n = parse_unary(p);
        return add(p, &(struct node){.kind = NODE_CAST, .type = t, .left = n});
    }
    n = parse_level(p, 1);
    expect(p, ')');
    return n;
}

static struct type promoted(struct type t)
{
    return t.bits < 32 ? (struct type){32, false} : t;
}

static unsigned parse_character(struct parser *p)
{
    unsigned char c = (unsigned char)*p->at;

    if (!c)
        return fail(p, "no character");
    p->at++;
    expect(p, '\'');
    return add(p, &(struct node){.kind = NODE_CONST, .type = {32, false}, .value = c});
}

static unsigned parse_operand(struct parser *p)
{
    struct type t;
    unsigned n;

    skip(p);
    if (take(p, '('))
        return parse_parenthesis(p);
    if (take(p, '$'))
        return parse_register(p);
    if (take(p, '*'))
        return parse_deref(p);
    if (take(p, '\''))
        return parse_character(p);
    if (take(p, '{')) {
        if (!take_type(p, &t))
            return fail(p, "a type is expected");
        expect(p, '}');
        n = parse_unary(p);
        return load(p, n, t);
    }
    if (isdigit((unsigned char)*p->at))
        return parse_number(p);
    return fail(p, isalpha((unsigned char)*p->at) ? "there are no symbols here: a number or a register is expected"
                                                   : "a number or a register is expected");
}

static unsigned parse_unary(struct parser *p)
{
    unsigned n;
    char op;

    if (p->failed || p->depth >= MAX_DEPTH)
        return fail(p, "nested too deeply");
    p->depth++;
    skip(p);
    op = *p->at;
    if (op && strchr("!~-+", op)) {
        p->at++;
        n = parse_unary(p);
        if (op != '+')
            n = add(p, &(struct node){.kind = NODE_UNARY, .op = (unsigned char)op, .left = n,
                                      .type = op == '!' ? (struct type){32, false} : promoted(p->nodes[n].type)});
    } else {
        n = parse_operand(p);
    }
    p->depth--;
    return n;
}

/* The operator that comes next; OP_COUNT: none. */
static enum operator next_operator(struct parser *p)
{
    enum operator best = OP_COUNT;

    skip(p);
    for (unsigned i = 0; i < OP_COUNT; i++) {
        size_t n = strlen(operators[i].text);

        if (!strncmp(p->at, operators[i].text, n) && (best == OP_COUNT || n > strlen(operators[best].text)))
            best = (enum operator)i;
    }
    return best;
}

static struct type common(struct type a, struct type b)
{
    a = promoted(a);
    b = promoted(b);
    if (a.bits == b.bits)
        return (struct type){a.bits, a.is_unsigned || b.is_unsigned};
    return a.bits > b.bits ? a : b;
}

static struct type result_of(enum operator op, struct type a, struct type b)
{
    if (op == OP_LSHIFT || op == OP_RSHIFT)
        return promoted(a);
    return op >= OP_EQ && op <= OP_GT ? (struct type){32, false} : op <= OP_AND_ALSO ? (struct type){32, false} : common(a, b);
}

static unsigned parse_level(struct parser *p, unsigned level)
{
    unsigned left;

    if (p->failed || p->depth >= MAX_DEPTH)
        return fail(p, "nested too deeply");
    p->depth++;
    left = parse_unary(p);
    for (;;) {
        enum operator op = next_operator(p);
        unsigned right;

        if (p->failed || op == OP_COUNT || operators[op].level < level)
            break;
        p->at += strlen(operators[op].text);
        right = parse_level(p, operators[op].level + 1u);
        left = add(p, &(struct node){.kind = NODE_BINARY, .op = op, .left = left, .right = right,
                                     .type = result_of(op, p->nodes[left].type, p->nodes[right].type)});
    }
    p->depth--;
    return left;
}

/* ---- code ---- */

static void emit(struct parser *p, unsigned op)
{
    buffer_append_byte(&p->code, (uint8_t)op);
}

static void emit_be(struct parser *p, uint64_t value, unsigned bytes)
{
    while (bytes--)
        buffer_append_byte(&p->code, (uint8_t)(value >> (8 * bytes)));
}

/* The top of the stack, cut to that type. */
static void emit_cut(struct parser *p, struct type t)
{
    if (t.bits == 64)
        return;
    emit(p, t.is_unsigned ? A_ZERO_EXT : A_EXT);
    emit(p, t.bits);
}

static void emit_const(struct parser *p, uint64_t value)
{
    emit(p, A_CONST64);
    emit_be(p, value, 8);
}

/* A jump whose target is not known yet. Where its operand is. */
static size_t emit_jump(struct parser *p, unsigned op)
{
    emit(p, op);
    emit_be(p, 0, 2);
    return p->code.len - 2;
}

static void land(struct parser *p, size_t jump)
{
    p->code.data[jump] = (uint8_t)(p->code.len >> 8);
    p->code.data[jump + 1] = (uint8_t)p->code.len;
}

static void generate(struct parser *p, unsigned n);

/* && and ||: the right one is not asked where the left one decides. */
static void generate_logical(struct parser *p, const struct node *node)
{
    size_t decided, end;

    generate(p, node->left);
    if (node->op == OP_AND_ALSO)
        emit(p, A_LOG_NOT);
    decided = emit_jump(p, A_IF_GOTO);
    generate(p, node->right);
    emit(p, A_LOG_NOT);
    emit(p, A_LOG_NOT);
    end = emit_jump(p, A_GOTO);
    land(p, decided);
    emit(p, A_CONST8);
    emit(p, node->op == OP_OR_ELSE);
    land(p, end);
}

static void generate_comparison(struct parser *p, unsigned op, bool is_unsigned)
{
    unsigned less = is_unsigned ? A_LESS_UNSIGNED : A_LESS_SIGNED;

    if (op == OP_EQ || op == OP_NE) {
        emit(p, A_EQUAL);
    } else {
        if (op == OP_GT || op == OP_LE)
            emit(p, A_SWAP);
        emit(p, less);
    }
    if (op == OP_NE || op == OP_LE || op == OP_GE)
        emit(p, A_LOG_NOT);
}

static void generate_binary(struct parser *p, const struct node *node)
{
    static const uint8_t plain[OP_COUNT] = {[OP_BIT_OR] = A_OR, [OP_BIT_XOR] = A_XOR, [OP_BIT_AND] = A_AND, [OP_LSHIFT] = A_LSH,
                                            [OP_PLUS] = A_ADD, [OP_MINUS] = A_SUB, [OP_TIMES] = A_MUL};
    struct type t = common(p->nodes[node->left].type, p->nodes[node->right].type);
    bool shift = node->op == OP_LSHIFT || node->op == OP_RSHIFT;

    if (node->op == OP_OR_ELSE || node->op == OP_AND_ALSO) {
        generate_logical(p, node);
        return;
    }
    if (shift)
        t = node->type;
    generate(p, node->left);
    emit_cut(p, t);
    generate(p, node->right);
    if (!shift)
        emit_cut(p, t);
    if (node->op >= OP_EQ && node->op <= OP_GT) {
        generate_comparison(p, node->op, t.is_unsigned);
        return;
    }
    if (node->op == OP_RSHIFT)
        emit(p, t.is_unsigned ? A_RSH_UNSIGNED : A_RSH_SIGNED);
    else if (node->op == OP_DIVIDE)
        emit(p, t.is_unsigned ? A_DIV_UNSIGNED : A_DIV_SIGNED);
    else if (node->op == OP_MODULO)
        emit(p, t.is_unsigned ? A_REM_UNSIGNED : A_REM_SIGNED);
    else
        emit(p, plain[node->op]);
    emit_cut(p, node->type);
}

static void generate_unary(struct parser *p, const struct node *node)
{
    if (node->op == '-')
        emit_const(p, 0);
    generate(p, node->left);
    if (node->op == '!')
        emit(p, A_LOG_NOT);
    else
        emit(p, node->op == '-' ? A_SUB : A_NOT);
    emit_cut(p, node->type);
}

static void generate_register(struct parser *p, const struct node *node)
{
    emit(p, A_REG);
    emit_be(p, node->op, 2);
    if (node->shift) {
        emit(p, A_CONST8);
        emit(p, node->shift);
        emit(p, A_RSH_UNSIGNED);
    }
    emit_cut(p, node->type);
}

/* Leaves the value on the stack, as wide and signed as its type says. */
static void generate(struct parser *p, unsigned n)
{
    const struct node *node = &p->nodes[n];

    switch (node->kind) {
    case NODE_CONST:
        emit_const(p, node->value);
        break;
    case NODE_REG:
        generate_register(p, node);
        break;
    case NODE_UNARY:
        generate_unary(p, node);
        break;
    case NODE_BINARY:
        generate_binary(p, node);
        break;
    case NODE_CAST:
        generate(p, node->left);
        emit_cut(p, node->type);
        break;
    case NODE_LOAD:
        generate(p, node->left);
        emit_cut(p, (struct type){pointer_bits(p), true});
        emit(p, A_REF8 + (node->type.bits == 8 ? 0u : node->type.bits == 16 ? 1u : node->type.bits == 32 ? 2u : 3u));
        emit_cut(p, node->type);
        break;
    }
}

int expression_compile(const char *text, const struct rsp_target_info *info, struct agent_expr *e, struct error *err)
{
    struct parser *p = xcalloc(1, sizeof(*p));
    unsigned root;
    int r;

    p->text = p->at = text;
    p->info = info;
    p->err = err;
    buffer_init(&p->code);
    root = parse_level(p, 1);
    skip(p);
    if (!p->failed && *p->at)
        fail(p, "an operator is expected");
    if (!p->failed) {
        generate(p, root);
        emit(p, A_END);
    }
    r = p->failed ? -EINVAL : agent_init(e, p->code.data, p->code.len, info->nregs, err);
    buffer_finish(&p->code);
    free(p);
    return r;
}
