/*
 * The words that all queries take, their conditions, and the lines that they answer in. See server_query.h.
 *
 *   from POS, to POS      the stretch; else all of history
 *   oldest first          (the default), newest first
 *   limit N               no more than N answers
 *   threads N             no more than N at work
 *   --json                an object on each line
 *   regparm               i386: functions take their arguments in EAX, EDX, ECX
 *   if CONDITION          what follows is one (rsp/expression.h)
 *
 * A line is sent as soon as it is known. A debugger that does not read holds its own query up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "rsp/expression.h"
#include "server_query.h"

#define RECEIVER_LAG ((size_t)1 << 16) /* bytes that the debugger has not read: wait for it */
#define NUMBER_MAX 32u

/* ---- words ---- */

static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " \t"), *end;

    if (!*word)
        return NULL;
    end = word + strcspn(word, " \t");
    *line = *end ? end + 1 : end;
    *end = 0;
    return word;
}

static int needs(const char *word, const char *what, struct error *err)
{
    return error_set(err, -EINVAL, "%s needs %s", word, what);
}

int asked_position(const struct asked *a, const char *word, icount_t *position, struct error *err)
{
    if (rsp_parse_position(a->call->session, word, position))
        return 0;
    return error_set(err, -EINVAL, "'%s' is no position of this history: a number, start, end, +N or -N", word);
}

static int number_of(const char *word, const char *what, uint64_t *value, struct error *err)
{
    char *end;

    errno = 0;
    *value = strtoull(word, &end, 0);
    if (*end || errno || *word < '0' || *word > '9')
        return error_set(err, -EINVAL, "'%s' is no %s", word, what);
    return 0;
}

int asked_number(const struct asked *a, unsigned n, const char *what, uint64_t *value, struct error *err)
{
    return number_of(a->words[n], what, value, err);
}

/* What follows "if". */
static int take_condition(struct asked *a, const char *text, struct error *err)
{
    int r = expression_compile(text, &a->s->info, &a->condition, err);

    a->conditional = r == 0;
    return r;
}

static const char *const common[] = {"from", "to", "limit", "threads", "newest", "oldest"};

/* Is it one of these that was there before? (The two orders are one.) */
static bool said_again(struct asked *a, const char *word)
{
    unsigned n = 0, bit;

    while (n < ARRAY_LEN(common) && strcmp(word, common[n]) != 0)
        n++;
    if (n == ARRAY_LEN(common))
        return false;
    bit = 1u << (n == 5 ? 4 : n);
    if (a->said & bit)
        return true;
    a->said |= bit;
    return false;
}

/* A word that all queries know, with what belongs to it. 1: it was none. */
static int take_common(struct asked *a, const char *word, char **line, struct error *err)
{
    icount_t *position = !strcmp(word, "from") ? &a->from : !strcmp(word, "to") ? &a->to : NULL;
    const char *value;
    char *peek = *line;

    if (said_again(a, word))
        return error_set(err, -EINVAL, "'%s' is said twice", word);
    if (position) {
        value = next_word(line);
        return value ? asked_position(a, value, position, err) : needs(word, "a position", err);
    }
    if (!strcmp(word, "limit")) {
        value = next_word(line);
        if (!value || number_of(value, "number", &a->limit, err) < 0 || !a->limit)
            return needs(word, "a number of answers, 1 or more", err);
        return 0;
    }
    if (!strcmp(word, "threads")) {
        value = next_word(line);
        if (!value || number_of(value, "number", &a->threads, err) < 0 || !a->threads || a->threads > UINT16_MAX)
            return error_set(err, -EINVAL, "%s needs a number from 1 to %u", word, (unsigned)UINT16_MAX);
        return 0;
    }
    if (!strcmp(word, "newest") || !strcmp(word, "oldest")) {
        a->newest = *word == 'n';
        value = next_word(&peek);
        if (value && !strcmp(value, "first"))
            *line = peek;
        else if (value)
            (*line)[strlen(*line)] = ' '; /* not ours: undo the cut */
        return 0;
    }
    if (!strcmp(word, "--json"))
        a->json = true;
    else if (!strcmp(word, "regparm"))
        a->registers = true;
    else
        return 1;
    return 0;
}

static int take_words(struct asked *a, unsigned most, struct error *err)
{
    char *line = a->line, *word;

    while ((word = next_word(&line))) {
        int r;

        if (!strcmp(word, "if"))
            return take_condition(a, line, err);
        r = take_common(a, word, &line, err);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        if (a->nwords == most)
            return error_set(err, -EINVAL, "'%s' means nothing here; help %s says what does", word, a->call->command->name);
        a->words[a->nwords++] = word;
    }
    return 0;
}

int asked_init(struct asked *a, struct rsp_monitor_call *call, unsigned least, unsigned most, struct error *err)
{
    int r;

    *a = (struct asked){.s = call->ctx, .call = call, .to = ICOUNT_MAX};
    a->line = xstrdup(call->argc ? call->argv[0].text : "");
    buffer_init(&a->text);
    r = take_words(a, most, err);
    if (r == 0 && a->nwords < least)
        r = error_set(err, -EINVAL, "an argument is missing; help %s says which", call->command->name);
    if (r == 0 && a->from > a->to)
        r = error_set(err, -EINVAL, "position %" PRIu64 " is after %" PRIu64, a->from, a->to);
    return r;
}

