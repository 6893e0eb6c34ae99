/*
 * USB: what devices have in common (usb.c): chapter 9 of the USB 2.0 specification and of USB 3.2, their descriptors, the
 * default control pipe, and the tree of ports that they are plugged into.
 *
 * A device is a device (vm/device.h) whose state begins with a struct usb_state and whose wiring begins with a struct
 * usb_device. Host controllers speak to it in transactions (usb_transact()): a token for an endpoint, up to a packet of
 * data, and how it was answered, all at one moment. A device that has no data says USB_NAK; when that has changed it
 * calls usb_ready(), so that a controller that waits for it need not ask again and again.
 *
 * A controller has a struct usb_bus with its ports. What is plugged into them is configuration, and never changes.
 *
 * Data toggles are kept here, on the device's side of endpoints: a controller whose transfer descriptors say which is
 * expected compares them by usb_transact_toggled(); others have the pair of them in step.
 *
 * A port may be shared by two controllers, as EHCI and its companions do it (EHCI 1.0, 4.2): the bus that it belongs to says
 * which of them has it (`handed`), and a device has the speed that its present owner knows.
 *
 * To add a device: a struct usb_class, its plug function with usb_plug(), a line in models.c.
 *
 * Not modelled: isochronous endpoints, streams, link power management (the states are accepted), Test modes.
 */
#ifndef HINDCAST_VM_DEV_USB_H
#define HINDCAST_VM_DEV_USB_H

#include "vm/dev/parts.h"
#include "vm/device.h"

enum usb_speed { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER, USB_SPEEDS };

enum usb_pid { USB_PID_OUT = 0xe1, USB_PID_IN = 0x69, USB_PID_SETUP = 0x2d };

/* How a transaction was answered. */
enum usb_answer {
    USB_ACK,     /* data were taken, or given */
    USB_NAK,     /* not now */
    USB_STALL,   /* the endpoint is halted, or the request is none that the device knows */
    USB_SILENCE, /* nobody answers: no such endpoint, or nothing that it could do */
    USB_BABBLE,  /* it has more to say than there is room */
};

/* bmRequestType (USB 2.0, 9.3). */
#define USB_REQUEST_IN        0x80u
#define USB_REQUEST_KIND      0x60u
#define USB_REQUEST_STANDARD  0x00u
#define USB_REQUEST_CLASS     0x20u
#define USB_REQUEST_VENDOR    0x40u
#define USB_REQUEST_RECIPIENT 0x1fu
enum { USB_TO_DEVICE, USB_TO_INTERFACE, USB_TO_ENDPOINT, USB_TO_OTHER };
enum { USB_GET_STATUS = 0, USB_CLEAR_FEATURE = 1, USB_SET_FEATURE = 3, USB_SET_ADDRESS = 5, USB_GET_DESCRIPTOR = 6,
       USB_SET_DESCRIPTOR = 7, USB_GET_CONFIGURATION = 8, USB_SET_CONFIGURATION = 9, USB_GET_INTERFACE = 10,
       USB_SET_INTERFACE = 11, USB_SYNCH_FRAME = 12, USB_SET_SEL = 48, USB_SET_ISOCH_DELAY = 49 };
/* Descriptor types (9.4, table 9-5; HID 1.11, 7.1; USB 2.0, 11.23; USB 3.2, table 9-6). */
enum { USB_DT_DEVICE = 1, USB_DT_CONFIGURATION = 2, USB_DT_STRING = 3, USB_DT_INTERFACE = 4, USB_DT_ENDPOINT = 5,
       USB_DT_QUALIFIER = 6, USB_DT_OTHER_SPEED = 7, USB_DT_BOS = 15, USB_DT_HID = 0x21, USB_DT_REPORT = 0x22,
       USB_DT_HUB = 0x29, USB_DT_COMPANION = 48 };

#define USB_CONTROL_BYTES 256u  /* of a control transfer's data, at most */
#define USB_PACKET_MOST   1024u
#define USB_CONFIGURATION_MOST 4096u /* of a configuration descriptor with all that follows it, of a device that is not of our making */
#define USB_DEPTH         5u    /* hubs between a root port and a device (USB 2.0, 4.1.1) */
#define USB_PORTS_MOST    16u   /* of a controller or hub */

