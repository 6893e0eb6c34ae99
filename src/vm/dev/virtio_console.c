/*
 * The virtio console device (virtio 1.2, 5.3): a controller, virtio-serial, with up to three ports, each a console
 * (virtconsole) or a channel with a name (virtserialport).
 *
 * A port is a device of its own, for what it is connected to and for its input (EVENT_INPUT: raw bytes). Input waits here,
 * and then in the host, while the guest has not opened the port or gives no buffers. Output goes to machine_output().
 *
 * Not modelled: sizes of consoles; ports that come and go; the far end of a port is always there.
 */
#include "vm/dev/virtio_console.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "vm/dev/virtio_carried.h"
#include "vm/machine.h"

#define F_MULTIPORT   (1ull << 1)
#define F_EMERG_WRITE (1ull << 2)

#define SERIAL_PORTS         3u /* with the control queues, all that VIRTIO_QUEUES has room for */
#define SERIAL_QUEUES        VIRTIO_QUEUES
#define CONTROL_RX    2u
#define CONTROL_TX    3u
#define CONFIG_BYTES  12u
#define CONFIG_PORTS  4u
#define CONFIG_EMERG  8u
#define MESSAGE_BYTES 8u
#define MESSAGES      32u
#define NAME_MOST     63u
#define PORT_FIFO          4096u
#define PIECE         512u

/* Control messages (5.3.6.2). */
enum { DEVICE_READY, DEVICE_ADD, DEVICE_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };

DEVICE_STATE_BEGIN
struct serial_message {
    uint32_t port;
    uint16_t event, value;
};

struct serial_state {
    uint32_t opened;         /* bit n: the guest has opened port n */
    uint32_t first, waiting; /* of `messages` */
    uint32_t reserved;
    struct serial_message messages[MESSAGES]; /* for the driver */
};

struct port_state {
    uint32_t first, count;   /* of `bytes` */
    uint8_t bytes[PORT_FIFO];
};
DEVICE_STATE_END

struct serial;

/* Wiring of a port. */
struct port {
    struct device *dev;
    struct port_state *st;
    struct serial *serial;
    unsigned number;
    bool console;
    char name[NAME_MOST + 1]; /* "": it has none */
};

/* Wiring of the controller. */
struct serial {
    struct virtio_carried carried;
    struct serial_state *st;
    struct port *ports[SERIAL_PORTS];
};

static struct serial *of(const struct virtio *v)
{
    return v->dev->wiring;
}

static unsigned rx_queue(unsigned port)
{
    return port ? 2 + 2 * port : 0;
}

/* Of an odd queue that is not the control queue. */
static unsigned port_of(unsigned queue)
{
    return queue < CONTROL_RX ? 0 : queue / 2 - 1;
}

/* ---- control ---- */

static void send_messages(struct serial *s)
{
    struct virtio *v = &s->carried.t.v;
    struct virtio_chain c;

    while (s->st->waiting && virtio_peek(v, CONTROL_RX, &c)) {
        const struct serial_message *m = &s->st->messages[s->st->first];
        uint8_t bytes[MESSAGE_BYTES + NAME_MOST + 1] = {0};
        uint32_t len = MESSAGE_BYTES;

        put_le32(bytes, m->port);
        put_le16(bytes + 4, m->event);
        put_le16(bytes + 6, m->value);
        if (m->event == PORT_NAME && s->ports[m->port]) {
            strcpy((char *)bytes + MESSAGE_BYTES, s->ports[m->port]->name);
            len += (uint32_t)strlen(s->ports[m->port]->name) + 1;
        }
        if (!virtio_in(v, &c, 0, bytes, len)) {
            virtio_broken(v);
            return;
        }
        s->st->first = (s->st->first + 1) % MESSAGES;
        s->st->waiting--;
        virtio_push(v, CONTROL_RX, &c, len);
    }
}

/* A driver that asks more often than it listens is not answered. */
static void tell(struct serial *s, unsigned port, unsigned event, unsigned value)
{
    if (s->st->waiting < MESSAGES)
        s->st->messages[(s->st->first + s->st->waiting++) % MESSAGES] =
            (struct serial_message){port, (uint16_t)event, (uint16_t)value};
}

