/*
 * High Definition Audio codecs (specification 1.0a, chapter 7): QEMU's hda-output, hda-duplex and hda-micro, node by node.
 *
 *   1 audio function group
 *   2 DAC, with a level   ->  3 pin: line out (hda-micro: speaker)
 *   4 ADC, with a level   <-  5 pin: line in (hda-micro: microphone)      not hda-output
 *
 * Levels, mutes, the pins' enables and the function group's power are applied to what is played and recorded. Nothing is plugged
 * in or out, so that pins tell of no presence, and no codec has an unsolicited response to give.
 *
 * Formats: 8 to 192 kHz of both families, 16 to 32 bits. A converter takes two of its stream's channels, from that on that it is told.
 */
#include "vm/dev/hda.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "vm/machine.h"

enum { ROOT, AFG, DAC, PIN_OUT, ADC, PIN_IN, NODES };

/* Verbs (7.3.3). Those of four bits have payloads of sixteen. */
enum { V_SET_FORMAT = 0x2, V_SET_AMP = 0x3, V_GET_FORMAT = 0xa, V_GET_AMP = 0xb };
enum { V_GET_PARAMETER = 0xf00, V_GET_SELECT = 0xf01, V_GET_LIST = 0xf02, V_GET_POWER = 0xf05, V_GET_STREAM = 0xf06, V_GET_PIN = 0xf07,
       V_GET_UNSOLICITED = 0xf08, V_GET_CONFIG = 0xf1c, V_GET_SUBSYSTEM = 0xf20, V_SET_POWER = 0x705, V_SET_STREAM = 0x706,
       V_SET_PIN = 0x707, V_SET_CONFIG = 0x71c, V_SET_SUBSYSTEM = 0x720, V_RESET = 0x7ff };

/* Parameters (7.3.4). */
enum { P_VENDOR = 0x00, P_REVISION = 0x02, P_NODES = 0x04, P_FUNCTION = 0x05, P_AFG_CAPS = 0x08, P_WIDGET = 0x09, P_PCM = 0x0a,
       P_STREAM = 0x0b, P_PIN = 0x0c, P_AMP_IN = 0x0d, P_LIST = 0x0e, P_POWER = 0x0f, P_AMP_OUT = 0x12 };

#define WIDGET_STEREO  0x00000001u
#define WIDGET_AMP_IN  0x00000002u
#define WIDGET_AMP_OUT 0x00000004u
#define WIDGET_AMP_OWN 0x00000008u
#define WIDGET_FORMAT  0x00000010u
#define WIDGET_LIST    0x00000100u
#define WIDGET_TYPE(t) ((uint32_t)(t) << 20)
enum { TYPE_OUT, TYPE_IN, TYPE_PIN = 4 };

#define VENDOR      0x1af4u
#define PCM_FORMATS 0x001e07ffu /* 16, 20, 24, 32 bits; 8 to 192 kHz */
#define AMP_STEPS   0x4au       /* of 1 dB; the last one is 0 dB */
#define AMP_CAPS    (1u << 31 | 3u << 16 | AMP_STEPS << 8 | AMP_STEPS)
#define AMP_MUTE    0x80u
#define PIN_OUT_EN  0x40u
#define PIN_IN_EN   0x20u
#define FORMAT_RESET 0x0011u    /* 48 kHz, 16 bits, two channels */
#define POWER_STATES 0x0000000fu

DEVICE_STATE_BEGIN
struct hda_node {
    uint32_t config;      /* pins: the configuration default; the function group: the subsystem */
    uint16_t format;      /* converters */
    uint8_t stream;       /* tag and first channel */
    uint8_t pin;          /* pin widget control */
    uint8_t amp[2];       /* right, left */
    uint8_t power;        /* D0 to D3 */
    uint8_t reserved;
};

struct hda_codec_state {
    struct sound_input in;
    uint32_t playing, recording; /* Hz of what goes to the host's side, comes from it; 0: nothing */
    struct hda_node node[NODES];
};
DEVICE_STATE_END

enum kind { OUTPUT, DUPLEX, MICRO };

