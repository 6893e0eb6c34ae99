/*
 * The 8042 keyboard controller of a PS/2 (IBM PS/2 hardware interface technical
 * reference, "Keyboard and auxiliary device controller"): command byte and RAM,
 * self and interface tests, input and output port with A20 gate and CPU reset,
 * translation from scan code set 2 to set 1, the auxiliary port, IRQ 1 and 12.
 *
 * A byte moves from a device into the output buffer as soon as the buffer is
 * free and the device's clock is enabled; what the controller itself answers
 * goes first. The input buffer is never busy (IBF reads 0).
 *
 * Not modelled: the delay between bytes on the cables, timeouts and parity
 * errors, the inhibit switch, the tricks of passwords (A4h-A6h answer "none").
 */
#include "i386/pc/i8042.h"

#include <string.h>

#include "base/buffer.h"
#include "i386/pc/ps2.h"
#include "vm/machine.h"

#define STATUS_OBF   0x01u
#define STATUS_SYS   0x04u
#define STATUS_CMD   0x08u
#define STATUS_KEYL  0x10u /* not inhibited */
#define STATUS_AUX   0x20u

#define CCB_IRQ1     0x01u
#define CCB_IRQ12    0x02u
#define CCB_SYS      0x04u
#define CCB_KBD_OFF  0x10u
#define CCB_AUX_OFF  0x20u
#define CCB_XLATE    0x40u

#define OUT_RESET    0x01u /* active low */
#define OUT_A20      0x02u
#define OUT_IRQ1     0x10u
#define OUT_IRQ12    0x20u

DEVICE_STATE_BEGIN
struct i8042_state {
    uint8_t ram[32];      /* [0] is the command byte */
    uint8_t status;       /* OBF, SYS, CMD, AUX */
    uint8_t data;         /* output buffer */
    uint8_t out_port;     /* reset and A20 bits */
    uint8_t parameter_of; /* command that waits for a byte at port 60h, 0: none */
    uint8_t reply[4];     /* the controller's own bytes that wait for the buffer */
    uint8_t replies;
    uint8_t ready[2];     /* lines of keyboard and mouse */
    uint8_t broke;        /* F0 was seen: the next translated code is a break */
    uint8_t reply_aux;    /* bit i: reply[i] belongs to the auxiliary side */
    uint8_t reserved[3];
};
DEVICE_STATE_END

/* Set 2 to set 1, as the controller's ROM has it; 00h-84h, others pass. */
static const uint8_t translate[0x85] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59, /* 00 */
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b, /* 10 */
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d, /* 20 */
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f, /* 30 */
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61, /* 40 */
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, /* 50 */
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, /* 60 */
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, /* 70 */
    0x80, 0x81, 0x82, 0x41, 0x54,                                                                   /* 80 */
};

static void update_irqs(struct device *dev)
{
    const struct i8042_wiring *w = dev->wiring;
    const struct i8042_state *s = dev->state;
    bool full = s->status & STATUS_OBF;
    bool aux = s->status & STATUS_AUX;

    line_set(&w->irq1, full && !aux && (s->ram[0] & CCB_IRQ1));
    line_set(&w->irq12, full && aux && (s->ram[0] & CCB_IRQ12));
}

static void set_output(struct i8042_state *s, uint8_t byte, bool aux)
{
    s->data = byte;
    s->status = (uint8_t)((s->status & ~STATUS_AUX) | STATUS_OBF | (aux ? STATUS_AUX : 0));
}

/* A keyboard byte through the translation: false: swallowed (F0). */
static bool keyboard_byte(struct i8042_state *s, uint8_t byte)
{
    uint8_t code;

    if (!(s->ram[0] & CCB_XLATE)) {
        set_output(s, byte, false);
        return true;
    }
    if (byte == 0xf0) {
        s->broke = 0x80;
        return false;
    }
    code = byte < sizeof(translate) ? translate[byte] : byte;
    set_output(s, code | s->broke, false);
    s->broke = 0;
    return true;
}

