/*
 * Flash banks and files. A bank's image is only read when the machine is made; what the guest
 * programs stays in memory, so that nothing outside changes by going through history. There
 * are two ways to keep it: `monitor save_flash` writes a bank as it is where the guest stands
 * into a file of any name, and `--pflash FILE,write-back` replaces FILE when hindcast ends, by
 * what the bank holds at the live edge, wherever in history the end comes.
 */
#include "server_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vm/dev/cfi_flash.h"

static const struct device *find_bank(const struct server *s, uint64_t n)
{
    char name[32];

    snprintf(name, sizeof name, "flash%" PRIu64, n);
    return machine_find_device(s->machine, name);
}

/* The bytes worth writing: those of a file of `least` bytes, and more if there is something behind them. */
static const uint8_t *contents(const struct device *bank, uint64_t least, uint64_t *len)
{
    uint64_t size;
    const uint8_t *bytes = cfi_flash_contents(bank, &size);

    for (*len = size; *len > least && !bytes[*len - 1]; --*len)
        continue;
    if (*len > least)
        *len = size;
    return bytes;
}

int server_flash_save(struct server *s, uint64_t n, const char *path, bool force, uint64_t *bytes, struct error *err)
{
    const struct device *bank = find_bank(s, n);
    const uint8_t *data;

    if (!bank && !find_bank(s, 0))
        return error_set(err, -ENODEV, "this machine has no flash");
    if (!bank)
        return error_set(err, -ENODEV, "this machine has no flash bank %" PRIu64 ": there are 0 and 1", n);
    data = cfi_flash_contents(bank, bytes);
    return host_write_file(path, data, *bytes, HOST_MONITOR | HOST_EMPTY_ONLY | (force ? HOST_FORCE : 0), err);
}

static bool write_back(struct server *s, unsigned n, const struct server_flash *f)
{
    struct error err = {0};
    uint64_t len;
    const uint8_t *data = contents(find_bank(s, n), f->len, &len);

    if (len == f->len && !memcmp(data, f->data, len))
        return true;
    if (host_write_file(f->path, data, len, HOST_OVER_INPUT | HOST_FORCE, &err) < 0) {
        server_say(s, "flash bank %u is lost: %s", n, err.text);
        return false;
    }
    server_say(s, "%s: the contents of flash bank %u at position %" PRIu64, f->path, n,
               timeline_position(s->timeline));
    return true;
}

bool server_flash_wants_write_back(const struct server *s)
{
    for (unsigned n = 0; n < SERVER_MAX_FLASH; n++)
        if (s->config.flash[n].path)
            return true;
    return false;
}

bool server_flash_write_back(struct server *s)
{
    bool good = true;

    for (unsigned n = 0; n < SERVER_MAX_FLASH; n++)
        if (s->config.flash[n].path)
            good = write_back(s, n, &s->config.flash[n]) && good;
    return good;
}
