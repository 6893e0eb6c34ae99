/*
 * See usbdev.h. One transfer of libusb for each message; an answer waits in a list until it is fetched.
 */
#include "host/usbdev.h"

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_LIBUSB
#include <libusb.h>

#include "base/bytes.h"
#include "base/usb_message.h"

#define DESCRIPTOR_MOST 4096u /* as a guest may have it: USB_CONFIGURATION_MOST */
#define DEVICE_LEN      18u
#define REQUEST_MS      5000u /* that a device may take for a request; packets may take for ever */
#define INTERFACES_MOST 32u

struct answer {
    struct answer *next;
    size_t len;
    uint8_t bytes[USB_HOST_HEAD + USB_HOST_DATA_MOST];
};

struct transfer {
    struct usbdev *owner;
    struct transfer *next;     /* of those under way */
    struct libusb_transfer *usb;
    uint32_t number;
    uint8_t endpoint;
    bool wanted;               /* else it was cancelled */
    uint8_t data[8 + USB_HOST_DATA_MOST];
};

struct usbdev {
    libusb_context *context;
    libusb_device_handle *handle;
    enum libusb_speed speed;
    uint8_t device[DEVICE_LEN];
    uint8_t configuration[DESCRIPTOR_MOST];
    size_t configuration_len;
    unsigned interfaces;       /* 0 to so many - 1 are ours */
    struct transfer *transfers;
    struct answer *first, **last;
    bool gone;                 /* that was said */
};

/* ---- answers ---- */

static void answer(struct usbdev *u, uint32_t number, enum usb_host_status status, uint8_t endpoint, const void *data, size_t len)
{
    struct answer *a = xcalloc(1, sizeof *a);

    if (len > USB_HOST_DATA_MOST)
        len = USB_HOST_DATA_MOST;
    put_le32(a->bytes, number);
    a->bytes[4] = (uint8_t)status;
    a->bytes[5] = endpoint;
    put_le16(a->bytes + 6, (uint16_t)len);
    if (len)
        memcpy(a->bytes + USB_HOST_HEAD, data, len);
    a->len = USB_HOST_HEAD + len;
    *u->last = a;
    u->last = &a->next;
}

size_t usbdev_receive(struct usbdev *u, void *to, size_t size)
{
    struct answer *a = u->first;
    size_t len = 0;

    if (!a)
        return 0;
    if (a->len <= size) {
        len = a->len;
        memcpy(to, a->bytes, len);
    }
    u->first = a->next;
    if (!u->first)
        u->last = &u->first;
    free(a);
    return len;
}

static void say_gone(struct usbdev *u)
{
    if (!u->gone)
        answer(u, 0, USB_HOST_GONE, 0, NULL, 0);
    u->gone = true;
}

/* ---- transfers ---- */

static void forget(struct transfer *t)
{
    struct transfer **p = &t->owner->transfers;

    while (*p != t)
        p = &(*p)->next;
    *p = t->next;
    libusb_free_transfer(t->usb);
    free(t);
}

static void LIBUSB_CALL completed(struct libusb_transfer *usb)
{
    struct transfer *t = usb->user_data;
    bool ok = usb->status == LIBUSB_TRANSFER_COMPLETED, in = t->endpoint & 0x80u;
    const uint8_t *data = t->data + (usb->type == LIBUSB_TRANSFER_TYPE_CONTROL ? 8 : 0);

    if (usb->type == LIBUSB_TRANSFER_TYPE_CONTROL)
        in = t->data[0] & 0x80u;
    if (usb->status == LIBUSB_TRANSFER_NO_DEVICE)
        say_gone(t->owner);
    else if (t->wanted)
        answer(t->owner, t->number, ok ? USB_HOST_OK : usb->status == LIBUSB_TRANSFER_STALL ? USB_HOST_STALL : USB_HOST_FAILED,
               t->endpoint, data, ok && in ? (size_t)usb->actual_length : 0);
    forget(t);
}

static void submit(struct usbdev *u, struct transfer *t)
{
    int r = libusb_submit_transfer(t->usb);

    if (r == 0)
        return;
    if (r == LIBUSB_ERROR_NO_DEVICE)
        say_gone(u);
    else
        answer(u, t->number, USB_HOST_FAILED, t->endpoint, NULL, 0);
    forget(t);
}

static struct transfer *new_transfer(struct usbdev *u, uint32_t number, uint8_t endpoint, const uint8_t *data, size_t len)
{
    struct transfer *t = xcalloc(1, sizeof *t);

    t->owner = u;
    t->usb = libusb_alloc_transfer(0);
    CHECK(t->usb);
    t->number = number;
    t->endpoint = endpoint;
    t->wanted = true;
    if (len)
        memcpy(t->data, data, len);
    t->next = u->transfers;
    u->transfers = t;
    return t;
}