static void deliver(struct port *p);

static void obey(struct serial *s, uint32_t port, unsigned event, unsigned value)
{
    if (event == DEVICE_READY && value) {
        for (unsigned n = 0; n < SERIAL_PORTS; n++)
            if (s->ports[n])
                tell(s, n, DEVICE_ADD, 1);
        return;
    }
    if (port >= SERIAL_PORTS || !s->ports[port])
        return;
    if (event == PORT_READY && value) {
        if (s->ports[port]->console)
            tell(s, port, CONSOLE_PORT, 1);
        if (*s->ports[port]->name)
            tell(s, port, PORT_NAME, 1);
        tell(s, port, PORT_OPEN, 1);
    } else if (event == PORT_OPEN) {
        s->st->opened = value ? s->st->opened | 1u << port : s->st->opened & ~(1u << port);
        deliver(s->ports[port]);
    }
}

static void take_messages(struct serial *s)
{
    struct virtio *v = &s->carried.t.v;
    struct virtio_chain c;

    while (virtio_peek(v, CONTROL_TX, &c)) {
        uint8_t bytes[MESSAGE_BYTES];

        if (virtio_out(v, &c, 0, bytes, sizeof(bytes)))
            obey(s, get_le32(bytes), get_le16(bytes + 4), get_le16(bytes + 6));
        virtio_push(v, CONTROL_TX, &c, 0);
    }
    send_messages(s);
}

/* ---- data ---- */

/* Does the guest listen there? A driver without the feature of several ports has no way to say so. */
static bool is_open(const struct port *p)
{
    const struct virtio *v = &p->serial->carried.t.v;

    if (!(v->st->status & VIRTIO_DRIVER_OK))
        return false;
    return virtio_has(v, F_MULTIPORT) ? p->serial->st->opened >> p->number & 1u : p->number == 0;
}

/* To the guest, as far as it has buffers. */
static void deliver(struct port *p)
{
    struct virtio *v = &p->serial->carried.t.v;
    unsigned queue = rx_queue(p->number);
    struct port_state *st = p->st;
    struct virtio_chain c;

    while (st->count && is_open(p) && virtio_peek(v, queue, &c)) {
        uint32_t done = 0;

        while (st->count && done < c.in) {
            uint32_t n = PORT_FIFO - st->first < st->count ? PORT_FIFO - st->first : st->count;

            n = n < c.in - done ? n : (uint32_t)(c.in - done);
            if (!virtio_in(v, &c, done, st->bytes + st->first, n)) {
                virtio_broken(v);
                return;
            }
            st->first = (st->first + n) % PORT_FIFO;
            st->count -= n;
            done += n;
        }
        virtio_push(v, queue, &c, done);
    }
}

static void put_out(struct serial *s, unsigned port)
{
    struct virtio *v = &s->carried.t.v;
    unsigned queue = rx_queue(port) + 1;
    struct virtio_chain c;

    while (virtio_peek(v, queue, &c)) {
        uint8_t bytes[PIECE];

        for (uint64_t at = 0; at < c.out; at += PIECE) {
            size_t n = c.out - at < PIECE ? (size_t)(c.out - at) : PIECE;

            if (!virtio_out(v, &c, at, bytes, n))
                break;
            if (s->ports[port])
                machine_output(s->ports[port]->dev, bytes, n);
        }
        virtio_push(v, queue, &c, 0);
    }
}

static void notified(struct virtio *v, unsigned queue)
{
    struct serial *s = of(v);

    if (queue == CONTROL_TX)
        take_messages(s);
    else if (queue == CONTROL_RX)
        send_messages(s);
    else if (queue & 1u)
        put_out(s, port_of(queue));
    else if (s->ports[port_of(queue)])
        deliver(s->ports[port_of(queue)]);
}

/* ---- ports ---- */

static void port_input(struct device *dev, const struct event *e)
{
    struct port *p = dev->wiring;

    for (uint32_t i = 0; i < e->len && p->st->count < PORT_FIFO; i++)
        p->st->bytes[(p->st->first + p->st->count++) % PORT_FIFO] = e->data[i];
    deliver(p);
}