/* Wiring. */
struct hda_codec {
    struct device *dev;
    struct hda_codec_state *st;
    struct hda_bus *bus;
    unsigned address;
    enum kind kind;
};

/* ---- what there is ---- */

static unsigned nodes(const struct hda_codec *c)
{
    return c->kind == OUTPUT ? ADC : NODES;
}

static uint32_t identity(const struct hda_codec *c)
{
    static const uint8_t ids[] = {0x12, 0x22, 0x32};

    return VENDOR << 16 | ids[c->kind];
}

static bool has_amp(unsigned node)
{
    return node == DAC || node == ADC;
}

static bool is_converter(unsigned node)
{
    return node == DAC || node == ADC;
}

static bool is_pin(unsigned node)
{
    return node == PIN_OUT || node == PIN_IN;
}

/* What a pin leads to (7.3.3.31): complex, device, colour, association. */
static uint32_t usual_config(const struct hda_codec *c, unsigned node)
{
    if (node == PIN_OUT)
        return c->kind == MICRO ? 0x00104010u : 0x00004010u; /* speaker; line out; green */
    return c->kind == MICRO ? 0x00a09020u : 0x00801020u;     /* microphone, pink; line in, black */
}

static uint32_t widget(unsigned node)
{
    switch (node) {
    case DAC: return WIDGET_TYPE(TYPE_OUT) | WIDGET_FORMAT | WIDGET_AMP_OWN | WIDGET_AMP_OUT | WIDGET_STEREO;
    case ADC: return WIDGET_TYPE(TYPE_IN) | WIDGET_LIST | WIDGET_FORMAT | WIDGET_AMP_OWN | WIDGET_AMP_IN | WIDGET_STEREO;
    case PIN_OUT: return WIDGET_TYPE(TYPE_PIN) | WIDGET_LIST | WIDGET_STEREO;
    default: return WIDGET_TYPE(TYPE_PIN) | WIDGET_STEREO;
    }
}

static uint32_t root_parameter(const struct hda_codec *c, unsigned parameter)
{
    switch (parameter) {
    case P_VENDOR: return identity(c);
    case P_REVISION: return 0x00100101;
    case P_NODES: return AFG << 16 | 1;
    default: return 0;
    }
}

static uint32_t group_parameter(const struct hda_codec *c, unsigned parameter)
{
    switch (parameter) {
    case P_NODES: return DAC << 16 | (nodes(c) - DAC);
    case P_FUNCTION: return 1;
    case P_AFG_CAPS: return 0x00000808;
    case P_PCM: return PCM_FORMATS;
    case P_STREAM: return 1;
    case P_POWER: return POWER_STATES;
    default: return 0;
    }
}

static uint32_t widget_parameter(unsigned node, unsigned parameter)
{
    switch (parameter) {
    case P_WIDGET: return widget(node);
    case P_PCM: return is_converter(node) ? PCM_FORMATS : 0;
    case P_STREAM: return is_converter(node) ? 1 : 0;
    case P_PIN: return node == PIN_OUT ? 0x10 : node == PIN_IN ? 0x20 : 0;
    case P_AMP_IN: return node == ADC ? AMP_CAPS : 0;
    case P_AMP_OUT: return node == DAC ? AMP_CAPS : 0;
    case P_LIST: return node == PIN_OUT || node == ADC ? 1 : 0;
    default: return 0;
    }
}

static uint32_t parameter(const struct hda_codec *c, unsigned node, unsigned which)
{
    return node == ROOT ? root_parameter(c, which) : node == AFG ? group_parameter(c, which) : widget_parameter(node, which);
}

/* ---- reset ---- */

/* What a reset of the function group makes new (7.3.3.33): not what the configuration says. */
static void reset_group(struct hda_codec *c)
{
    for (unsigned n = AFG; n < NODES; n++) {
        struct hda_node *node = &c->st->node[n];

        *node = (struct hda_node){.config = node->config};
        if (is_converter(n))
            node->format = FORMAT_RESET;
        if (has_amp(n))
            node->amp[0] = node->amp[1] = AMP_STEPS;
        if (is_pin(n))
            node->pin = n == PIN_OUT ? PIN_OUT_EN : PIN_IN_EN;
    }
    hda_codec_follow(c);
}