DEVICE_STATE_BEGIN
/* First in the state of each USB device. */
struct usb_state {
    uint8_t address;        /* 0: the default one */
    uint8_t configuration;  /* 0: not configured */
    uint8_t wakeup;         /* the host wants to be woken (DEVICE_REMOTE_WAKEUP) */
    uint8_t stage;          /* of the control transfer: enum stage of usb.c */
    uint8_t setup[8];       /* its request */
    uint16_t control_len;   /* bytes in `data`, or to come into it */
    uint16_t control_at;    /* of which so many have gone over the bus */
    uint16_t halted[2];     /* bit n: endpoint n is halted; [1]: IN */
    uint16_t toggle[2];     /* bit n: the next packet of endpoint n is DATA1 */
    uint8_t data[USB_CONTROL_BYTES];
};
DEVICE_STATE_END

struct usb_setup {
    uint8_t type, request;
    uint16_t value, index, length;
};

struct usb_device;
struct usb_bus;
struct usb_hub_ops;

/* A configuration descriptor with all that follows it. */
struct usb_configuration {
    const uint8_t *bytes;
    uint16_t len;
};

/* What kind of device it is. */
struct usb_class {
    const char *product;              /* for people, and string 2 */
    uint16_t vendor, product_id, release;
    uint8_t class_code, subclass, protocol;
    struct usb_configuration configurations[USB_SPEEDS]; /* by speed; `bytes` NULL: it has not that speed */
    /* A bus reset, another configuration, or a halt that ended (`endpoint`: its address; else 0): what its endpoints had
     * begun is over. */
    void (*reset)(struct usb_device *);
    void (*endpoint_reset)(struct usb_device *, unsigned endpoint); /* NULL: nothing to do */
    /* Requests of class and vendor, and standard ones that the device answers itself: descriptors of its interfaces. IN: fills
     * in `data` (USB_CONTROL_BYTES) and *len. OUT: takes *len bytes, once all are there. */
    enum usb_answer (*control)(struct usb_device *, const struct usb_setup *, uint8_t *data, uint16_t *len);
    /* It is not of our making: `control` is asked for all requests but SET_ADDRESS, and may say USB_NAK: usb_control_done() tells it
     * later. */
    bool foreign;
    /* A transaction with endpoint 1 to 15. *len: the room, then what there is. Not asked while the endpoint is halted. */
    enum usb_answer (*in)(struct usb_device *, unsigned endpoint, uint8_t *buf, size_t *len);
    enum usb_answer (*out)(struct usb_device *, unsigned endpoint, const uint8_t *buf, size_t len);
    const struct usb_hub_ops *hub;    /* NULL: it is no hub */
};

/* A place for a device: of a controller, or of a hub. */
struct usb_port {
    struct usb_bus *bus;
    struct usb_device *hub;  /* NULL: of the controller */
    unsigned n;              /* counted from 0 */
    unsigned speeds;         /* bit n: enum usb_speed n */
    struct usb_device *dev;  /* NULL: nothing is plugged in */
    struct usb_bus *companion; /* of a controller for slower devices, to which the port can be handed; NULL: none */
    unsigned companion_port; /* as which of its ports */
};

/* What a hub has to say of its ports. */
struct usb_hub_ops {
    bool (*enabled)(const struct usb_device *hub, unsigned port); /* and not suspended */
    void (*wakeup)(struct usb_device *hub, unsigned port);        /* a suspended device wants attention */
};

struct usb_bus_ops {
    bool (*enabled)(const struct usb_bus *, unsigned port);       /* and not suspended */
    void (*wakeup)(struct usb_bus *, unsigned port);
    /* Endpoint (address) of a device has something for the host, or room. NULL: the controller asks anyhow. */
    void (*ready)(struct usb_bus *, struct usb_device *, unsigned endpoint);
    void (*describe)(const struct usb_bus *, struct buffer *);    /* in a line; may be NULL */
    /* The bus's port is its companion's now. NULL: never. */
    bool (*handed)(const struct usb_bus *, unsigned port);
    /* Of a companion: its port was handed to it, or taken from it. */
    void (*routed)(struct usb_bus *, unsigned port);
};

/* In a controller's wiring. */
struct usb_bus {
    struct device *dev;      /* the controller */
    const struct usb_bus_ops *ops;
    struct usb_port ports[USB_PORTS_MOST];
    unsigned nports;
    struct usb_bus *next;    /* the machine's other buses, in order */
    unsigned number;         /* counted from 0 */
};

/* First in the wiring of each USB device. */
struct usb_device {
    struct device *dev;
    struct usb_state *st;
    const struct usb_class *class;
    struct usb_port *port;   /* that it is plugged into */
    enum usb_speed speed;
    char serial[32];         /* string 3 */
    struct usb_port *ports;  /* of a hub */
    unsigned nports;
};

/* ---- for controllers ---- */

