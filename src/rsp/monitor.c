/*
 * Monitor commands: `monitor LINE` in gdb, `process plugin packet monitor LINE`
 * in lldb (qRcmd). Parser, help, suggestions, and the commands that need nothing
 * but the session; the others are the target's (rsp_target_ops.monitor).
 *
 * To add a command: a row in `builtins` here, or in the server's table. The
 * forms of `args` are described at struct rsp_monitor_command.
 */
#include "rsp/session.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/guess.h"

/* ---- numbers and positions ---- */

static bool is_separator(const char *p)
{
    return *p == '_';
}

static bool scale_of(char c, uint64_t *scale)
{
    switch (c) {
    case 'k':
    case 'K':
        *scale = 1000;
        return true;
    case 'm':
    case 'M':
        *scale = 1000000;
        return true;
    case 'g':
    case 'G':
        *scale = 1000000000;
        return true;
    default:
        return false;
    }
}

/* 123, 0x7b, 1_000_000, 16k, 2M, 3G (powers of 1000 for decimal numbers: they count
 * instructions). */
bool rsp_parse_number(const char *text, uint64_t *value)
{
    unsigned base = 10, digits = 0;
    uint64_t v = 0, scale = 1;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    for (; *text; text++) {
        int d = rsp_hex_digit(*text);

        if (digits && is_separator(text) && rsp_hex_digit(text[1]) >= 0)
            continue;
        if (d < 0 || (unsigned)d >= base)
            break;
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
        digits++;
    }
    if (base == 10 && scale_of(*text, &scale))
        text++;
    if (!digits || *text || __builtin_mul_overflow(v, scale, &v))
        return false;
    *value = v;
    return true;
}

bool rsp_parse_position(struct rsp_session *s, const char *text, icount_t *position)
{
    icount_t first, now, last;
    uint64_t n;

    s->ops->positions(s->ctx, &first, &now, &last);
    if (strcmp(text, "start") == 0 || strcmp(text, "begin") == 0) {
        *position = first;
        return true;
    }
    if (strcmp(text, "end") == 0) {
        *position = last;
        return true;
    }
    if (*text == '+') {
        if (!rsp_parse_number(text + 1, &n) || n > ICOUNT_MAX - now)
            return false;
        *position = now + n;
        return true;
    }
    if (*text == '-') {
        if (!rsp_parse_number(text + 1, &n) || n > now - first)
            return false;
        *position = now - n;
        return true;
    }
    if (!rsp_parse_number(text, &n) || n < first)
        return false;
    *position = n;
    return true;
}

/* ---- built-in commands ---- */

static bool needs_seek(const struct rsp_session *s)
{
    return s->info->seek;
}

static const struct rsp_monitor_command *find_target_command(const struct rsp_session *s, const char *name)
{
    for (unsigned i = 0; i < s->ops->nmonitor; i++) {
        if (strcmp(s->ops->monitor[i].name, name) == 0)
            return &s->ops->monitor[i];
    }
    return NULL;
}

static bool needs_system_reset(const struct rsp_session *s)
{
    return find_target_command(s, "system_reset") != NULL;
}

static int run_help(struct rsp_monitor_call *call, struct error *err);

static int run_seek(struct rsp_monitor_call *call, struct error *err)
{
    icount_t position, first, here, last = ICOUNT_MAX;

    if (!rsp_parse_position(call->session, call->argv[0].text, &position))
        return error_set(err, -EINVAL, "%s is not a position of this history: a number, start, end, +N or -N",
                         call->argv[0].text);
    rsp_arm_seek(call->session, position);
    buffer_printf(call->out, "the next continue or reverse-continue goes to position %" PRIu64 "\n", position);
    if (call->session->ops->positions)
        call->session->ops->positions(call->session->ctx, &first, &here, &last);
    if (position > last)
        buffer_printf(call->out, "(that is %" PRIu64 " steps beyond the end of history, to which the guest is run)\n", position - last);
    return 0;
}