/* What libusb has to be told itself, because the kernel keeps account of it. False: it is a request like others. */
static bool special(struct usbdev *u, const uint8_t *setup, int *r)
{
    uint16_t value = get_le16(setup + 2), index = get_le16(setup + 4);

    if (setup[0] == 0x02 && setup[1] == LIBUSB_REQUEST_CLEAR_FEATURE && !value)
        *r = libusb_clear_halt(u->handle, (unsigned char)index);
    else if (setup[0] == 0x01 && setup[1] == LIBUSB_REQUEST_SET_INTERFACE)
        *r = libusb_set_interface_alt_setting(u->handle, index, value);
    else
        return false;
    return true;
}

static void request(struct usbdev *u, uint32_t number, const uint8_t *data, size_t len)
{
    struct transfer *t;
    int r;

    if (len < 8 || get_le16(data + 6) > USB_HOST_DATA_MOST || (!(data[0] & 0x80u) && len < 8u + get_le16(data + 6))) {
        answer(u, number, USB_HOST_FAILED, 0, NULL, 0);
    } else if (special(u, data, &r)) {
        answer(u, number, r == 0 ? USB_HOST_OK : USB_HOST_STALL, 0, NULL, 0);
    } else {
        t = new_transfer(u, number, 0, data, len);
        libusb_fill_control_transfer(t->usb, u->handle, t->data, completed, t, REQUEST_MS);
        submit(u, t);
    }
}

static bool is_interrupt(const struct usbdev *u, uint8_t endpoint)
{
    for (size_t at = 0; at + 7 <= u->configuration_len && u->configuration[at]; at += u->configuration[at])
        if (u->configuration[at + 1] == LIBUSB_DT_ENDPOINT && u->configuration[at + 2] == endpoint)
            return (u->configuration[at + 3] & 3u) == LIBUSB_TRANSFER_TYPE_INTERRUPT;
    return false;
}

static void packet(struct usbdev *u, uint32_t number, uint8_t endpoint, const uint8_t *data, size_t len, size_t wanted)
{
    struct transfer *t = new_transfer(u, number, endpoint, data, len);

    if (is_interrupt(u, endpoint))
        libusb_fill_interrupt_transfer(t->usb, u->handle, endpoint, t->data, (int)wanted, completed, t, 0);
    else
        libusb_fill_bulk_transfer(t->usb, u->handle, endpoint, t->data, (int)wanted, completed, t, 0);
    submit(u, t);
}

static void cancel(struct usbdev *u, uint8_t endpoint)
{
    for (struct transfer *t = u->transfers; t; t = t->next)
        if (t->wanted && (endpoint == 0xff || t->endpoint == endpoint)) {
            t->wanted = false;
            libusb_cancel_transfer(t->usb); /* completed() comes all the same */
        }
}

void usbdev_send(struct usbdev *u, const void *message, size_t len)
{
    const uint8_t *m = message, *data = m + USB_HOST_HEAD;
    size_t wanted;

    if (len < USB_HOST_HEAD || len > USB_HOST_HEAD + 8 + USB_HOST_DATA_MOST)
        return;
    wanted = get_le16(m + 6);
    len -= USB_HOST_HEAD;
    switch (m[4]) {
    case USB_HOST_CONTROL:
        request(u, get_le32(m), data, len);
        break;
    case USB_HOST_IN:
        packet(u, get_le32(m), m[5], NULL, 0, wanted < USB_HOST_DATA_MOST ? wanted : USB_HOST_DATA_MOST);
        break;
    case USB_HOST_OUT:
        packet(u, get_le32(m), m[5], data, len, len);
        break;
    case USB_HOST_CANCEL:
        cancel(u, m[5]);
        break;
    default:
        break;
    }
}

/* ---- waiting ---- */

void usbdev_poll(struct usbdev *u, struct poller *p, uint64_t *timeout_ns)
{
    const struct libusb_pollfd **fds = libusb_get_pollfds(u->context);
    struct timeval tv;

    for (size_t i = 0; fds && fds[i]; i++)
        poller_add(p, fds[i]->fd, fds[i]->events & POLLIN, fds[i]->events & POLLOUT);
    libusb_free_pollfds(fds);
    if (libusb_get_next_timeout(u->context, &tv) == 1) {
        uint64_t ns = (uint64_t)tv.tv_sec * 1000000000u + (uint64_t)tv.tv_usec * 1000u;

        if (ns < *timeout_ns)
            *timeout_ns = ns;
    }
}

void usbdev_service(struct usbdev *u)
{
    struct timeval now = {0, 0};

    libusb_handle_events_timeout_completed(u->context, &now, NULL);
}

/* ---- opening ---- */

static bool matches(libusb_device *d, const struct usbdev_match *m)
{
    struct libusb_device_descriptor descriptor;

    return libusb_get_device_descriptor(d, &descriptor) == 0 && (m->vendor < 0 || descriptor.idVendor == m->vendor) &&
           (m->product < 0 || descriptor.idProduct == m->product) && (m->bus < 0 || libusb_get_bus_number(d) == m->bus) &&
           (m->address < 0 || libusb_get_device_address(d) == m->address);
}