void asked_finish(struct asked *a)
{
    if (a->conditional)
        agent_finish(&a->condition);
    buffer_finish(&a->text);
    free(a->line);
}

/* ---- conditions ---- */

struct view {
    const struct machine *m;
    const struct cpu *cpu;
};

static bool view_register(void *ctx, unsigned n, uint64_t *value)
{
    const struct view *v = ctx;
    uint8_t bytes[RSP_MAX_REG_BYTES] = {0};

    v->cpu->ops->read_reg(v->cpu, n, bytes);
    memcpy(value, bytes, sizeof(*value));
    return true;
}

static bool view_memory(void *ctx, uint64_t addr, void *buf, size_t len)
{
    const struct view *v = ctx;

    return server_read_memory(v->m, v->cpu, false, addr, buf, len) == len;
}

bool asked_holds(const struct asked *a, const struct machine *m, unsigned cpu)
{
    struct view v = {m, m->cpus[cpu]};
    const struct agent_env env = {.ctx = &v, .read_register = view_register, .read_memory = view_memory,
                                  .long_bits = m->cpus[cpu]->ops->address_bits};
    struct error err = {0};
    uint64_t value;

    return !a->conditional || (agent_eval(&a->condition, &env, &value, &err) == 0 && value);
}

uint64_t asked_register(const struct cpu *cpu, const char *name)
{
    for (unsigned i = 0; i < cpu->ops->nregs; i++) {
        const struct reg_desc *r = &cpu->ops->regs[i];
        /* By i386's names also where registers are wider. */
        bool wide = name[0] == 'e' && r->name[0] == 'r' && strlen(name) == 3 && !strcmp(name + 1, r->name + 1);

        if (!strcmp(r->name, name) || wide) {
            struct view v = {cpu->machine, cpu};
            uint64_t value;

            view_register(&v, i, &value);
            if (wide)
                value &= UINT32_MAX;
            return value;
        }
    }
    return 0;
}

/* ---- lines ---- */

static void begin_field(struct asked *a, const char *name)
{
    const char *before = a->json ? a->nfields ? ", " : "{" : a->nfields ? " " : "";

    a->nfields++;
    buffer_printf(&a->text, a->json ? "%s\"%s\": " : "%s%s=", before, name);
}

void line_decimal(struct asked *a, const char *name, uint64_t value)
{
    begin_field(a, name);
    buffer_printf(&a->text, "%" PRIu64, value);
}

void line_hex(struct asked *a, const char *name, uint64_t value)
{
    begin_field(a, name);
    buffer_printf(&a->text, a->json ? "\"0x%" PRIx64 "\"" : "0x%" PRIx64, value);
}

/* Bytes of the character that begins there; 0: it is none of UTF-8 (RFC 3629). */
static size_t character_len(const uint8_t *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return n;
}

/* A string (RFC 8259); what is no UTF-8 is shown as Latin-1 would be. */
static void put_json_string(struct buffer *out, const char *text)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t n;

    buffer_append_byte(out, '"');
    for (; *p; p += n ? n : 1) {
        n = character_len(p);
        if (!n || *p < ' ' || *p == 0x7f)
            buffer_printf(out, "\\u%04x", *p);
        else if (*p == '"' || *p == '\\')
            buffer_printf(out, "\\%c", *p);
        else
            buffer_append(out, p, n);
    }
    buffer_append_byte(out, '"');
}

void line_word(struct asked *a, const char *name, const char *value)
{
    begin_field(a, name);
    if (a->json) {
        put_json_string(&a->text, value);
        return;
    }
    for (; *value; value++)
        buffer_append_byte(&a->text, (uint8_t)(*value == '"' || *value == '\\' || (uint8_t)*value < ' ' ? '_' : *value == ' ' ? '-' : *value));
}

void line_bytes(struct asked *a, const char *name, const uint8_t *bytes, size_t len)
{
    uint64_t value = 0;

    if (len == 1 || len == 2 || len == 4 || len == 8) {
        memcpy(&value, bytes, len);
        line_hex(a, name, value);
        return;
    }
    begin_field(a, name);
    buffer_printf(&a->text, a->json ? "\"" : "");
    for (size_t i = 0; i < len; i++)
        buffer_printf(&a->text, "%02x", bytes[i]);
    buffer_printf(&a->text, a->json ? "\"" : "");
}

static bool over(const struct server *s)
{
    return s->quit || s->client_lost || !s->session || rsp_interrupt_requested(s->session);
}

bool line_end(struct asked *a)
{
    struct server *s = a->s;

    buffer_printf(&a->text, a->json ? "}\n" : "\n");
    while (!over(s) && server_client_backlog(s) > RECEIVER_LAG)
        server_serve_client(s);
    if (s->session)
        rsp_console(s->session, (const char *)a->text.data, a->text.len);
    buffer_clear(&a->text);
    a->nfields = 0;
    return !over(s);
}