/* The guest always stands while a monitor command is carried out. */
static int run_stop(struct rsp_monitor_call *call, struct error *err)
{
    (void)call;
    (void)err;
    return 0;
}

/* What Cortex-Debug, CLion and OpenOCD scripts send. The guest stands at its first instruction after
 * any of them: only the client can let it run. */
static int run_reset(struct rsp_monitor_call *call, struct error *err)
{
    struct rsp_monitor_call reset = *call;

    reset.command = find_target_command(call->session, "system_reset");
    reset.argc = 0;
    return reset.command->run(&reset, err);
}

static int run_quit(struct rsp_monitor_call *call, struct error *err)
{
    (void)err;
    call->session->ended = RSP_KILLED;
    return 0;
}

#define DUMP_MOST 65536u /* units that xp shows at once */

/* /NFU of xp: count, format letter, unit. */
struct dump_format {
    uint64_t count;
    char letter;   /* x d u o c */
    unsigned unit; /* bytes: 1, 2, 4, 8 */
};

static bool parse_dump_format(const char *text, struct dump_format *f)
{
    static const char units[] = "bhwg";

    *f = (struct dump_format){.count = 1, .letter = 'x', .unit = 4};
    if (!*text)
        return true;
    text++; /* '/' */
    if (isdigit((unsigned char)*text)) {
        f->count = 0;
        for (; isdigit((unsigned char)*text); text++)
            if (f->count <= DUMP_MOST)
                f->count = f->count * 10 + (uint64_t)(*text - '0');
    }
    for (; *text; text++) {
        const char *unit = strchr(units, *text);

        if (unit)
            f->unit = 1u << (unit - units);
        else if (strchr("xduoc", *text))
            f->letter = *text;
        else
            return false;
    }
    return true;
}

static void put_unit(struct buffer *out, const struct dump_format *f, uint64_t value)
{
    unsigned drop = 64 - 8 * f->unit;

    switch (f->letter) {
    case 'd':
        buffer_printf(out, " %" PRId64, (int64_t)(value << drop) >> drop);
        break;
    case 'u':
        buffer_printf(out, " %" PRIu64, value);
        break;
    case 'o':
        buffer_printf(out, " 0%" PRIo64, value);
        break;
    case 'c':
        if (value >= ' ' && value <= '~')
            buffer_printf(out, " '%c'", (char)value);
        else
            buffer_printf(out, " '\\x%02x'", (unsigned)(value & 0xff));
        break;
    default:
        buffer_printf(out, " 0x%0*" PRIx64, (int)(2 * f->unit), value);
        break;
    }
}

/* One unit of memory or, if there is none, of a device; of ports. */
static int read_unit(const struct rsp_session *s, bool port, uint64_t addr, unsigned unit, uint64_t *value, struct error *err)
{
    *value = 0;
    if (!port && s->ops->read_memory(s->ctx, true, addr, value, unit) == unit)
        return 0;
    if (s->ops->read_device)
        return s->ops->read_device(s->ctx, port, addr, unit, value, err);
    return error_set(err, -EFAULT, "no %s 0x%" PRIx64, port ? "port" : "memory at physical address", addr);
}

static int show_units(struct rsp_monitor_call *call, bool port, struct error *err)
{
    uint64_t addr = call->argv[1].number;
    struct dump_format f;

    if (!parse_dump_format(call->argv[0].text, &f))
        return error_set(err, -EINVAL, "bad format %s: /NFU, N a count, F one of x d u o c, U one of b h w g",
                         call->argv[0].text);
    if (f.count < 1 || f.count > DUMP_MOST)
        return error_set(err, -EINVAL, "%s: the count is a number from 1 to %u", call->argv[0].text, DUMP_MOST);
    for (uint64_t i = 0; i < f.count; i++) {
        unsigned per_line = 16 / f.unit;
        uint64_t value;
        int r = read_unit(call->session, port, addr, f.unit, &value, err);

        if (r < 0) {
            if (i)
                buffer_append_byte(call->out, '\n');
            return r;
        }
        if (i % per_line == 0)
            buffer_printf(call->out, port ? "%s%04" PRIx64 ":" : "%s%016" PRIx64 ":", i ? "\n" : "", addr);
        put_unit(call->out, &f, value);
        addr += f.unit;
    }
    buffer_append_byte(call->out, '\n');
    return 0;
}

