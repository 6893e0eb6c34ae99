/*
 * lldb's dialect (lldb documentation, "GDB Remote Protocol Extensions").
 *
 * Not offered: memory allocation in the guest (_M, _m), file and platform
 * packets, saving and restoring of registers; lldb does without.
 */
#include "rsp/session.h"

#include <string.h>

static bool offers_regions(const struct rsp_session *s)
{
    return s->ops->memory_region != NULL;
}

static enum rsp_verdict on_thread_suffix(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    s->thread_suffix = true;
    s->xml_name[0] = '\0'; /* the target description says more from now on */
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_threads_in_stop(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    s->threads_in_stop = true;
    return rsp_reply_ok(s);
}

static enum rsp_verdict on_error_strings(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    s->lldb_errors = true;
    return rsp_reply_ok(s);
}

static void put_host(struct rsp_session *s)
{
    buffer_printf(&s->reply, "triple:");
    rsp_put_hex(&s->reply, s->info->triple, strlen(s->info->triple));
    buffer_printf(&s->reply, ";endian:little;ptrsize:%u;", s->info->pointer_bytes);
}

static enum rsp_verdict on_host_info(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    put_host(s);
    buffer_printf(&s->reply, "watchpoint_exceptions_received:%s;", s->info->watch_before ? "before" : "after");
    return RSP_ANSWER;
}

/* How many there can be: as many as anybody wants. */
static enum rsp_verdict on_watchpoint_support(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    return rsp_reply_text(s, "num:64;");
}

static enum rsp_verdict on_process_info(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    if (s->gone)
        return rsp_reply_error(s, ESRCH, "no process");
    buffer_printf(&s->reply, "pid:1;");
    put_host(s);
    return RSP_ANSWER;
}

static enum rsp_verdict on_server_version(struct rsp_session *s, struct rsp_request *r)
{
    (void)r;
    buffer_printf(&s->reply, "name:hindcast;version:%s;", s->info->version);
    return RSP_ANSWER;
}

static enum rsp_verdict on_echo(struct rsp_session *s, struct rsp_request *r)
{
    buffer_printf(&s->reply, "qEcho:");
    buffer_append(&s->reply, r->p, (size_t)(r->end - r->p));
    return RSP_ANSWER;
}

/* ---- registers ---- */

static const char *register_set(const struct rsp_reg *reg)
{
    if (!reg->group || strcmp(reg->group, "general") == 0)
        return "General Purpose Registers";
    if (strcmp(reg->group, "float") == 0)
        return "Floating Point Registers";
    if (strcmp(reg->group, "vector") == 0)
        return "Vector Registers";
    return "System Registers";
}

static const char *encoding(const struct rsp_reg *reg)
{
    if (reg->bits > 64 && reg->bits != 80)
        return "encoding:vector;format:vector-uint8;";
    if (reg->bits == 80)
        return "encoding:ieee754;format:float;";
    return "encoding:uint;format:hex;";
}

static enum rsp_verdict on_register_info(struct rsp_session *s, struct rsp_request *r)
{
    const struct rsp_target_info *info = s->info;
    uint64_t n, offset = 0;

    if (!rsp_take_hex(r, &n) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (n >= info->nregs)
        return rsp_reply_text(s, "E45"); /* the documented end of the list */
    for (unsigned i = 0; i < n; i++)
        offset += info->regs[i].bits / 8;
    buffer_printf(&s->reply, "name:%s;bitsize:%u;offset:%u;%sset:%s;", info->regs[n].name, info->regs[n].bits,
                  (unsigned)offset, encoding(&info->regs[n]), register_set(&info->regs[n]));
    if (rsp_dwarf_number(info, (unsigned)n) >= 0)
        buffer_printf(&s->reply, "ehframe:%d;dwarf:%d;", rsp_dwarf_number(info, (unsigned)n),
                      rsp_dwarf_number(info, (unsigned)n));
    if (n == info->pc_reg)
        buffer_printf(&s->reply, "generic:pc;");
    else if (n == info->sp_reg)
        buffer_printf(&s->reply, "generic:sp;");
    else if (n == info->fp_reg)
        buffer_printf(&s->reply, "generic:fp;");
    else if (n == info->flags_reg)
        buffer_printf(&s->reply, "generic:flags;");
    return RSP_ANSWER;
}

/* ---- threads ---- */

static enum rsp_verdict on_thread_stop_info(struct rsp_session *s, struct rsp_request *r)
{
    unsigned thread;

    if (!rsp_take_thread(s, r, &thread) || !rsp_at_end(r))
        return rsp_reply_error(s, ESRCH, "no such thread");
    if (thread == RSP_ANY_THREAD || thread == s->stop.thread)
        return rsp_reply_stop(s);
    /* The others stand because that one stopped. */
    buffer_printf(&s->reply, "T00thread:%x;", thread + 1);
    return RSP_ANSWER;
}

static void put_json_register(struct rsp_session *s, unsigned n, bool *first)
{
    if (n >= s->info->nregs)
        return;
    buffer_printf(&s->reply, "%s\"%u\":\"", *first ? "" : ",", n);
    rsp_put_register(s, &s->reply, n);
    buffer_printf(&s->reply, "\"");
    *first = false;
}

/* Why the thread that stopped did; the others stand because it did. */
static void put_json_reason(struct rsp_session *s)
{
    struct buffer description;

    buffer_init(&description);
    buffer_printf(&s->reply, "\"reason\":\"%s\",\"signal\":%u,", rsp_lldb_reason(s, &description), rsp_stop_signal(s));
    if (description.len)
        buffer_printf(&s->reply, "\"description\":\"%.*s\",", (int)description.len, (const char *)description.data);
    buffer_finish(&description);
}

static enum rsp_verdict on_json_threads(struct rsp_session *s, struct rsp_request *r)
{
    unsigned selected = s->thread;

    (void)r;
    if (s->gone)
        return rsp_reply_text(s, "[]");
    for (unsigned i = 0; i < s->info->nthreads; i++) {
        bool first = true;

        rsp_select_thread(s, i);
        buffer_printf(&s->reply, "%s{\"tid\":%u,\"name\":\"%s%u\",", i ? "," : "[", i + 1, s->info->cpu_name, i);
        if (i == s->stop.thread)
            put_json_reason(s);
        buffer_printf(&s->reply, "\"registers\":{");
        put_json_register(s, s->info->pc_reg, &first);
        put_json_register(s, s->info->sp_reg, &first);
        put_json_register(s, s->info->fp_reg, &first);
        buffer_printf(&s->reply, "}}");
    }
    buffer_append_byte(&s->reply, ']');
    rsp_select_thread(s, selected);
    return RSP_ANSWER;
}

/* ---- memory ---- */

static enum rsp_verdict on_region(struct rsp_session *s, struct rsp_request *r)
{
    struct rsp_memory_region region = {0};
    uint64_t addr;

    if (!rsp_take_hex(r, &addr) || !rsp_at_end(r))
        return rsp_reply_malformed(s);
    if (addr > rsp_address_mask(s))
        return rsp_reply_error(s, EINVAL, "beyond the address space");
    s->ops->memory_region(s->ctx, addr, &region);
    buffer_printf(&s->reply, "start:%" PRIx64 ";size:%" PRIx64 ";", region.start, region.len);
    if (!region.mapped) /* no "permissions" key: nothing is mapped there */
        return RSP_ANSWER;
    buffer_printf(&s->reply, "permissions:%s%s%s;", region.read ? "r" : "", region.write ? "w" : "",
                  region.exec ? "x" : "");
    if (region.name) {
        buffer_printf(&s->reply, "name:");
        rsp_put_hex(&s->reply, region.name, strlen(region.name));
        buffer_printf(&s->reply, ";");
    }
    return RSP_ANSWER;
}

#define EXACT true, false
#define HEAD  false, false

const struct rsp_rule rsp_lldb_rules[] = {
    {"QThreadSuffixSupported", on_thread_suffix, EXACT, NULL},
    {"QListThreadsInStopReply", on_threads_in_stop, EXACT, NULL},
    {"QEnableErrorStrings", on_error_strings, EXACT, NULL},
    {"qHostInfo", on_host_info, EXACT, NULL},
    {"qProcessInfo", on_process_info, EXACT, NULL},
    {"qWatchpointSupportInfo:", on_watchpoint_support, EXACT, NULL},
    {"qGDBServerVersion", on_server_version, EXACT, NULL},
    {"qEcho:", on_echo, HEAD, NULL},
    {"qRegisterInfo", on_register_info, HEAD, NULL},
    {"qThreadStopInfo", on_thread_stop_info, HEAD, NULL},
    {"jThreadsInfo", on_json_threads, EXACT, NULL},
    {"qMemoryRegionInfo:", on_region, HEAD, offers_regions},
    {NULL, NULL, false, false, NULL},
};
