/*
 * Options of several keys. See option_list.h.
 */
#include "base/option_list.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/guess.h"

#define KIB ((uint64_t)1 << 10)

bool option_asks_help(const char *value)
{
    return !strcmp(value, "help") || !strcmp(value, "?");
}

bool option_parse_number(const char *text, uint64_t *n)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hex ? text + 2 : text;
    char *end;
    unsigned long long v;

    if (!*digits || strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789") != strlen(digits))
        return false;
    errno = 0;
    v = strtoull(digits, &end, hex ? 16 : 10);
    if (errno || *end)
        return false;
    *n = v;
    return true;
}

bool option_parse_size(const char *text, uint64_t unit, uint64_t *bytes)
{
    static const char units[] = "kmgt";
    size_t len = strlen(text);
    char digits[32], last = len ? (char)(text[len - 1] | 0x20) : 0;
    const char *found = last ? strchr(units, last) : NULL;
    uint64_t n;

    if (found) {
        len--;
        unit = KIB << (10 * (unsigned)(found - units));
    }
    if (len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = 0;
    return option_parse_number(digits, &n) && !__builtin_mul_overflow(n, unit, bytes);
}

/* ---- taking apart ---- */

static void add_pair(struct option_list *l, const char *key, const char *value, bool alone, bool implied)
{
    l->pairs = xrealloc(l->pairs, (l->count + 1) * sizeof l->pairs[0]);
    l->pairs[l->count++] = (struct option_pair){key, value, alone, implied};
}

/* End the part at *next where a single comma is, and make one comma of two; *next: behind it, NULL at the end. */
static char *next_part(char **next)
{
    char *part = *next, *from = part, *to = part;

    while (*from && (*from != ',' || from[1] == ',')) {
        from += *from == ',';
        *to++ = *from++;
    }
    *next = *from ? from + 1 : NULL;
    *to = 0;
    return part;
}

int option_list_parse(struct option_list *l, const char *option, const char *text, const char *first,
                      const struct option_key *keys, struct error *err)
{
    char *next;

    *l = (struct option_list){.option = xstrdup(option), .text = xstrdup(text)};
    for (next = l->text; next;) {
        bool at_start = next == l->text;
        char *part = next_part(&next), *equals = strchr(part, '=');

        if (equals == part || (!*part && !(at_start && !next)))
            return error_set(err, -EINVAL, "%s %s: a key is missing; write KEY=VALUE,KEY=VALUE", option, text);
        if (equals) {
            *equals = 0;
            add_pair(l, part, equals + 1, false, false);
        } else if (*part) {
            bool implied = at_start && first;

            add_pair(l, implied ? first : part, implied ? part : "on", !implied, implied);
        }
    }
    return keys ? option_list_check(l, keys, err) : 0;
}

void option_list_finish(struct option_list *l)
{
    free(l->option);
    free(l->text);
    free(l->pairs);
    *l = (struct option_list){0};
}

/* ---- keys ---- */

static const struct option_key *find_key(const struct option_key *keys, const char *name)
{
    for (; keys->name; keys++)
        if (!strcmp(keys->name, name))
            return keys;
    return NULL;
}

static int unknown_key(const struct option_list *l, const struct option_pair *p, const struct option_key *keys,
                       struct error *err)
{
    const char *key = p->key;
    struct buffer b;
    struct guess g;
    int r;

    buffer_init(&b);
    guess_begin(&g, key, strlen(key));
    for (const struct option_key *k = keys; k->name; k++) {
        guess_consider(&g, k->name);
        buffer_printf(&b, "%s%s=%s", k == keys ? "" : ", ", k->name, k->values ? k->values : "TEXT");
    }
    buffer_append_byte(&b, 0);
    if (g.best)
        r = error_set(err, -EINVAL, "%s %s=%s: there is no '%s'; did you mean %s? There are %s", l->option, key, p->value,
                      key, g.best, (const char *)b.data);
    else
        r = error_set(err, -EINVAL, "%s %s=%s: there is no '%s'; there are %s", l->option, key, p->value, key,
                      (const char *)b.data);
    buffer_finish(&b);
    return r;
}

static bool may_repeat(const struct option_key *k)
{
    size_t len = k->values ? strlen(k->values) : 0;

    return len >= 3 && !strcmp(k->values + len - 3, "...");
}

/* Pair number `i` says something, and nothing that was said before. */
static int check_pair(const struct option_list *l, unsigned i, const struct option_key *k, struct error *err)
{
    const struct option_pair *p = &l->pairs[i];

    if (!*p->value && k->values && *k->values != '[')
        return error_set(err, -EINVAL, "%s %s=: the value is missing: %s", l->option, p->key, k->values);
    for (unsigned before = 0; before < i && !may_repeat(k); before++)
        if (!strcmp(l->pairs[before].key, p->key))
            return error_set(err, -EINVAL, "%s %s=%s: %s is given twice, before as %s", l->option, p->key, p->value, p->key,
                             l->pairs[before].value);
    return 0;
}

int option_list_check(struct option_list *l, const struct option_key *keys, struct error *err)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct option_pair *p = &l->pairs[i];
        const struct option_key *k = find_key(keys, p->key);

        if (!k && p->alone && !strncmp(p->key, "no", 2) && (k = find_key(keys, p->key + 2))) {
            p->key += 2;
            p->value = "off";
        }
        if (!k)
            return unknown_key(l, p, keys, err);
        if (check_pair(l, i, k, err) < 0)
            return -EINVAL;
    }
    return 0;
}