/* A bus with ports 0 to nports - 1 of these speeds (a bit each); part of the controller's wiring. */
void usb_bus_init(struct usb_bus *bus, struct machine *m, struct device *dev, const struct usb_bus_ops *ops, unsigned nports,
                  unsigned speeds);
/* Be the companion of another bus: its ports from `first` on are ports 0 to n - 1 of `bus`, too, when they are handed to it.
 * `bus` is in the controller's wiring, with `dev` and `ops`, but is none of the machine's. props: masterbus= names the other
 * one, firstport= is `first`. 0, or -ENODEV, -EINVAL. */
int usb_companion_init(struct usb_bus *bus, struct machine *m, struct device *dev, const struct usb_bus_ops *ops,
                       struct usb_port **ports, unsigned n, unsigned speeds, const struct option_list *props, struct error *err);
/* What `bus` sees in a port: NULL if there is nothing, or another bus has the port. */
struct usb_device *usb_port_device(const struct usb_port *p, const struct usb_bus *bus);
/* The port has another owner, or a state was restored: its device has the highest of these speeds that it knows. */
void usb_port_set_speeds(struct usb_port *p, unsigned speeds);
/* The device of that address whom a packet from the port reaches: through hubs, where ports are enabled. NULL: none. */
struct usb_device *usb_find(struct usb_port *port, unsigned address);
/* The same behind any port of the bus. */
struct usb_device *usb_bus_find(struct usb_bus *bus, unsigned address);
/* One transaction. `endpoint`: its number, without direction. IN: *len is the room for a packet, then its bytes; OUT,
 * SETUP: the bytes of the packet. */
enum usb_answer usb_transact(struct usb_device *d, enum usb_pid pid, unsigned endpoint, uint8_t *buf, size_t *len);
/* The same for a controller whose descriptors have the toggle: `data1`. A packet of the wrong one is acknowledged and lost
 * (USB 2.0, 8.6): one that goes out by the device; *lost: one that came in is not to be taken. */
enum usb_answer usb_transact_toggled(struct usb_device *d, enum usb_pid pid, unsigned endpoint, bool data1, uint8_t *buf, size_t *len,
                                     bool *lost);
/* The host drives reset on the device's port. */
void usb_bus_reset(struct usb_device *d);
/* Packets are at most so long (USB 2.0, 5.5 to 5.8); 0: there is no such endpoint. `address` has the direction in bit 7. */
unsigned usb_packet_size(const struct usb_device *d, unsigned address);
/* The Open Firmware path of the device's place, as QEMU makes it, without the device: "/pci@i0cf8/usb@4/hub@2". False: its controller is
 * no PCI function. */
bool usb_firmware_path(const struct usb_device *d, const struct sockets *s, char *path, size_t size);
/* For `monitor info usb`: all that is plugged into the machine's buses. */
void usb_describe(const struct machine *m, struct buffer *out);

/* ---- for devices ---- */

/* Plug a device into the bus and port that its properties say (bus=ID, port=N[.N...]), or the first that is free.
 * 0 or -EINVAL. */
int usb_plug(struct usb_device *d, struct sockets *s, struct device *dev, const struct usb_class *class,
             const struct option_list *props, struct error *err);
/* USB_KEYS: properties of all devices, for struct device_model.keys. */
#define USB_KEYS {"port", "N[.N...]"}, {"serial", "TEXT"}
/* Has a bus that usb_plug() would choose, by these properties, ports of that speed? (For what has another face without it.) */
bool usb_bus_has_speed(const struct machine *m, const struct option_list *props, enum usb_speed speed);
/* In the device's reset: as after power-on. */
void usb_device_reset(struct usb_device *d);
/* Endpoint (its address) has something for the host, or has room again. */
void usb_ready(struct usb_device *d, unsigned endpoint);
/* Something happened that is worth waking a sleeping host for, if it asked for that. */
void usb_wakeup(struct usb_device *d);
/* The endpoint (its address) answers with STALL until the host clears that. */
void usb_halt(struct usb_device *d, unsigned endpoint);
/* It is halted no more, and its next packet is DATA0. */
void usb_clear_halt(struct usb_device *d, unsigned endpoint);
/* All endpoints are as after a configuration was chosen. */
void usb_forget_endpoints(struct usb_device *d);
/* The request that `control` has answered with USB_NAK is done: with so many bytes, if it was one IN; or stalled. Nothing happens if
 * there is none any more. */
void usb_control_done(struct usb_device *d, bool ok, const void *data, uint16_t len);
/* Is the state one that usb.c can work with? */
bool usb_possible(const struct usb_state *s);
/* A line of the state, for `describe`. */
void usb_describe_state(const struct usb_device *d, struct buffer *out);

#endif