/* The one that is meant, opened. */
static int find(struct usbdev *u, const struct usbdev_match *m, const char *text, struct error *err)
{
    libusb_device **list, *found = NULL;
    ssize_t n = libusb_get_device_list(u->context, &list);
    unsigned count = 0;
    int r;

    for (ssize_t i = 0; i < n; i++)
        if (matches(list[i], m)) {
            count++;
            found = list[i];
        }
    if (count != 1) {
        r = error_set(err, count ? -EEXIST : -ENODEV, "%s: %s", text,
                      count ? "there are several such devices (hostbus=, hostaddr= name one)" : "there is no such USB device on this machine");
    } else {
        r = libusb_open(found, &u->handle);
        u->speed = (enum libusb_speed)libusb_get_device_speed(found);
        if (r < 0)
            r = error_set(err, -EACCES, "%s: it cannot be opened: %s (/dev/bus/usb/%03u/%03u must be writable)", text,
                          libusb_strerror((enum libusb_error)r), libusb_get_bus_number(found), libusb_get_device_address(found));
    }
    if (n >= 0)
        libusb_free_device_list(list, 1);
    return r;
}

static int read_descriptors(struct usbdev *u, const char *text, struct error *err)
{
    int n = libusb_get_descriptor(u->handle, LIBUSB_DT_DEVICE, 0, u->device, sizeof u->device);

    if (n == (int)sizeof u->device)
        n = libusb_get_descriptor(u->handle, LIBUSB_DT_CONFIG, 0, u->configuration, sizeof u->configuration);
    if (n < 9)
        return error_set(err, -EIO, "%s: its descriptors cannot be read", text);
    u->configuration_len = (size_t)n;
    return 0;
}

static int claim(struct usbdev *u, const char *text, struct error *err)
{
    libusb_set_auto_detach_kernel_driver(u->handle, 1);
    for (unsigned n = 0; n < u->configuration[4] && n < INTERFACES_MOST; n++) {
        int r = libusb_claim_interface(u->handle, (int)n);

        if (r < 0)
            return error_set(err, -EBUSY, "%s: interface %u cannot be had: %s", text, n, libusb_strerror((enum libusb_error)r));
        u->interfaces = n + 1;
    }
    return 0;
}

struct usbdev *usbdev_open(const struct usbdev_match *m, const char *text, struct error *err)
{
    struct usbdev *u = xcalloc(1, sizeof *u);
    int r;

    u->last = &u->first;
    r = libusb_init(&u->context);
    if (r < 0) {
        error_set(err, -ENODEV, "%s: there is no USB on this machine: %s", text, libusb_strerror((enum libusb_error)r));
        free(u);
        return NULL;
    }
    if (find(u, m, text, err) < 0 || read_descriptors(u, text, err) < 0 || claim(u, text, err) < 0) {
        usbdev_close(u);
        return NULL;
    }
    return u;
}

void usbdev_close(struct usbdev *u)
{
    uint8_t bytes[USB_HOST_HEAD + USB_HOST_DATA_MOST];

    if (!u)
        return;
    cancel(u, 0xff);
    while (u->transfers && !libusb_handle_events(u->context))
        ;
    for (unsigned n = 0; n < u->interfaces; n++)
        libusb_release_interface(u->handle, (int)n);
    if (u->handle)
        libusb_close(u->handle);
    libusb_exit(u->context);
    while (usbdev_receive(u, bytes, sizeof bytes))
        ;
    free(u);
}

void usbdev_describe(const struct usbdev *u, struct buffer *out)
{
    static const char *const speeds[] = {[LIBUSB_SPEED_UNKNOWN] = "full", [LIBUSB_SPEED_LOW] = "low", [LIBUSB_SPEED_FULL] = "full",
                                         [LIBUSB_SPEED_HIGH] = "high", [LIBUSB_SPEED_SUPER] = "super"};

    buffer_printf(out, ",speed=%s,descriptors=", (size_t)u->speed < ARRAY_LEN(speeds) ? speeds[u->speed] : "super");
    for (size_t i = 0; i < DEVICE_LEN; i++)
        buffer_printf(out, "%02x", u->device[i]);
    for (size_t i = 0; i < u->configuration_len; i++)
        buffer_printf(out, "%02x", u->configuration[i]);
}

#else

struct usbdev *usbdev_open(const struct usbdev_match *m, const char *text, struct error *err)
{
    (void)m;
    error_set(err, -ENOSYS, "%s: this hindcast was built without libusb, so it cannot have devices of the host", text);
    return NULL;
}

void usbdev_close(struct usbdev *u)
{
    (void)u;
}

void usbdev_describe(const struct usbdev *u, struct buffer *out)
{
    (void)u, (void)out;
}

void usbdev_send(struct usbdev *u, const void *message, size_t len)
{
    (void)u, (void)message, (void)len;
}

size_t usbdev_receive(struct usbdev *u, void *to, size_t size)
{
    (void)u, (void)to, (void)size;
    return 0;
}

void usbdev_poll(struct usbdev *u, struct poller *p, uint64_t *timeout_ns)
{
    (void)u, (void)p, (void)timeout_ns;
}

void usbdev_service(struct usbdev *u)
{
    (void)u;
}

#endif
