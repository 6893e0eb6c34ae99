/*
 * Conditions in words as a person types them to gdb (`$rax == 5 && *(int*)0x1234 > 3`), compiled to agent
 * expressions, which the same evaluator runs as gdb's own conditions.
 *
 * What there is: numbers, characters, registers ($pc, $sp, $fp and by name; on x86 the parts of registers, on A64 $w0
 * to $w30), + - * / % << >> & | ^ ~ ! == != < <= > >= && || and parentheses, *(TYPE *) and {TYPE} for memory, casts to
 * integer types. TYPE: char, short, int, long, long long with signed or unsigned, int8_t to uint64_t. Arithmetic and
 * comparisons are C's, with long as wide as an address; registers are signed as gdb has them, but for addresses.
 * There are no symbols: the debugger has them.
 */
#ifndef HINDCAST_RSP_EXPRESSION_H
#define HINDCAST_RSP_EXPRESSION_H

#include "rsp/agent.h"
#include "rsp/target.h"

/* 0, or -EINVAL with *err, which says what was not understood, and where. The caller ends it by agent_finish(). */
int expression_compile(const char *text, const struct rsp_target_info *info, struct agent_expr *e, struct error *err);

#endif
