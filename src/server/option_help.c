/*
 * What --help prints: the table of options as text of 80 columns.
 */
#include "option_table.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"

#define WIDTH  79u
#define INDENT 24u /* where the help of an option begins */

static const char *const section_titles[] = {
    [SECTION_GUEST] = "Guest:",
    [SECTION_DEBUGGER] = "Debugger:",
    [SECTION_RECORDINGS] = "Recordings:",
    [SECTION_OTHERS] = NULL,
};

/* The same text with the CPU models in it; NUL-terminated. */
static void fill_in(struct buffer *out, const char *text, const char *pc_models, const char *virt_models)
{
    while (*text) {
        if (!strncmp(text, "{pc}", 4)) {
            buffer_printf(out, "%s", pc_models);
            text += 4;
        } else if (!strncmp(text, "{virt}", 6)) {
            buffer_printf(out, "%s", virt_models);
            text += 6;
        } else {
            buffer_append_byte(out, (uint8_t)*text++);
        }
    }
    buffer_append_byte(out, 0);
}

/* Words between `column` and WIDTH, the lines after the first from INDENT on. */
static void print_wrapped(const char *text, size_t column)
{
    for (bool first = true; *text; first = false) {
        size_t len = strcspn(text, " ");

        if (!first && column + 1 + len > WIDTH) {
            printf("\n%*s", (int)INDENT, "");
            column = INDENT;
        } else if (!first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)len, text);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(const struct option_row *row, const char *pc_models, const char *virt_models)
{
    struct buffer names, help;

    buffer_init(&names);
    buffer_init(&help);
    if (row->alias)
        buffer_printf(&names, "  -%s, --%s", row->alias, row->name);
    else
        buffer_printf(&names, "%s%s", strlen(row->name) == 1 ? "  -" : "      --", row->name);
    if (row->argument)
        buffer_printf(&names, " %s", row->argument);
    printf("%.*s", (int)names.len, (const char *)names.data);
    if (names.len + 2 > INDENT)
        printf("\n%*s", (int)INDENT, "");
    else
        printf("%*s", (int)(INDENT - names.len), "");
    fill_in(&help, row->help, pc_models, virt_models);
    print_wrapped((const char *)help.data, INDENT);
    buffer_finish(&names);
    buffer_finish(&help);
}

static void print_section(enum option_section section, const char *pc_models, const char *virt_models)
{
    if (section_titles[section])
        printf("\n%s\n", section_titles[section]);
    else
        putchar('\n');
    for (const struct option_row *row = option_table; row->name; row++)
        if (row->section == section && row->help)
            print_option(row, pc_models, virt_models);
}

void options_print_help(const char *pc_models, const char *virt_models)
{
    printf("Usage: hindcast [OPTION...] KERNEL\n"
           "       hindcast --replay RECORDING [OPTION...]\n"
           "       hindcast info RECORDING      what a recording holds\n"
           "       hindcast verify RECORDING    replay it without a debugger, comparing the\n"
           "                        state with every recorded hash\n"
           "Boot an i386, x86-64 or aarch64 guest that gdb can run both ways.\n"
           "\n"
           "The guest waits at its first instruction until gdb attaches\n"
           "(target remote :1234). Options may be written with one dash or two, and\n"
           "shortened.\n");
    for (enum option_section s = SECTION_GUEST; s <= SECTION_OTHERS; s++)
        print_section(s, pc_models, virt_models);
    printf("\n"
           "In gdb: reverse-continue, reverse-step, reverse-finish..., and monitor help.\n"
           "Exit status: 0 normal end; 1 unusable option, file or address; with --run\n"
           "--listen none, what the guest's end says (0 power-off, the debug-exit or\n"
           "semihosting status, 3 anything else).\n");
}