/* Fill the output buffer from whoever has a byte. */
static void pump(struct device *dev)
{
    const struct i8042_wiring *w = dev->wiring;
    struct i8042_state *s = dev->state;

    while (!(s->status & STATUS_OBF)) {
        if (s->replies) {
            set_output(s, s->reply[0], s->reply_aux & 1u);
            memmove(s->reply, s->reply + 1, sizeof(s->reply) - 1);
            s->reply_aux >>= 1;
            s->replies--;
        } else if (s->ready[0] && !(s->ram[0] & CCB_KBD_OFF)) {
            keyboard_byte(s, ps2kbd_take(w->kbd)); /* updates `ready` */
        } else if (s->ready[1] && !(s->ram[0] & CCB_AUX_OFF)) {
            set_output(s, ps2mouse_take(w->mouse), true);
        } else {
            break;
        }
    }
    update_irqs(dev);
}

void i8042_set_ready(void *ctx, unsigned n, bool level)
{
    struct device *dev = ctx;
    struct i8042_state *s = dev->state;
    bool rises = level && !s->ready[n & 1u];

    s->ready[n & 1u] = level;
    if (rises && !(s->status & STATUS_OBF))
        pump(dev);
}

static void answer(struct i8042_state *s, uint8_t byte, bool aux)
{
    if (s->replies == sizeof(s->reply))
        return;
    s->reply[s->replies] = byte;
    s->reply_aux = (uint8_t)(s->reply_aux | (unsigned)aux << s->replies);
    s->replies++;
}

static void write_out_port(struct device *dev, uint8_t value)
{
    const struct i8042_wiring *w = dev->wiring;
    struct i8042_state *s = dev->state;

    s->out_port = value & (OUT_RESET | OUT_A20);
    line_set(&w->a20, value & OUT_A20);
    if (!(value & OUT_RESET))
        machine_request_reset(dev->machine);
}

static uint8_t read_out_port(const struct i8042_state *s)
{
    bool full = s->status & STATUS_OBF, aux = s->status & STATUS_AUX;

    return (uint8_t)(0xccu | s->out_port | (full && !aux ? OUT_IRQ1 : 0) | (full && aux ? OUT_IRQ12 : 0));
}

void i8042_note_a20(struct device *dev, bool enabled)
{
    struct i8042_state *s = dev->state;

    s->out_port = (uint8_t)((s->out_port & ~OUT_A20) | (enabled ? OUT_A20 : 0));
}

static void set_command_byte(struct i8042_state *s, uint8_t value)
{
    s->ram[0] = value;
    s->status = (uint8_t)((s->status & ~STATUS_SYS) | (value & CCB_SYS));
}

static void command(struct device *dev, uint8_t cmd)
{
    struct i8042_state *s = dev->state;

    s->status |= STATUS_CMD;
    s->parameter_of = 0;
    if (cmd >= 0x20 && cmd <= 0x3f) {
        answer(s, s->ram[cmd & 0x1fu], false);
        return;
    }
    if (cmd >= 0x60 && cmd <= 0x7f) {
        s->parameter_of = cmd;
        return;
    }
    if (cmd >= 0xf0) { /* pulse output port bits that are 0 */
        if (!(cmd & 1u))
            machine_request_reset(dev->machine);
        return;
    }
    switch (cmd) {
    case 0xa4: /* password installed? no */
        answer(s, 0xf1, false);
        break;
    case 0xa7:
        s->ram[0] |= CCB_AUX_OFF;
        break;
    case 0xa8:
        s->ram[0] &= (uint8_t)~CCB_AUX_OFF;
        break;
    case 0xa9: /* interface tests */
    case 0xab:
        answer(s, 0, false);
        break;
    case 0xaa: /* self test */
        set_command_byte(s, s->ram[0] | CCB_SYS);
        answer(s, 0x55, false);
        break;
    case 0xad:
        s->ram[0] |= CCB_KBD_OFF;
        break;
    case 0xae:
        s->ram[0] &= (uint8_t)~CCB_KBD_OFF;
        break;
    case 0xc0: /* input port: keyboard not inhibited, no manufacturing jumper */
        answer(s, 0xa0, false);
        break;
    case 0xd0:
        answer(s, read_out_port(s), false);
        break;
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xd4:
        s->parameter_of = cmd;
        break;
    case 0xdd: /* HP's A20 off and on */
    case 0xdf:
        write_out_port(dev, (uint8_t)((s->out_port & ~OUT_A20) | (cmd == 0xdf ? OUT_A20 : 0)));
        break;
    case 0xe0: /* test inputs: clocks and data idle */
        answer(s, 0, false);
        break;
    default:
        break;
    }
}