static size_t port_room(const struct device *dev)
{
    const struct port *p = dev->wiring;

    return is_open(p) ? PORT_FIFO - p->st->count : 0;
}

static void port_reset(struct device *dev)
{
    memset(dev->state, 0, sizeof(struct port_state));
}

static bool port_possible(const struct device *dev)
{
    const struct port_state *st = dev->state;

    return st->first < PORT_FIFO && st->count <= PORT_FIFO;
}

static void port_describe(const struct device *dev, struct buffer *b)
{
    const struct port *p = dev->wiring;

    buffer_printf(b, "port %u of %s%s%s, %s, %u bytes wait for the guest\n", p->number, p->serial->carried.t.v.dev->name,
                  *p->name ? ", name " : "", p->name, is_open(p) ? "open" : "not open in the guest", (unsigned)p->st->count);
}

static const struct device_ops port_ops = {
    .name = "virtio-port",
    .state_size = sizeof(struct port_state),
    .possible = port_possible,
    .reset = port_reset,
    .input = port_input,
    .input_room = port_room,
    .describe = port_describe,
};

const struct option_key virtio_port_keys[] = {
    {"chardev", "ID"}, {"name", "NAME (how the guest finds it)"}, {"nr", "N (0 to 2)"}, {NULL, NULL},
};

static const struct virtio_kind kind;

/* The controller that is meant, the newest one if none is named, and which port of it. */
static int choose_port(const struct sockets *s, const struct option_list *props, bool console, struct serial **serial,
                       unsigned *number, struct error *err)
{
    const char *bus = option_list_get(props, "bus");
    uint64_t nr = SERIAL_PORTS;

    *serial = NULL;
    if (option_list_number(props, "nr", 0, SERIAL_PORTS - 1, &nr, err) < 0)
        return -EINVAL;
    for (unsigned i = s->machine->ndevices; i-- > 0 && !*serial;) {
        struct device *dev = s->machine->devices[i];
        size_t len = strlen(dev->name);

        if (dev->ops != kind.pci && dev->ops != kind.mmio)
            continue;
        if (!bus || (!strncmp(bus, dev->name, len) && (!bus[len] || !strcmp(bus + len, ".0"))))
            *serial = dev->wiring;
    }
    if (!*serial)
        return error_set(err, -EINVAL, "there is no controller for it: --device virtio-serial-pci (on virt also virtio-serial-device), "
                         "before it, makes one");
    /* Port 0 is a console's, also for drivers that know no other. */
    for (unsigned n = console ? 0 : 1; n < SERIAL_PORTS && nr == SERIAL_PORTS; n++)
        if (!(*serial)->ports[n])
            nr = n;
    if (nr == SERIAL_PORTS || (*serial)->ports[nr])
        return error_set(err, -EINVAL, "a controller has %u ports (0 is for a virtconsole), and %s", SERIAL_PORTS,
                         nr == SERIAL_PORTS ? "they are taken" : "that one is taken");
    if (!console && !nr)
        return error_set(err, -EINVAL, "nr=0: port 0 is for a virtconsole");
    *number = (unsigned)nr;
    return 0;
}

static int plug_port(struct sockets *s, const char *name, bool console, const struct option_list *props, struct error *err)
{
    const char *called = option_list_get(props, "name");
    struct serial *serial;
    struct device *dev;
    unsigned number = 0;
    struct port *p;

    if (choose_port(s, props, console, &serial, &number, err) < 0)
        return -EINVAL;
    if (called && strlen(called) > NAME_MOST)
        return error_set(err, -EINVAL, "name=%s: at most %u characters", called, NAME_MOST);
    dev = machine_add_owned_device(s->machine, &port_ops, name, sizeof(*p));
    p = dev->wiring;
    *p = (struct port){.dev = dev, .st = dev->state, .serial = serial, .number = number, .console = console};
    if (called)
        strcpy(p->name, called);
    serial->ports[number] = p;
    return parts_connect_chardev(dev, props, err);
}

int virtconsole_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                     struct error *err)
{
    (void)devfn, (void)d;
    return plug_port(s, name, true, props, err);
}

int virtserialport_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                        struct error *err)
{
    (void)devfn, (void)d;
    return plug_port(s, name, false, props, err);
}

