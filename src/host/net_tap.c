/*
 * An interface of this machine (TUN/TAP, linux/Documentation/networking/tuntap.rst): frames that the guest sends come in
 * there, and what this machine sends there goes to the guest.
 *
 * hindcast makes an interface, or opens one that is there, where it is permitted (CAP_NET_ADMIN, or an interface that was
 * given to this user: ip tuntap add mode tap user NAME), or takes over a descriptor (fd=). Scripts are never run: addresses
 * and bridges are the user's to set up.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/if.h>
#include <linux/if_tun.h>
#endif

#include "host/netdev_kinds.h"

struct tap {
    int fd;
};

/* Most frames in one look: the guest, and the debugger, want to be looked after. */
#define FRAMES_AT_ONCE 256

#ifdef __linux__
static int open_interface(struct tap *t, const char *name, char **note, struct error *err)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    struct buffer b;

    if (name && (!*name || strlen(name) >= sizeof(request.ifr_name)))
        return error_set(err, -EINVAL, "ifname=%s: a name has 1 to %zu characters", name, sizeof(request.ifr_name) - 1);
    t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (t->fd < 0)
        return error_set(err, -errno, "/dev/net/tun cannot be opened: %s: this system has no taps, or not for this user", strerror(errno));
    if (name)
        strcpy(request.ifr_name, name);
    if (ioctl(t->fd, TUNSETIFF, &request) < 0) {
        int e = errno;

        return error_set(err, -e, "ifname=%s: %s%s", name ? name : "(any)", strerror(e), e == EPERM ?
                         ": this user may not; have one made for it (ip tuntap add dev tap0 mode tap user NAME), or take --netdev user" :
                         e == EBUSY ? ": somebody else has it open, or it is no tap" : "");
    }
    buffer_init(&b);
    buffer_printf(&b, "a tap: the interface %s (give it an address, or a bridge, and set it up: hindcast runs no scripts)", request.ifr_name);
    buffer_append_byte(&b, 0);
    *note = (char *)b.data;
    return 0;
}

/* A descriptor that whoever started hindcast has opened. */
static int take_descriptor(struct tap *t, uint64_t fd, struct error *err)
{
    struct ifreq request = {.ifr_flags = 0};

    if (fd < 3 || ioctl((int)fd, TUNGETIFF, &request) < 0 || !(request.ifr_flags & IFF_TAP))
        return error_set(err, -EBADF, "fd=%u: is no descriptor of a tap", (unsigned)fd);
    if (!(request.ifr_flags & IFF_NO_PI) || (request.ifr_flags & IFF_VNET_HDR))
        return error_set(err, -EINVAL, "fd=%u: that tap puts a head before frames: it has to be made with IFF_NO_PI, without "
                         "IFF_VNET_HDR", (unsigned)fd);
    t->fd = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    if (t->fd < 0 || fcntl(t->fd, F_SETFL, fcntl(t->fd, F_GETFL) | O_NONBLOCK) < 0)
        return error_set(err, -errno, "fd=%u: %s", (unsigned)fd, strerror(errno));
    return 0;
}
#else
static int open_interface(struct tap *t, const char *name, char **note, struct error *err)
{
    (void)t, (void)name, (void)note;
    return error_set(err, -ENOSYS, "this hindcast knows only Linux's taps");
}

static int take_descriptor(struct tap *t, uint64_t fd, struct error *err)
{
    (void)fd;
    return open_interface(t, NULL, NULL, err);
}
#endif

static int no_script(const struct option_list *l, const char *key, struct error *err)
{
    const char *value = option_list_get(l, key);

    if (!value || !strcmp(value, "no") || !*value)
        return 0;
    return error_set(err, -EINVAL, "%s=%s: hindcast runs no scripts (%s=no): set the interface up yourself", key, value, key);
}

static int tap_open(struct netdev *n, const struct option_list *l, char **note, struct error *err)
{
    struct tap *t = xcalloc(1, sizeof(*t));
    const char *name = option_list_get(l, "ifname");
    uint64_t fd = 0;

    t->fd = -1;
    n->back = t;
    if (no_script(l, "script", err) < 0 || no_script(l, "downscript", err) < 0 ||
        option_list_number(l, "fd", 0, INT32_MAX, &fd, err) < 0)
        return -EINVAL;
    if (!option_list_get(l, "fd"))
        return open_interface(t, name, note, err);
    if (name)
        return error_set(err, -EINVAL, "fd= and ifname=: a descriptor is of an interface already");
    return take_descriptor(t, fd, err);
}

static void tap_close(struct netdev *n)
{
    struct tap *t = n->back;

    if (!t)
        return;
    if (t->fd >= 0)
        close(t->fd);
    free(t);
}

static void tap_send(struct netdev *n, const uint8_t *frame, size_t len)
{
    const struct tap *t = n->back;

    (void)!write(t->fd, frame, len); /* an interface that is down, or full, loses it */
}

static void tap_poll(struct netdev *n, struct poller *p, uint64_t *timeout_ns)
{
    const struct tap *t = n->back;

    (void)timeout_ns;
    poller_add(p, t->fd, netdev_has_room(n), false);
}

static void tap_service(struct netdev *n, const struct poller *p)
{
    const struct tap *t = n->back;
    uint8_t frame[NETDEV_FRAME_MOST];

    (void)p;
    for (unsigned i = 0; i < FRAMES_AT_ONCE && netdev_has_room(n); i++) {
        ssize_t got = read(t->fd, frame, sizeof(frame));

        if (got <= 0)
            return;
        netdev_arrives(n, frame, (size_t)got);
    }
}

static const struct option_key keys[] = {
    {"ifname", "NAME"}, {"fd", "NUMBER"}, {"script", "no"}, {"downscript", "no"}, {NULL, NULL}};

const struct netdev_kind netdev_tap = {
    .name = "tap", .keys = keys, .open = tap_open, .close = tap_close, .send = tap_send, .poll = tap_poll,
    .service = tap_service};
