/*
 * The documents behind qXfer: target description, memory map, thread list.
 *
 * gdb manual, "Target Description Format", "Memory Map Format", "Thread List
 * Format"; lldb's attributes for registers: lldb's "GDB Remote Protocol
 * Extensions". The register layout is fixed, whatever mode the CPU is in.
 */
#include "rsp/session.h"

#include <string.h>

static void put_xml_text(struct buffer *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '<':
            buffer_append(out, "&lt;", 4);
            break;
        case '>':
            buffer_append(out, "&gt;", 4);
            break;
        case '&':
            buffer_append(out, "&amp;", 5);
            break;
        case '"':
            buffer_append(out, "&quot;", 6);
            break;
        default:
            if ((unsigned char)text[i] >= ' ' && text[i] != 0x7f)
                buffer_append_byte(out, (uint8_t)text[i]);
            break;
        }
    }
}

static const char *generic_name(const struct rsp_target_info *info, unsigned n)
{
    if (n == info->pc_reg)
        return "pc";
    if (n == info->sp_reg)
        return "sp";
    if (n == info->fp_reg)
        return "fp";
    if (n == info->flags_reg)
        return "flags";
    return NULL;
}

int rsp_dwarf_number(const struct rsp_target_info *info, unsigned n)
{
    if (info->regs[n].dwarf)
        return info->regs[n].dwarf - 1;
    return n <= info->pc_reg ? (int)n : -1;
}

static void put_register(struct rsp_session *s, struct buffer *out, unsigned n)
{
    const struct rsp_reg *reg = &s->info->regs[n];
    const char *generic = generic_name(s->info, n);

    buffer_printf(out, "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%u\"", reg->name, reg->bits, n);
    if (reg->type)
        buffer_printf(out, " type=\"%s\"", reg->type);
    if (reg->group)
        buffer_printf(out, " group=\"%s\"", reg->group);
    if (reg->no_save)
        buffer_printf(out, " save-restore=\"no\"");
    if (s->thread_suffix && generic)
        buffer_printf(out, " generic=\"%s\"", generic);
    if (s->thread_suffix && rsp_dwarf_number(s->info, n) >= 0)
        buffer_printf(out, " ehframe_regnum=\"%d\" dwarf_regnum=\"%d\"", rsp_dwarf_number(s->info, n),
                      rsp_dwarf_number(s->info, n));
    buffer_printf(out, "/>\n");
}

static bool starts_feature(const struct rsp_target_info *info, unsigned n)
{
    return n == 0 || strcmp(info->regs[n].feature, info->regs[n - 1].feature) != 0;
}

/* An element on each line: gdb writes the description into trace files, and does not read lines of 1000 characters there. */
static void put_types(struct buffer *out, const char *types)
{
    for (const char *c = types; *c; c++) {
        buffer_append_byte(out, (uint8_t)*c);
        if (*c == '>' && c[1] == '<')
            buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, '\n');
}

void rsp_make_target_xml(struct rsp_session *s, struct buffer *out)
{
    const struct rsp_target_info *info = s->info;

    buffer_printf(out,
                  "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                  "<target version=\"1.0\">\n<architecture>%s</architecture>\n",
                  info->arch);
    for (unsigned n = 0; n < info->nregs; n++) {
        if (starts_feature(info, n)) {
            const char *types = NULL;

            if (s->ops->feature_types)
                types = s->ops->feature_types(s->ctx, info->regs[n].feature);
            buffer_printf(out, "%s<feature name=\"%s\">\n", n ? "</feature>\n" : "", info->regs[n].feature);
            if (types)
                put_types(out, types);
        }
        put_register(s, out, n);
    }
    buffer_printf(out, "</feature>\n</target>\n");
}

void rsp_make_memory_map(struct rsp_session *s, struct buffer *out)
{
    unsigned count = 0;
    const struct rsp_memory_area *areas = s->ops->memory_map(s->ctx, &count);

    buffer_printf(out, "<?xml version=\"1.0\"?>\n"
                       "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
                       "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n<memory-map>\n");
    for (unsigned i = 0; i < count; i++)
        buffer_printf(out, "<memory type=\"%s\" start=\"0x%" PRIx64 "\" length=\"0x%" PRIx64 "\"/>\n",
                      areas[i].kind == RSP_MEMORY_ROM ? "rom" : "ram", areas[i].start, areas[i].len);
    buffer_printf(out, "</memory-map>\n");
}

void rsp_make_threads(struct rsp_session *s, struct buffer *out)
{
    unsigned selected = s->thread;
    struct buffer text;

    buffer_printf(out, "<?xml version=\"1.0\"?>\n<threads>\n");
    for (unsigned i = 0; i < s->info->nthreads && !s->gone; i++) {
        buffer_init(&text);
        rsp_select_thread(s, i);
        if (s->ops->describe_cpu)
            s->ops->describe_cpu(s->ctx, &text);
        buffer_printf(out, "<thread id=\"%x\" core=\"%u\" name=\"%s%u\">", i + 1, i, s->info->cpu_name, i);
        put_xml_text(out, (const char *)text.data, text.len);
        buffer_printf(out, "</thread>\n");
        buffer_finish(&text);
    }
    rsp_select_thread(s, selected);
    buffer_printf(out, "</threads>\n");
}