static int run_xp(struct rsp_monitor_call *call, struct error *err)
{
    return show_units(call, false, err);
}

static int run_i(struct rsp_monitor_call *call, struct error *err)
{
    return show_units(call, true, err);
}

static bool has_devices(const struct rsp_session *s)
{
    return s->ops->read_device != NULL;
}

static const struct builtin {
    struct rsp_monitor_command command;
    bool (*offered)(const struct rsp_session *s); /* NULL: always */
} builtins[] = {
    {{"help", "[TEXT...]", "List the commands, or explain one.", run_help}, NULL},
    {{"seek", "POSITION",
      "Make the next continue, forward or reverse, go to a position.\n"
      "POSITION is a number of steps since the first reset (1_000_000, 0x100, 5M), start, end,\n"
      "or +N or -N relative to here; seek time and seek cpu take others. gdb cannot be told that the registers changed by a monitor\n"
      "command: so this arms, and the next continue or reverse-continue goes there and stops.\n"
      "Under `target extended-remote`, `run POSITION` does it in one.",
      run_seek},
     needs_seek},
    {{"replay_seek", "POSITION", "Same as seek (QEMU's name).", run_seek}, needs_seek},
    {{"stop", "", "Nothing: the guest stands whenever the monitor is asked.", run_stop}, NULL},
    {{"halt", "", "Same as stop.", run_stop}, NULL},
    {{"reset", "[halt|init|run]",
      "Same as system_reset, by the names that IDEs use.\n"
      "The guest stands at its first instruction after each of the forms.",
      run_reset},
     needs_system_reset},
    {{"xp", "[/FMT] ADDRESS:n",
      "Show physical memory, and devices' registers as the CPU would read them now.\n"
      "/FMT is a count (65536 at most), a format letter of x d u o c, and a unit of b h w g (1, 2, 4, 8 bytes),\n"
      "as in xp/16xw 0x100000. A register is read in a copy of the machine: the guest's device has not been asked.",
      run_xp},
     NULL},
    {{"i", "[/FMT] PORT:n",
      "Show ports as the CPU would read them now.\n"
      "/FMT is that of xp, as in i/2xb 0x60. They are read in a copy of the machine: the guest's device has not been asked.",
      run_i},
     has_devices},
    {{"quit", "", "End hindcast.", run_quit}, NULL},
};

/* ---- the list of commands ---- */

static int compare_names(const void *a, const void *b)
{
    const struct rsp_monitor_command *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* All commands that are offered, by name. The caller frees the array. */
static const struct rsp_monitor_command **list_commands(const struct rsp_session *s, unsigned *count)
{
    const struct rsp_monitor_command **list = xcalloc(ARRAY_LEN(builtins) + s->ops->nmonitor, sizeof(*list));
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(builtins); i++) {
        const struct builtin *b = &builtins[i];

        if ((!b->offered || b->offered(s)) && !find_target_command(s, b->command.name))
            list[n++] = &b->command;
    }
    for (unsigned i = 0; i < s->ops->nmonitor; i++)
        list[n++] = &s->ops->monitor[i];
    qsort(list, n, sizeof(*list), compare_names);
    *count = n;
    return list;
}

static const char *skip_spaces(const char *p)
{
    while (isspace((unsigned char)*p))
        p++;
    return p;
}

static bool takes_format(const struct rsp_monitor_command *c)
{
    return c->args && strncmp(c->args, "[/", 2) == 0;
}

