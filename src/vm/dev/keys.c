/*
 * Names of keys, as QEMU's monitor knows them, their set 1 codes, and the input for the
 * keyboard that presses some together.
 */
#include "vm/dev/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"


#define E KEY_EXTENDED

static const struct {
    const char *name;
    uint16_t code;
} keys[] = {
    {"esc", 0x01}, {"1", 0x02}, {"2", 0x03}, {"3", 0x04}, {"4", 0x05}, {"5", 0x06}, {"6", 0x07}, {"7", 0x08},
    {"8", 0x09}, {"9", 0x0a}, {"0", 0x0b}, {"minus", 0x0c}, {"equal", 0x0d}, {"backspace", 0x0e}, {"tab", 0x0f},
    {"q", 0x10}, {"w", 0x11}, {"e", 0x12}, {"r", 0x13}, {"t", 0x14}, {"y", 0x15}, {"u", 0x16}, {"i", 0x17},
    {"o", 0x18}, {"p", 0x19}, {"bracket_left", 0x1a}, {"bracket_right", 0x1b}, {"ret", 0x1c}, {"ctrl", 0x1d},
    {"a", 0x1e}, {"s", 0x1f}, {"d", 0x20}, {"f", 0x21}, {"g", 0x22}, {"h", 0x23}, {"j", 0x24}, {"k", 0x25},
    {"l", 0x26}, {"semicolon", 0x27}, {"apostrophe", 0x28}, {"grave_accent", 0x29}, {"shift", 0x2a},
    {"backslash", 0x2b}, {"z", 0x2c}, {"x", 0x2d}, {"c", 0x2e}, {"v", 0x2f}, {"b", 0x30}, {"n", 0x31},
    {"m", 0x32}, {"comma", 0x33}, {"dot", 0x34}, {"slash", 0x35}, {"shift_r", 0x36}, {"asterisk", 0x37},
    {"kp_multiply", 0x37}, {"alt", 0x38}, {"spc", 0x39}, {"caps_lock", 0x3a}, {"f1", 0x3b}, {"f2", 0x3c},
    {"f3", 0x3d}, {"f4", 0x3e}, {"f5", 0x3f}, {"f6", 0x40}, {"f7", 0x41}, {"f8", 0x42}, {"f9", 0x43},
    {"f10", 0x44}, {"num_lock", 0x45}, {"scroll_lock", 0x46}, {"kp_7", 0x47}, {"kp_8", 0x48}, {"kp_9", 0x49},
    {"kp_subtract", 0x4a}, {"kp_4", 0x4b}, {"kp_5", 0x4c}, {"kp_6", 0x4d}, {"kp_add", 0x4e}, {"kp_1", 0x4f},
    {"kp_2", 0x50}, {"kp_3", 0x51}, {"kp_0", 0x52}, {"kp_decimal", 0x53}, {"sysrq", 0x54}, {"less", 0x56},
    {"f11", 0x57}, {"f12", 0x58}, {"kp_enter", E | 0x1c}, {"ctrl_r", E | 0x1d}, {"kp_divide", E | 0x35},
    {"print", KEY_PRINT}, {"alt_r", E | 0x38}, {"home", E | 0x47}, {"up", E | 0x48}, {"pgup", E | 0x49},
    {"left", E | 0x4b}, {"right", E | 0x4d}, {"end", E | 0x4f}, {"down", E | 0x50}, {"pgdn", E | 0x51},
    {"insert", E | 0x52}, {"delete", E | 0x53}, {"meta_l", E | 0x5b}, {"meta_r", E | 0x5c}, {"menu", E | 0x5d},
    {"compose", E | 0x5d}, {"power", E | 0x5e}, {"sleep", E | 0x5f}, {"wake", E | 0x63}, {"pause", KEY_PAUSE},
};

bool key_code(const char *name, uint16_t *code)
{
    unsigned long n;
    char *end;

    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, name) == 0) {
            *code = keys[i].code;
            return true;
        }
    }
    if (strncmp(name, "0x", 2) != 0)
        return false;
    n = strtoul(name, &end, 16); /* QEMU's numbers: bit 7 for keys with an E0 prefix */
    if (*end || n == 0 || n > 0xff)
        return false;
    *code = (uint16_t)((n & 0x7fu) | (n & 0x80u ? E : 0));
    return true;
}

/* Between the keys that are pressed together, and after them: more than a byte's way along the cable takes. */
#define KEY_GAP_MS 5u
#define MAX_KEYS   16u

static int parse_keys(const char *text, uint16_t *codes, unsigned *n, struct error *err)
{
    char names[128];

    *n = 0;
    if (strlen(text) >= sizeof names)
        return error_set(err, -EINVAL, "too many keys");
    strcpy(names, text);
    for (char *key, *next = names; (key = strsep(&next, "-")) != NULL;) {
        if (*n == MAX_KEYS)
            return error_set(err, -EINVAL, "at most %u keys at once", MAX_KEYS);
        if (!key_code(key, &codes[(*n)++]))
            return error_set(err, -EINVAL, "there is no key '%s' (a, 1, ret, spc, esc, ctrl, alt, f1, delete...)", key);
    }
    return 0;
}

static void append_word(struct buffer *out, unsigned word)
{
    uint16_t w = (uint16_t)word;

    buffer_append(out, &w, sizeof w);
}

int keys_press(const char *names, uint64_t hold_ms, struct buffer *out, struct error *err)
{
    uint64_t gap = hold_ms < KEY_GAP_MS ? hold_ms : KEY_GAP_MS;
    uint16_t codes[MAX_KEYS];
    unsigned n;
    int r;

    if (hold_ms < 1 || hold_ms > KEY_WAIT_MAX)
        return error_set(err, -EINVAL, "keys can be held from 1 to %u milliseconds", KEY_WAIT_MAX);
    r = parse_keys(names, codes, &n, err);
    if (r)
        return r;
    for (unsigned i = 0; i < 2 * n; i++) {
        append_word(out, i < n ? codes[i] : codes[2 * n - 1 - i] | KEY_RELEASE);
        append_word(out, KEY_WAIT | (unsigned)(i == n - 1 ? hold_ms : gap));
    }
    return 0;
}