void i8042_firmware_setup(struct device *dev)
{
    set_command_byte(dev->state, CCB_XLATE | CCB_AUX_OFF | CCB_SYS | CCB_IRQ1);
}

static void data(struct device *dev, uint8_t byte)
{
    const struct i8042_wiring *w = dev->wiring;
    struct i8042_state *s = dev->state;
    uint8_t cmd = s->parameter_of;

    s->status &= (uint8_t)~STATUS_CMD;
    s->parameter_of = 0;
    if (cmd == 0x60) {
        set_command_byte(s, byte);
    } else if (cmd > 0x60 && cmd <= 0x7f) {
        s->ram[cmd & 0x1fu] = byte;
    } else if (cmd == 0xd1) {
        write_out_port(dev, byte);
    } else if (cmd == 0xd2 || cmd == 0xd3) {
        answer(s, byte, cmd == 0xd3);
    } else if (cmd == 0xd4) {
        s->ram[0] &= (uint8_t)~CCB_AUX_OFF; /* talking to a device enables its clock */
        ps2mouse_command(w->mouse, byte);
    } else {
        s->ram[0] &= (uint8_t)~CCB_KBD_OFF;
        ps2kbd_command(w->kbd, byte);
    }
}

static uint64_t i8042_read(struct device *dev, unsigned range, uint64_t offset, unsigned size)
{
    struct i8042_state *s = dev->state;
    uint8_t value;

    (void)offset, (void)size;
    if (range == I8042_COMMAND)
        return s->status | STATUS_KEYL;
    value = s->data;
    s->status &= (uint8_t)~(STATUS_OBF | STATUS_AUX);
    update_irqs(dev); /* the line falls between two bytes */
    pump(dev);
    return value;
}

static void i8042_write(struct device *dev, unsigned range, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset, (void)size;
    if (range == I8042_COMMAND)
        command(dev, (uint8_t)value);
    else
        data(dev, (uint8_t)value);
    pump(dev);
}

static void i8042_reset(struct device *dev)
{
    struct i8042_state *s = dev->state;

    memset(s, 0, sizeof(*s));
    /* Translating, not interrupting: what its own start-up code ends with. */
    s->ram[0] = CCB_XLATE | CCB_SYS;
    s->status = STATUS_SYS;
    s->out_port = OUT_RESET | OUT_A20;
    update_irqs(dev);
}

static void i8042_describe(const struct device *dev, struct buffer *b)
{
    const struct i8042_state *s = dev->state;

    buffer_printf(b, "command byte %02x status %02x data %02x output port %02x\n", s->ram[0],
                  s->status | STATUS_KEYL, s->data, read_out_port(s));
}

static bool i8042_possible(const struct device *dev)
{
    const struct i8042_state *s = dev->state;

    return s->replies <= sizeof(s->reply);
}

const struct device_ops i8042_ops = {
    .name = "i8042",
    .state_size = sizeof(struct i8042_state),
    .possible = i8042_possible,
    .reset = i8042_reset,
    .describe = i8042_describe,
    .read = i8042_read,
    .write = i8042_write,
};