/* Does the line start with the command's words? Its rest then, else NULL. */
static const char *match_name(const struct rsp_monitor_command *c, const char *line)
{
    const char *name = c->name;

    while (*name) {
        if (*name == ' ') {
            if (!isspace((unsigned char)*line))
                return NULL;
            line = skip_spaces(line);
            name++;
        } else if (*name++ != *line++) {
            return NULL;
        }
    }
    if (!*line || isspace((unsigned char)*line) || (*line == '/' && takes_format(c)))
        return line;
    return NULL;
}

/* The command with the longest name that the line starts with. */
static const struct rsp_monitor_command *find_command(const struct rsp_session *s, const char *line,
                                                      const char **rest)
{
    const struct rsp_monitor_command *best = NULL;
    unsigned count;
    const struct rsp_monitor_command **list = list_commands(s, &count);

    for (unsigned i = 0; i < count; i++) {
        const char *r = match_name(list[i], line);

        if (r && (!best || strlen(list[i]->name) > strlen(best->name))) {
            best = list[i];
            *rest = r;
        }
    }
    free(list);
    return best;
}

/* ---- unknown commands ---- */

/* Length of the first `words` words of the line. */
static size_t leading_words(const char *line, unsigned words)
{
    const char *p = line, *end = line;

    while (words-- && *p) {
        p = skip_spaces(p);
        while (*p && !isspace((unsigned char)*p))
            p++;
        end = p;
    }
    return (size_t)(end - line);
}

static unsigned count_words(const char *name)
{
    unsigned n = 1;

    for (; *name; name++)
        n += *name == ' ';
    return n;
}

/* What the line may be short for: how many commands begin so, and in *names which. */
static unsigned continuations(const struct rsp_session *s, const char *line, struct buffer *names)
{
    unsigned count, found = 0;
    const struct rsp_monitor_command **list = list_commands(s, &count);
    size_t len = strlen(line);

    while (len && isspace((unsigned char)line[len - 1]))
        len--;
    for (unsigned i = 0; i < count; i++)
        if (!strncmp(list[i]->name, line, len))
            buffer_printf(names, "%s\"%s\"", found++ ? ", " : "", list[i]->name);
    buffer_append_byte(names, 0);
    free(list);
    return found;
}

/* Commands are not shortened; but who does it is told what for. */
static int shortened_command(struct rsp_session *s, const char *line, struct error *err)
{
    struct buffer names;
    int r = 0;

    buffer_init(&names);
    if (continuations(s, line, &names))
        r = error_set(err, -EINVAL, "commands are written out: \"%.40s\" may be %s", line, (const char *)names.data);
    buffer_finish(&names);
    return r;
}

static int misspelt_command(struct rsp_session *s, const char *line, struct error *err)
{
    unsigned count, nearest = UINT32_MAX;
    const struct rsp_monitor_command **list = list_commands(s, &count), *best = NULL;
    size_t shown = leading_words(line, 2);

    for (unsigned i = 0; i < count; i++) {
        size_t n = leading_words(line, count_words(list[i]->name));
        unsigned d = guess_distance(line, n, list[i]->name, strlen(list[i]->name));

        if (d < nearest && guess_is_near(d, n)) {
            nearest = d;
            best = list[i];
        }
    }
    free(list);
    if (shown > 40)
        shown = 40;
    if (best)
        return error_set(err, -EINVAL, "unknown command \"%.*s\"; the nearest is \"%s\"; \"help\" lists all",
                         (int)shown, line, best->name);
    return error_set(err, -EINVAL, "unknown command \"%.*s\"; \"help\" lists all", (int)shown, line);
}

/* A word of another monitor: the longest that the line begins with. */
static int foreign_command(struct rsp_session *s, const char *line, struct error *err)
{
    const struct rsp_monitor_word *best = NULL;

    for (unsigned i = 0; i < s->ops->nwords; i++) {
        const struct rsp_monitor_command c = {.name = s->ops->words[i].name, .args = "[/FMT]"};

        if (match_name(&c, line) && (!best || strlen(c.name) > strlen(best->name)))
            best = &s->ops->words[i];
    }
    return best ? error_set(err, -EINVAL, "there is no \"%s\" here: %s", best->name, best->here) : 0;
}