/* ---- the controller ---- */

static uint64_t features(const struct virtio *v)
{
    (void)v;
    return F_MULTIPORT | F_EMERG_WRITE;
}

static void config_read(const struct virtio *v, uint8_t *config)
{
    (void)v;
    put_le32(config + CONFIG_PORTS, SERIAL_PORTS);
}

/* Before a driver is there: a character at once. */
static void config_write(struct virtio *v, uint32_t offset, uint8_t value)
{
    if (offset == CONFIG_EMERG && of(v)->ports[0])
        machine_output(of(v)->ports[0]->dev, &value, 1);
}

static void forget(struct virtio *v)
{
    struct serial *s = of(v);

    memset(s->st, 0, sizeof(*s->st));
    for (unsigned n = 0; n < SERIAL_PORTS; n++)
        if (s->ports[n])
            port_reset(s->ports[n]->dev);
}

static const struct virtio_class serial_class = {
    .id = 3, .config_bytes = CONFIG_BYTES, .features = features, .config_read = config_read, .config_write = config_write,
    .notified = notified, .reset = forget};

static bool serial_possible(const struct device *dev)
{
    const struct serial *s = dev->wiring;

    if (!virtio_possible(&s->carried.t.v) || s->st->first >= MESSAGES || s->st->waiting > MESSAGES)
        return false;
    for (unsigned n = 0; n < MESSAGES; n++)
        if (s->st->messages[n].port >= SERIAL_PORTS)
            return false;
    return true;
}

static void serial_describe(const struct device *dev, struct buffer *b)
{
    const struct serial *s = dev->wiring;

    for (unsigned n = 0; n < SERIAL_PORTS; n++)
        if (s->ports[n])
            buffer_printf(b, "port %u: %s, %s\n", n, s->ports[n]->dev->name, is_open(s->ports[n]) ? "open" : "not open");
    virtio_describe(&s->carried.t.v, b);
}

DEVICE_STATE_BEGIN
struct serial_pci_state {
    struct virtio_pci_state pci;
    struct serial_state serial;
};

struct serial_mmio_state {
    struct virtio_state virtio;
    struct serial_state serial;
};
DEVICE_STATE_END

static const struct device_ops serial_pci_ops = {
    .name = "virtio-serial-pci",
    .state_size = sizeof(struct serial_pci_state),
    .possible = serial_possible,
    .reset = virtio_pci_reset,
    .describe = serial_describe,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
};

static const struct device_ops serial_mmio_ops = {
    .name = "virtio-serial-device",
    .state_size = sizeof(struct serial_mmio_state),
    .possible = serial_possible,
    .reset = virtio_mmio_reset,
    .describe = serial_describe,
    .read = virtio_mmio_read,
    .write = virtio_mmio_write,
};

static const struct virtio_kind kind = {.class = &serial_class, .pci = &serial_pci_ops, .mmio = &serial_mmio_ops,
                                        .pci_class = 0x078000, .wiring_bytes = sizeof(struct serial)};

const struct option_key virtio_serial_keys[] = {VIRTIO_PCI_KEYS, {NULL, NULL}};
const struct option_key virtio_serial_mmio_keys[] = {VIRTIO_MMIO_KEYS, {NULL, NULL}};

static struct serial *make(struct sockets *s, const char *name, bool pci, const struct option_list *props, struct error *err)
{
    void *own;
    struct virtio_carried *c = virtio_make(&kind, s, name, pci, SERIAL_QUEUES, props, &own, err);
    struct serial *serial = c ? c->t.v.dev->wiring : NULL;

    if (serial)
        serial->st = own;
    return serial;
}

int virtio_serial_pci_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                           struct error *err)
{
    struct serial *serial = make(s, name, true, props, err);

    (void)d;
    return serial ? virtio_carry_pci(&kind, &serial->carried, s, devfn, props, err) : err->code;
}

int virtio_serial_mmio_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props,
                            struct error *err)
{
    struct serial *serial = make(s, name, false, props, err);

    (void)devfn, (void)d;
    return serial ? virtio_carry_mmio(&serial->carried, s, props, err) : err->code;
}
