/*
 * Names of micro-ops, and their picture in logs.
 */
#include "vm/uop.h"

#include "base/buffer.h"

#include <inttypes.h>
#include <string.h>

const struct uop_info uop_infos[UOP_COUNT] = {
#define UOP(uname, uoperands, uattributes, ...) \
    [UOP_##uname] = {.name = #uname, .operands = (uoperands), .attributes = (uattributes)},
#include "vm/uop.def"
#undef UOP
};

static void print_operand(struct buffer *out, unsigned offset, const char *(*reg_name)(unsigned))
{
    const char *name = reg_name ? reg_name(offset) : NULL;

    if (name)
        buffer_printf(out, " %s", name);
    else
        buffer_printf(out, " [%u]", offset);
}

void uop_print(struct buffer *out, const struct uop *u, const char *(*reg_name)(unsigned offset))
{
    const struct uop_info *info;

    if (u->op >= UOP_COUNT) {
        buffer_printf(out, "? %u", u->op);
        return;
    }
    info = &uop_infos[u->op];
    buffer_printf(out, "%s", info->name);
    for (const char *p = info->operands; *p; p++) {
        switch (*p) {
        case 'd':
            print_operand(out, u->d, reg_name);
            break;
        case 'a':
            print_operand(out, u->a, reg_name);
            break;
        case 'n':
            buffer_printf(out, " cond %u", u->d);
            break;
        case 'b':
            /* where b is a condition, it is the only operand that reads flags */
            if (u->op == UOP_BR || u->op == UOP_SETCC || u->op == UOP_CMOV16 || u->op == UOP_CMOV32)
                buffer_printf(out, " cond %u", u->b);
            else
                print_operand(out, u->b, reg_name);
            break;
        case 'i':
            buffer_printf(out, " 0x%" PRIx32, u->imm);
            break;
        case 'x':
            buffer_printf(out, " aux 0x%" PRIx32, u->aux);
            break;
        case 'l':
            buffer_printf(out, " 0x%" PRIx64, u->imm64);
            break;
        default:
            break;
        }
    }
}