static int unknown_command(struct rsp_session *s, const char *line, struct error *err)
{
    int r = foreign_command(s, line, err);

    if (r == 0)
        r = shortened_command(s, line, err);

    return r < 0 ? r : misspelt_command(s, line, err);
}

/* ---- help ---- */

/* The args spec as a person reads it: without the ":n" of numbers. */
static void put_usage(struct buffer *out, const struct rsp_monitor_command *c)
{
    buffer_printf(out, "%s", c->name);
    if (!c->args || !*c->args)
        return;
    buffer_append_byte(out, ' ');
    for (const char *p = c->args; *p; p++) {
        if (p[0] == ':' && p[1] == 'n' && (!p[2] || p[2] == ' ' || p[2] == ']'))
            p++;
        else
            buffer_append_byte(out, (uint8_t)*p);
    }
}

static void put_summary(struct buffer *out, const struct rsp_monitor_command *c)
{
    size_t start = out->len, len = strcspn(c->help, "\n");

    put_usage(out, c);
    do
        buffer_append_byte(out, ' ');
    while (out->len - start < 36);
    buffer_append(out, c->help, len);
    buffer_append_byte(out, '\n');
}

/* Does the name begin with these words ("info" for "info replay")? */
static bool in_family(const char *name, const char *words)
{
    size_t n = strlen(words);

    return strncmp(name, words, n) == 0 && (name[n] == ' ' || !name[n]);
}

/* One line for each command of a family ("": all). Returns how many there are. */
static unsigned put_list(const struct rsp_session *s, struct buffer *out, const char *family)
{
    unsigned count, shown = 0;
    const struct rsp_monitor_command **list = list_commands(s, &count);

    for (unsigned i = 0; i < count; i++) {
        if (*family && !in_family(list[i]->name, family))
            continue;
        put_summary(out, list[i]);
        shown++;
    }
    free(list);
    return shown;
}

static int run_help(struct rsp_monitor_call *call, struct error *err)
{
    const char *what = call->argc ? call->argv[0].text : "", *rest;
    const struct rsp_monitor_command *c;

    if (!*what) {
        put_list(call->session, call->out, "");
        buffer_printf(call->out, "\nhelp COMMAND says more about one.\n");
        return 0;
    }
    c = find_command(call->session, what, &rest);
    if (c && !*skip_spaces(rest)) {
        put_usage(call->out, c);
        buffer_printf(call->out, "\n%s\n", c->help);
        return 0;
    }
    if (put_list(call->session, call->out, what))
        return 0;
    return unknown_command(call->session, what, err);
}

/* ---- arguments ---- */

static int usage_error(const struct rsp_monitor_command *c, struct error *err, const char *what)
{
    struct buffer usage;

    buffer_init(&usage);
    put_usage(&usage, c);
    buffer_append_byte(&usage, 0);
    error_set(err, -EINVAL, "%s; usage: %s", what, (const char *)usage.data);
    buffer_finish(&usage);
    return -EINVAL;
}

/* The next word of the line, cut off in place; "..." keeps blanks. NULL at the end. */
static char *next_word(char **line)
{
    char *word = *line;

    while (isspace((unsigned char)*word))
        word++;
    if (!*word)
        return NULL;
    if (*word == '"') {
        char *end = strchr(++word, '"');

        *line = end ? end + 1 : word + strlen(word);
        if (end)
            *end = '\0';
        return word;
    }
    *line = word;
    while (**line && !isspace((unsigned char)**line))
        (*line)++;
    if (**line)
        *(*line)++ = '\0';
    return word;
}