/* ---- asking ---- */

static void on_progress(void *ctx, uint64_t done, uint64_t all)
{
    server_show_search(((struct asked *)ctx)->s, done, all);
}

int asked_run(struct asked *a, struct query *query, struct query_result *result, struct error *err)
{
    int r;

    query->from = a->from;
    query->to = a->to;
    query->newest_first = a->newest;
    query->limit = a->limit;
    query->threads = (unsigned)a->threads;
    query->ctx = a;
    query->progress = on_progress;
    server_begin_search(a->s);
    r = timeline_query(a->s->timeline, query, result, err);
    server_end_search(a->s);
    if (r == 0 && over(a->s))
        result->end = QUERY_INTERRUPTED;
    return r;
}

void asked_tell_end(struct asked *a, const char *what, const struct query_result *result)
{
    static const char *const ends[] = {[QUERY_ALL] = "all", [QUERY_ENOUGH] = "limit", [QUERY_INTERRUPTED] = "interrupted"};

    line_word(a, "end", ends[result->end]);
    line_decimal(a, what, result->answers);
    line_decimal(a, "from", result->from);
    line_decimal(a, "to", result->to);
    line_end(a);
}

bool asked_note(void *ctx, struct machine *m, const struct trap_hit *hit, void *record)
{
    const struct asked *a = ctx;
    const struct cpu *cpu = m->cpus[hit->cpu];
    struct noted *n = record;
    size_t len = hit->len < TRAP_BYTES ? hit->len : TRAP_BYTES;

    if (!asked_holds(a, m, hit->cpu))
        return false;
    n->hit = *hit;
    n->pc = hit->kind == TRAP_EXEC ? hit->address : hit->pc;
    n->sp = cpu->ops->sp_reg < cpu->ops->nregs ? asked_register(cpu, cpu->ops->regs[cpu->ops->sp_reg].name) : 0;
    if (hit->storage)
        memcpy(n->now, memory_page(&m->memory, (uint32_t)(hit->address >> PAGE_SHIFT)) + (hit->address & ~PAGE_MASK), len);
    else if (hit->kind & (TRAP_READ | TRAP_WRITE))
        server_read_memory(m, cpu, false, hit->address, n->now, len);
    return true;
}

/* ---- places ---- */

#define PLACE_MOST ((uint64_t)1 << 20)

static void add_trap(struct place *p, const struct trap *t, uint64_t called)
{
    p->traps = xrealloc(p->traps, (p->count + 1) * sizeof(p->traps[0]));
    p->called = xrealloc(p->called, (p->count + 1) * sizeof(p->called[0]));
    p->called[p->count] = called;
    p->traps[p->count++] = *t;
}

int place_find(struct place *p, const struct asked *a, const char *word, uint64_t len, unsigned kinds, struct error *err)
{
    const struct machine *m = a->s->machine;
    const struct cpu *cpu = m->cpus[a->s->cpu];
    int r;

    *p = (struct place){.len = len, .physical = !strncmp(word, "phys:", 5), .everywhere = !strncmp(word, "virt:", 5)};
    r = number_of(word + (p->physical || p->everywhere ? 5 : 0), "address", &p->address, err);
    if (r == 0 && p->everywhere && cpu->ops->address_bits < 64 && (p->address >> cpu->ops->address_bits || (p->address + len - 1) >> cpu->ops->address_bits))
        r = error_set(err, -EINVAL, "addresses of this CPU have %u bits", cpu->ops->address_bits);
    if (r == 0 && (!len || len > PLACE_MOST || p->address + (len - 1) < p->address))
        r = error_set(err, -EINVAL, "%" PRIu64 " bytes at 0x%" PRIx64 " cannot be looked for: 1 to %" PRIu64, len, p->address,
                      PLACE_MOST);
    if (r < 0)
        return r;
    if (p->everywhere) {
        add_trap(p, &(struct trap){.address = p->address, .len = len, .kinds = kinds}, p->address);
        return 0;
    }
    for (uint64_t at = p->address, left = len, n; left; at += n, left -= n) {
        uint32_t page = UINT32_MAX;
        paddr_t pa = at;

        n = PAGE_SIZE - (at & ~PAGE_MASK);
        n = n < left ? n : left;
        if (p->physical || cpu->ops->translate(cpu, at, &pa))
            page = memory_storage_of(&m->memory, pa);
        if (page == UINT32_MAX)
            return error_set(err, -EFAULT, "there is no memory at %s0x%" PRIx64 " here%s", p->physical ? "physical " : "", at,
                             p->physical ? "" : "; virt: looks for the address, whatever it is mapped to");
        add_trap(p, &(struct trap){.address = (uint64_t)page << PAGE_SHIFT | (pa & ~PAGE_MASK), .len = n, .kinds = kinds,
                                   .storage = true, .loads = kinds & TRAP_READ}, at);
    }
    return 0;
}

void place_done(struct place *p)
{
    free(p->traps);
    free(p->called);
}