void hda_codec_link_reset(struct hda_codec *c)
{
    for (unsigned n = 0; n < NODES; n++)
        c->st->node[n].stream = 0;
    hda_codec_follow(c);
}

/* ---- verbs ---- */

/* Payload: bit 15 of an output amplifier, else input; 13 left, else right. */
static uint32_t get_amp(const struct hda_codec *c, unsigned node, uint16_t payload)
{
    if (!has_amp(node) || !!(payload & 0x8000) != (node == DAC) || (payload & 0xf))
        return 0;
    return c->st->node[node].amp[payload >> 13 & 1u];
}

/* Payload: bits 15, 14 of the output, input amplifier; 13, 12 left, right; 11-8 of which input; 7 mute; level. */
static void set_amp(struct hda_codec *c, unsigned node, uint16_t payload)
{
    unsigned level = payload & 0x7fu;

    if (!has_amp(node) || !(payload & (node == DAC ? 0x8000 : 0x4000)) || (node == ADC && (payload & 0xf00)))
        return;
    level = level > AMP_STEPS ? AMP_STEPS : level;
    for (unsigned side = 0; side < 2; side++)
        if (payload & 0x1000u << side)
            c->st->node[node].amp[side] = (uint8_t)((payload & AMP_MUTE) | level);
}

static uint32_t wide_verb(struct hda_codec *c, unsigned n, unsigned verb, uint16_t payload)
{
    struct hda_node *node = &c->st->node[n];

    switch (verb) {
    case V_GET_FORMAT:
        return node->format;
    case V_SET_FORMAT:
        if (is_converter(n))
            node->format = payload;
        return 0;
    case V_GET_AMP:
        return get_amp(c, n, payload);
    case V_SET_AMP:
        set_amp(c, n, payload);
        return 0;
    default:
        return 0;
    }
}

static uint32_t get(const struct hda_codec *c, unsigned n, unsigned verb, uint8_t payload)
{
    const struct hda_node *node = &c->st->node[n];

    switch (verb) {
    case V_GET_PARAMETER: return parameter(c, n, payload);
    case V_GET_LIST: return payload ? 0 : n == PIN_OUT ? DAC : n == ADC ? PIN_IN : 0;
    case V_GET_POWER: return n == AFG ? (uint32_t)node->power << 4 | node->power : 0;
    case V_GET_STREAM: return is_converter(n) ? node->stream : 0;
    case V_GET_PIN: return is_pin(n) ? node->pin : 0;
    case V_GET_CONFIG: return is_pin(n) ? node->config : 0;
    case V_GET_SUBSYSTEM: return n == AFG ? node->config : 0;
    default: return 0; /* the one connection there is is selected; no unsolicited responses, no presence, no GPIO... */
    }
}

/* A byte of the four. */
static void set_config(struct hda_node *node, unsigned byte, uint8_t value)
{
    node->config = (node->config & ~(0xffu << (8 * byte))) | (uint32_t)value << (8 * byte);
}

static void set(struct hda_codec *c, unsigned n, unsigned verb, uint8_t payload)
{
    struct hda_node *node = &c->st->node[n];

    switch (verb) {
    case V_SET_POWER:
        if (n == AFG && (payload & 0xf) < 4)
            node->power = payload & 0xf;
        break;
    case V_SET_STREAM:
        if (is_converter(n))
            node->stream = payload;
        break;
    case V_SET_PIN:
        if (is_pin(n))
            node->pin = payload & (n == PIN_OUT ? PIN_OUT_EN : PIN_IN_EN);
        break;
    case V_RESET:
        if (n == AFG)
            reset_group(c);
        break;
    default:
        if (verb >= V_SET_CONFIG && verb < V_SET_CONFIG + 4 && is_pin(n))
            set_config(node, verb - V_SET_CONFIG, payload);
        else if (verb >= V_SET_SUBSYSTEM && verb < V_SET_SUBSYSTEM + 4 && n == AFG)
            set_config(node, verb - V_SET_SUBSYSTEM, payload);
        break;
    }
}