/* Is the word one of "a|b|c"? */
static bool is_choice(const char *choices, size_t len, const char *word)
{
    const char *end = choices + len;
    size_t n = strlen(word);

    while (choices < end) {
        const char *bar = memchr(choices, '|', (size_t)(end - choices));
        size_t m = (size_t)((bar ? bar : end) - choices);

        if (m == n && memcmp(choices, word, n) == 0)
            return true;
        choices += m + 1;
    }
    return false;
}

/* One word of the args spec. */
struct arg_spec {
    const char *text; /* without brackets */
    size_t len;
    bool optional, number, rest, choice, format;
};

static struct arg_spec next_spec(const char **args)
{
    struct arg_spec a = {.text = *args, .len = strcspn(*args, " ")};

    *args += a.len;
    while (**args == ' ')
        (*args)++;
    if (a.len >= 2 && a.text[0] == '[' && a.text[a.len - 1] == ']') {
        a.optional = true;
        a.text++;
        a.len -= 2;
    }
    a.format = a.optional && a.text[0] == '/';
    a.number = a.len > 2 && memcmp(a.text + a.len - 2, ":n", 2) == 0;
    a.rest = a.len > 3 && memcmp(a.text + a.len - 3, "...", 3) == 0;
    a.choice = memchr(a.text, '|', a.len) != NULL;
    return a;
}

/* Take the argument that the spec asks for. 1: taken, 0: optional and absent, negative: error. */
static int take_arg(const struct rsp_monitor_command *c, const struct arg_spec *spec, char **line,
                    struct rsp_monitor_arg *arg, struct error *err)
{
    static char empty[] = "";

    if (spec->format) {
        char *start = *line;

        while (isspace((unsigned char)*start))
            start++;
        arg->text = *start == '/' ? next_word(line) : empty;
        return 1;
    }
    if (spec->rest) {
        while (isspace((unsigned char)**line))
            (*line)++;
        arg->text = *line;
        *line += strlen(*line);
        if (*arg->text)
            return 1;
        return spec->optional ? 0 : usage_error(c, err, "an argument is missing");
    }
    arg->text = next_word(line);
    if (!arg->text)
        return spec->optional ? 0 : usage_error(c, err, "an argument is missing");
    if (spec->number && !rsp_parse_number(arg->text, &arg->number))
        return usage_error(c, err, "a number is expected");
    if (spec->choice && !is_choice(spec->text, spec->len, arg->text))
        return usage_error(c, err, "the word is none of those possible");
    return 1;
}

static int parse_args(struct rsp_monitor_call *call, char *line, struct error *err)
{
    const char *args = call->command->args ? call->command->args : "";

    while (*args) {
        struct arg_spec spec = next_spec(&args);
        int taken;

        CHECK(call->argc < RSP_MONITOR_MAX_ARGS);
        taken = take_arg(call->command, &spec, &line, &call->argv[call->argc], err);
        if (taken < 0)
            return taken;
        call->argc += (unsigned)taken;
    }
    if (next_word(&line))
        return usage_error(call->command, err, "too many arguments");
    return 0;
}

int rsp_monitor(struct rsp_session *s, const char *line, struct buffer *out, struct error *err)
{
    struct rsp_monitor_call call = {.session = s, .ctx = s->ctx, .out = out};
    const char *rest = NULL;
    char *args;
    int result;

    line = skip_spaces(line);
    if (!*line) {
        put_list(s, out, "");
        return 0;
    }
    call.command = find_command(s, line, &rest);
    if (!call.command) {
        char *family = xstrdup(line);
        size_t n = strlen(family);
        unsigned shown;

        while (n && isspace((unsigned char)family[n - 1]))
            family[--n] = '\0';
        shown = put_list(s, out, family);
        free(family);
        return shown ? 0 : unknown_command(s, line, err);
    }
    args = xstrdup(rest);
    result = parse_args(&call, args, err);
    if (!result)
        result = call.command->run(&call, err);
    free(args);
    if (result)
        err->code = result;
    return result;
}