/* ---- values ---- */

const char *option_list_nth(const struct option_list *l, const char *key, unsigned n)
{
    for (unsigned i = 0; i < l->count; i++)
        if (!strcmp(l->pairs[i].key, key) && !n--)
            return l->pairs[i].value;
    return NULL;
}

const char *option_list_get(const struct option_list *l, const char *key)
{
    const char *value = NULL;

    for (unsigned i = 0; i < l->count; i++)
        if (!strcmp(l->pairs[i].key, key))
            value = l->pairs[i].value;
    return value;
}

/* *err says what to write instead of the value: now also which value, as it was written ("--smp 0", "--smp cores=0"). */
static int unusable(const struct option_list *l, const char *key, const char *value, struct error *err)
{
    bool implied = false;

    for (unsigned i = 0; i < l->count; i++)
        if (l->pairs[i].value == value)
            implied = l->pairs[i].implied;
    error_prefix(err, "%s %s%s%s", l->option, implied ? "" : key, implied ? "" : "=", value);
    return -EINVAL;
}

int option_list_switch(const struct option_list *l, const char *key, bool *out, struct error *err)
{
    const char *value = option_list_get(l, key);

    if (!value)
        return 0;
    if (!strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true")) {
        *out = true;
        return 0;
    }
    if (!strcmp(value, "off") || !strcmp(value, "no") || !strcmp(value, "false")) {
        *out = false;
        return 0;
    }
    error_set(err, -EINVAL, "write on or off");
    return unusable(l, key, value, err);
}

int option_list_number(const struct option_list *l, const char *key, uint64_t least, uint64_t most, uint64_t *out,
                       struct error *err)
{
    const char *value = option_list_get(l, key);
    uint64_t n;

    if (!value)
        return 0;
    if (!option_parse_number(value, &n) || n < least || n > most) {
        error_set(err, -EINVAL, "write a number from %" PRIu64 " to %" PRIu64, least, most);
        return unusable(l, key, value, err);
    }
    *out = n;
    return 0;
}

int option_list_size(const struct option_list *l, const char *key, uint64_t unit, uint64_t *out, struct error *err)
{
    const char *value = option_list_get(l, key);

    if (!value || option_parse_size(value, unit, out))
        return 0;
    error_set(err, -EINVAL, "write a size such as 512K, 256M or 1G");
    return unusable(l, key, value, err);
}

int option_list_choice(const struct option_list *l, const char *key, const char *const *names, unsigned *out,
                       struct error *err)
{
    const char *value = option_list_get(l, key);
    struct buffer b;

    if (!value)
        return 0;
    for (unsigned i = 0; names[i]; i++)
        if (!strcmp(value, names[i])) {
            *out = i;
            return 0;
        }
    buffer_init(&b);
    for (unsigned i = 0; names[i]; i++)
        buffer_printf(&b, "%s%s", !i ? "" : names[i + 1] ? ", " : " or ", names[i]);
    buffer_append_byte(&b, 0);
    error_set(err, -EINVAL, "write %s", (const char *)b.data);
    buffer_finish(&b);
    return unusable(l, key, value, err);
}