uint32_t hda_codec_command(struct hda_codec *c, uint32_t command)
{
    unsigned n = command >> 20 & 0xffu, verb = command >> 8 & 0xfffu;
    uint32_t response = 0;

    if (n >= nodes(c))
        return 0;
    if (verb >> 8 == 0xf)
        return get(c, n, verb, (uint8_t)command);
    if (verb >> 8 == 0x7)
        set(c, n, verb, (uint8_t)command);
    else
        response = wide_verb(c, n, verb >> 8, (uint16_t)command);
    hda_codec_follow(c);
    return response;
}

/* ---- sound ---- */

static unsigned tag_of(const struct hda_codec *c, unsigned converter)
{
    return c->st->node[converter].stream >> 4;
}

/* The first of its channels. False: its stream is another. */
static bool takes(const struct hda_codec *c, unsigned converter, unsigned tag, unsigned *channel)
{
    *channel = c->st->node[converter].stream & 0xfu;
    return tag && converter < nodes(c) && tag_of(c, converter) == tag;
}

void hda_codec_follow(struct hda_codec *c)
{
    struct hda_codec_state *s = c->st;
    uint32_t out = tag_of(c, DAC) ? c->bus->rate(c->bus, tag_of(c, DAC), true) : 0;
    uint32_t in = nodes(c) > ADC && tag_of(c, ADC) ? c->bus->rate(c->bus, tag_of(c, ADC), false) : 0;

    if (out != s->playing) {
        if (s->playing)
            sound_end(c->dev, s->playing);
        if (out)
            sound_begin(c->dev, out);
        s->playing = out;
    }
    if (in != s->recording && in)
        sound_input_start(&s->in, in);
    s->recording = in;
}

/* By the converter's amplifier and its pin. */
static uint32_t gain(const struct hda_codec *c, unsigned converter, bool left)
{
    const struct hda_node *node = c->st->node;
    bool open = converter == DAC ? node[PIN_OUT].pin & PIN_OUT_EN : node[PIN_IN].pin & PIN_IN_EN;
    uint8_t amp = node[converter].amp[left];

    return !open || (amp & AMP_MUTE) || node[AFG].power == 3 ? 0 : sound_gain(4 * ((int)amp - (int)AMP_STEPS));
}

void hda_codec_play(struct hda_codec *c, unsigned tag, const struct hda_frame *frames, size_t n)
{
    struct sound_frame heard[SOUND_PIECE];
    uint32_t left = gain(c, DAC, true), right = gain(c, DAC, false);
    unsigned channel, other;

    if (!takes(c, DAC, tag, &channel) || !c->st->playing)
        return;
    other = c->st->node[DAC].format & 0xf ? (channel + 1) % HDA_CHANNELS : channel; /* a converter of one channel plays it on both sides */
    for (size_t i = 0; i < n; i++)
        heard[i] = (struct sound_frame){sound_scale(frames[i].samples[channel], left), sound_scale(frames[i].samples[other], right)};
    sound_play(c->dev, c->st->playing, heard, n);
}

void hda_codec_record(struct hda_codec *c, unsigned tag, struct hda_frame *frames, size_t n)
{
    struct sound_frame heard[SOUND_PIECE];
    uint32_t left = gain(c, ADC, true), right = gain(c, ADC, false);
    unsigned channel;

    if (!takes(c, ADC, tag, &channel) || !c->st->recording)
        return;
    sound_record(c->dev, &c->st->in, heard, n);
    for (size_t i = 0; i < n; i++) {
        frames[i].samples[channel] = sound_scale(heard[i].left, left);
        if (c->st->node[ADC].format & 0xf)
            frames[i].samples[(channel + 1) % HDA_CHANNELS] = sound_scale(heard[i].right, right);
    }
}

/* ---- the device ---- */

static void codec_reset(struct device *dev)
{
    struct hda_codec *c = dev->wiring;

    if (c->st->playing)
        sound_end(dev, c->st->playing);
    memset(c->st, 0, sizeof(*c->st));
    c->st->node[AFG].config = identity(c);
    c->st->node[PIN_OUT].config = usual_config(c, PIN_OUT);
    c->st->node[PIN_IN].config = usual_config(c, PIN_IN);
    reset_group(c);
}

