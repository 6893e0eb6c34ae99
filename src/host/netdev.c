/*
 * Network back ends: the option, and the frames that wait. See netdev.h.
 *
 * Adding a kind: its struct netdev_kind, and a line in kinds[].
 */
#include "config.h"

#include "host/netdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "host/netdev_kinds.h"

/* Frames for a guest that does not take them. */
#define WAITING_MOST ((size_t)4 << 20)
/* What a back end that waits for room may bring at once. */
#define ROOM ((size_t)256 << 10)

static const struct netdev_kind *const kinds[] = {
#ifdef HAVE_SLIRP
    &netdev_user,
#endif
    &netdev_socket,
    &netdev_stream,
    &netdev_dgram,
    &netdev_tap,
    &netdev_pcap,
};

static const struct netdev_kind *find_kind(const char *name)
{
    for (unsigned i = 0; name && i < ARRAY_LEN(kinds); i++)
        if (!strcmp(kinds[i]->name, name))
            return kinds[i];
    return NULL;
}

/* Take the text apart; afterwards option_list_finish(). */
static int parse(const char *text, struct option_list *l, const struct netdev_kind **kind, struct error *err)
{
    struct option_key keys[32] = {{"type", "user|socket|stream|dgram|tap|pcap"}, {"id", "ID"}};
    unsigned n = 2;
    const char *id;
    int r = option_list_parse(l, "--netdev", text, "type", NULL, err);

    if (r < 0)
        return r;
    *kind = find_kind(option_list_get(l, "type"));
    if (!*kind && option_list_get(l, "type") && !strcmp(option_list_get(l, "type"), "user"))
        return error_set(err, -ENOSYS, "--netdev %s: this hindcast was built without libslirp", text);
    if (!*kind)
        return error_set(err, -EINVAL, "--netdev %s: back ends are user, socket, stream, dgram, tap, pcap", text);
    for (const struct option_key *k = (*kind)->keys; k->name; k++) {
        CHECK(n + 1 < ARRAY_LEN(keys));
        keys[n++] = *k;
    }
    r = option_list_check(l, keys, err);
    id = option_list_get(l, "id");
    if (r == 0 && (!id || !*id || strlen(id) >= sizeof(((struct netdev *)0)->id)))
        r = error_set(err, -EINVAL, "--netdev %s: it needs an id=ID of 1 to 31 characters, which a --device names", text);
    return r;
}

int netdev_check(const char *text, char *id, size_t size, struct error *err)
{
    const struct netdev_kind *kind;
    struct option_list l;
    int r = parse(text, &l, &kind, err);

    if (r == 0)
        snprintf(id, size, "%s", option_list_get(&l, "id"));
    option_list_finish(&l);
    return r;
}

struct netdev *netdev_open(const char *text, unsigned may, char **note, struct error *err)
{
    const struct netdev_kind *kind;
    struct netdev *n = NULL;
    struct option_list l;
    int r = parse(text, &l, &kind, err);

    *note = NULL;
    if (r == 0) {
        n = xcalloc(1, sizeof(*n));
        n->kind = kind;
        n->may = may;
        buffer_init(&n->waiting);
        strcpy(n->id, option_list_get(&l, "id"));
        r = kind->open(n, &l, note, err);
        if (r < 0)
            error_prefix(err, "--netdev %s", text);
    }
    if (r < 0 && n) {
        netdev_close(n);
        n = NULL;
    }
    option_list_finish(&l);
    return n;
}

void netdev_close(struct netdev *n)
{
    n->kind->close(n);
    buffer_finish(&n->waiting);
    free(n);
}

const char *netdev_id(const struct netdev *n)
{
    return n->id;
}

void netdev_send(struct netdev *n, const void *frame, size_t len, uint64_t guest_ns)
{
    n->stats.sent++;
    n->guest_ns = guest_ns;
    n->kind->send(n, frame, len);
}

void netdev_arrives(struct netdev *n, const void *frame, size_t len)
{
    uint8_t head[4];

    if (!len)
        return;
    n->stats.received++;
    if (len > NETDEV_FRAME_MOST || n->waiting.len - n->taken + len > WAITING_MOST) {
        n->stats.lost++;
        return;
    }
    put_le32(head, (uint32_t)len);
    buffer_append(&n->waiting, head, sizeof(head));
    buffer_append(&n->waiting, frame, len);
    n->stats.waiting++;
}

bool netdev_has_room(const struct netdev *n)
{
    return n->waiting.len - n->taken + ROOM <= WAITING_MOST;
}

bool netdev_is_timed(const struct netdev *n)
{
    return n->kind->next != NULL;
}

void netdev_rewind(struct netdev *n, uint64_t frames)
{
    if (n->kind->rewind)
        n->kind->rewind(n, frames);
}

const uint8_t *netdev_peek(const struct netdev *n, size_t *len)
{
    if (n->kind->next || n->taken == n->waiting.len)
        return NULL;
    *len = get_le32(n->waiting.data + n->taken);
    return n->waiting.data + n->taken + 4;
}

size_t netdev_receive(struct netdev *n, void *frame, size_t size, uint64_t *due_ns)
{
    size_t len;

    if (n->kind->next) {
        len = n->kind->next(n, frame, size, due_ns);
        n->stats.received += len != 0;
        return len;
    }

    for (;;) {
        if (n->taken == n->waiting.len) {
            buffer_clear(&n->waiting);
            n->taken = 0;
            return 0;
        }
        len = get_le32(n->waiting.data + n->taken);
        n->taken += 4;
        if (len <= size)
            memcpy(frame, n->waiting.data + n->taken, len);
        n->taken += len;
        n->stats.waiting--;
        if (n->taken > WAITING_MOST) {
            buffer_consume(&n->waiting, n->taken);
            n->taken = 0;
        }
        if (len <= size)
            return len;
        n->stats.lost++;
    }
}

void netdev_poll(struct netdev *n, struct poller *p, uint64_t *timeout_ns)
{
    n->kind->poll(n, p, timeout_ns);
}

void netdev_service(struct netdev *n, const struct poller *p)
{
    n->kind->service(n, p);
}

void netdev_stats(const struct netdev *n, struct netdev_stats *out)
{
    *out = n->stats;
}
