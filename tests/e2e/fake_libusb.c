/*
 * A libusb with one device, for tests of --device usb-host: of full speed, 1d6b:fade, that sends back in capitals (endpoint 81h)
 * what it gets (02h). A vendor's request IN answers "fake"; 43h stalls; 44h and anything else OUT is taken. It answers when it is
 * looked at a second time. With FAKE_LIBUSB_LOG=FILE it notes what it was asked for.
 */
#include <libusb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const unsigned char device[18] = {18, 1, 0, 2, 0, 0, 0, 64, 0x6b, 0x1d, 0xde, 0xfa, 0, 1, 0, 1, 0, 1};
static const unsigned char configuration[32] = {9, 2, 32, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 2, 255, 0, 0, 0,
                                                7, 5, 0x81, 2, 64, 0, 0, 7, 5, 0x02, 2, 64, 0, 0};
static struct libusb_transfer *waiting[64];
static unsigned char said[4096];
static unsigned count, len;
static int fd = -1;

static void note(const char *what, int n)
{
    const char *name = getenv("FAKE_LIBUSB_LOG");
    FILE *f = name ? fopen(name, "a") : NULL;

    if (f) {
        fprintf(f, "%s %d\n", what, n);
        fclose(f);
    }
}

int libusb_init(libusb_context **c)
{
    fd = eventfd(0, EFD_NONBLOCK);
    *c = (libusb_context *)&fd;
    return 0;
}

void libusb_exit(libusb_context *c)
{
    (void)c;
    note("exit", (int)count);
    close(fd);
}

ssize_t libusb_get_device_list(libusb_context *c, libusb_device ***list)
{
    (void)c;
    *list = calloc(2, sizeof(**list));
    (*list)[0] = (libusb_device *)&fd;
    return 1;
}

void libusb_free_device_list(libusb_device **list, int unref)
{
    (void)unref;
    free(list);
}

int libusb_get_device_descriptor(libusb_device *d, struct libusb_device_descriptor *to)
{
    (void)d;
    memset(to, 0, sizeof(*to));
    to->idVendor = 0x1d6b;
    to->idProduct = getenv("FAKE_LIBUSB_OTHER") ? 0xbeef : 0xfade;
    return 0;
}

uint8_t libusb_get_bus_number(libusb_device *d)
{
    (void)d;
    return 3;
}

uint8_t libusb_get_device_address(libusb_device *d)
{
    (void)d;
    return 7;
}

int libusb_get_device_speed(libusb_device *d)
{
    (void)d;
    return LIBUSB_SPEED_FULL;
}

int libusb_open(libusb_device *d, libusb_device_handle **h)
{
    (void)d;
    *h = (libusb_device_handle *)&fd;
    return getenv("FAKE_LIBUSB_FORBIDDEN") ? LIBUSB_ERROR_ACCESS : 0;
}

void libusb_close(libusb_device_handle *h)
{
    (void)h;
}

const char *libusb_strerror(int code)
{
    return code == LIBUSB_ERROR_ACCESS ? "Access denied" : "an error";
}

int libusb_control_transfer(libusb_device_handle *h, uint8_t type, uint8_t request, uint16_t value, uint16_t index, unsigned char *data,
                            uint16_t room, unsigned timeout)
{
    const unsigned char *from = value >> 8 == 1 ? device : configuration;
    int n = value >> 8 == 1 ? 18 : 32;

    (void)h, (void)type, (void)request, (void)index, (void)timeout;
    n = n < room ? n : room;
    memcpy(data, from, (size_t)n);
    return n;
}

int libusb_set_auto_detach_kernel_driver(libusb_device_handle *h, int on)
{
    (void)h, (void)on;
    return 0;
}

int libusb_claim_interface(libusb_device_handle *h, int n)
{
    (void)h;
    note("claim", n);
    return 0;
}

int libusb_release_interface(libusb_device_handle *h, int n)
{
    (void)h;
    note("release", n);
    return 0;
}

int libusb_clear_halt(libusb_device_handle *h, unsigned char endpoint)
{
    (void)h;
    note("clear halt", endpoint);
    return 0;
}

int libusb_set_interface_alt_setting(libusb_device_handle *h, int n, int alternate)
{
    (void)h, (void)alternate;
    note("alternate setting", n);
    return 0;
}

struct libusb_transfer *libusb_alloc_transfer(int packets)
{
    (void)packets;
    return calloc(1, sizeof(struct libusb_transfer));
}

void libusb_free_transfer(struct libusb_transfer *t)
{
    free(t);
}

static void wake(void)
{
    eventfd_write(fd, 1);
}

int libusb_submit_transfer(struct libusb_transfer *t)
{
    note(t->type == LIBUSB_TRANSFER_TYPE_CONTROL ? "request" : t->endpoint & 0x80 ? "in" : "out", t->length);
    waiting[count++] = t;
    wake();
    return 0;
}

int libusb_cancel_transfer(struct libusb_transfer *t)
{
    note("cancel", t->endpoint);
    t->status = LIBUSB_TRANSFER_CANCELLED;
    wake();
    return 0;
}

/* False: it has to wait. */
static int serve(struct libusb_transfer *t)
{
    unsigned char *data = t->buffer;

    if (t->status == LIBUSB_TRANSFER_CANCELLED)
        return 1;
    if (t->type == LIBUSB_TRANSFER_TYPE_CONTROL) {
        t->status = data[1] == 0x43 ? LIBUSB_TRANSFER_STALL : LIBUSB_TRANSFER_COMPLETED;
        t->actual_length = data[0] & 0x80 ? 4 : t->length - 8;
        if (data[0] & 0x80)
            memcpy(data + 8, "fake", 4);
    } else if (t->endpoint & 0x80) {
        if (!len)
            return 0;
        t->actual_length = (int)len < t->length ? (int)len : t->length;
        memcpy(data, said, (size_t)t->actual_length);
        len -= (unsigned)t->actual_length;
        memmove(said, said + t->actual_length, len);
    } else {
        for (int i = 0; i < t->length; i++)
            said[len++] = data[i] & 0xdf;
        t->actual_length = t->length;
        wake();
    }
    return 1;
}

int libusb_handle_events_timeout_completed(libusb_context *c, struct timeval *tv, int *completed)
{
    eventfd_t value;

    (void)c, (void)tv, (void)completed;
    if (eventfd_read(fd, &value) < 0)
        return 0;
    for (unsigned i = 0; i < count;) {
        struct libusb_transfer *t = waiting[i];

        if (serve(t)) {
            memmove(waiting + i, waiting + i + 1, (--count - i) * sizeof(waiting[0]));
            t->callback(t);
        } else {
            i++;
        }
    }
    return 0;
}

int libusb_handle_events(libusb_context *c)
{
    return libusb_handle_events_timeout_completed(c, NULL, NULL);
}

const struct libusb_pollfd **libusb_get_pollfds(libusb_context *c)
{
    static struct libusb_pollfd one;
    const struct libusb_pollfd **list = calloc(2, sizeof(*list));

    (void)c;
    one.fd = fd;
    one.events = 1;
    list[0] = &one;
    return list;
}

void libusb_free_pollfds(const struct libusb_pollfd **list)
{
    free(list);
}

int libusb_get_next_timeout(libusb_context *c, struct timeval *tv)
{
    (void)c, (void)tv;
    return 0;
}