static bool codec_possible(const struct device *dev)
{
    const struct hda_codec *c = dev->wiring;
    const struct hda_codec_state *s = c->st;

    for (unsigned n = 0; n < NODES; n++)
        if ((s->node[n].amp[0] & 0x7fu) > AMP_STEPS || (s->node[n].amp[1] & 0x7fu) > AMP_STEPS || s->node[n].power > 3)
            return false;
    return sound_input_possible(&s->in) && s->playing <= SOUND_RATE_MAX && s->recording <= SOUND_RATE_MAX &&
           (!s->recording || s->in.rate == s->recording);
}

static void codec_describe(const struct device *dev, struct buffer *b)
{
    static const char *const names[] = {"root", "group", "DAC", "pin", "ADC", "pin"};
    const struct hda_codec *c = dev->wiring;

    buffer_printf(b, "audiodev %s, address %u, plays %u Hz, records %u Hz\n", *dev->backend ? dev->backend : "none", c->address,
                  c->st->playing, c->st->recording);
    for (unsigned n = DAC; n < nodes(c); n++) {
        const struct hda_node *node = &c->st->node[n];

        buffer_printf(b, "%u %s: stream %u, channel %u, format %04x, levels %02x %02x, pin %02x\n", n, names[n], node->stream >> 4,
                      node->stream & 0xfu, node->format, node->amp[1], node->amp[0], node->pin);
    }
}

#define CODEC_OPS(ops_name)                                                                                               \
    {                                                                                                                     \
        .name = ops_name, .state_size = sizeof(struct hda_codec_state), .state_version = 1, .reset = codec_reset,         \
        .possible = codec_possible, .describe = codec_describe                                                            \
    }

static const struct device_ops codec_ops[] = {CODEC_OPS("hda-output"), CODEC_OPS("hda-duplex"), CODEC_OPS("hda-micro")};

const struct option_key hda_codec_keys[] = {SOUND_KEYS, {"cad", "ADDRESS (0 to 14)"}, {NULL, NULL}};

/* The controller that bus= names ("ID" or "ID.0"), or the last one. */
static struct hda_bus *find_bus(struct sockets *s, const char *name)
{
    for (unsigned i = s->machine->ndevices; i-- > 0;) {
        struct device *dev = s->machine->devices[i];
        size_t len = strlen(dev->name);

        if (hda_bus_of(dev) && (!name || (!strncmp(name, dev->name, len) && (!name[len] || !strcmp(name + len, ".0")))))
            return hda_bus_of(dev);
    }
    return NULL;
}

static int plug(struct sockets *s, const char *name, const struct option_list *props, enum kind kind, struct error *err)
{
    struct hda_bus *bus = find_bus(s, option_list_get(props, "bus"));
    uint64_t address = 0;
    struct hda_codec *c;

    if (!bus)
        return error_set(err, -ENODEV, "there is no such HDA controller: --device intel-hda or ich9-intel-hda comes before it");
    while (address < HDA_CODECS && bus->codecs[address])
        address++;
    if (option_list_number(props, "cad", 0, HDA_CODECS - 1, &address, err) < 0)
        return -EINVAL;
    if (address == HDA_CODECS || bus->codecs[address])
        return error_set(err, -EINVAL, "cad=%u: there is a codec already", (unsigned)address);
    c = machine_add_owned_device(s->machine, &codec_ops[kind], name, sizeof(*c))->wiring;
    c->dev = machine_find_device(s->machine, name);
    c->st = c->dev->state;
    c->bus = bus;
    c->address = (unsigned)address;
    c->kind = kind;
    bus->codecs[address] = c;
    return sound_connect(c->dev, props, err);
}

int hda_output_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    (void)devfn, (void)d;
    return plug(s, name, props, OUTPUT, err);
}

int hda_duplex_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    (void)devfn, (void)d;
    return plug(s, name, props, DUPLEX, err);
}

int hda_micro_plug(struct sockets *s, const char *name, uint8_t devfn, struct drive *d, const struct option_list *props, struct error *err)
{
    (void)devfn, (void)d;
    return plug(s, name, props, MICRO, err);
}
