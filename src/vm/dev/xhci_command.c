/*
 * xHCI: the command ring (4.6, 6.4.3). A command is carried out XHCI_COMMAND_NS after the doorbell, or the command
 * before it.
 *
 * Contexts are of 32 bytes. What they say is checked here, and what the controller needs of them is kept in its state: it
 * does not read them again.
 */
#include "base/bytes.h"
#include "vm/dev/xhci_internal.h"
#include "vm/machine.h"

#define CONTEXT   32u
#define WORDS     8u      /* of a context */
#define LINKS_MOST 16u    /* that follow one another */

#define SLOT_ENTRIES(n) ((uint32_t)(n) << 27)

/* ---- contexts ---- */

static uint64_t input_at(uint64_t input, unsigned index)
{
    return input + CONTEXT * (index + 1);
}

static bool save_slot(struct xhci *x, const struct xhci_slot *s, uint32_t *words)
{
    words[3] = (words[3] & 0x07ffff00u) | s->address | (uint32_t)s->state << 27;
    return xhci_write_words(x, s->context, words, WORDS);
}

/* Kinds that there are; control is for index 1 only or in both directions. Streams are none (MaxPSASize is 0). */
static bool endpoint_makes_sense(unsigned index, const uint32_t *words)
{
    unsigned type = words[1] >> 3 & 7u, packet = words[1] >> 16;

    if (words[0] >> 10 & 31u)
        return false;
    if (!type || !packet || packet > USB_PACKET_MOST || (words[2] & 0xeu))
        return false;
    if (index == 1)
        return type == EP_CONTROL;
    return type == EP_CONTROL || (type >= EP_CONTROL) == (index & 1u);
}

static void take_endpoint(struct xhci_endpoint *e, const uint32_t *words)
{
    unsigned interval = words[0] >> 16 & 0xffu;

    *e = (struct xhci_endpoint){
        .dequeue = (((uint64_t)words[3] << 32 | words[2]) & ~15ull) | (words[2] & 1u), .due = VTIME_NEVER, .state = EP_RUNNING,
        .type = words[1] >> 3 & 7u, .packet = (uint16_t)(words[1] >> 16), .interval = (uint8_t)(interval < 15 ? interval : 15)};
}

static void drop_endpoint(struct xhci *x, unsigned slot, unsigned ep)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint32_t none[WORDS] = {0};

    s->ep[ep] = (struct xhci_endpoint){.due = VTIME_NEVER};
    xhci_write_words(x, s->context + CONTEXT * (ep + 1), none, WORDS);
}

static bool add_endpoint(struct xhci *x, unsigned slot, unsigned ep, uint32_t *words)
{
    struct xhci_slot *s = &x->st->slot[slot];

    take_endpoint(&s->ep[ep], words);
    words[0] = (words[0] & ~7u) | EP_RUNNING;
    return xhci_write_words(x, s->context + CONTEXT * (ep + 1), words, WORDS);
}

/* ---- slots ---- */

static void forget_slot(struct xhci_slot *s)
{
    *s = (struct xhci_slot){0};
    for (unsigned i = 0; i < XHCI_ENDPOINTS; i++)
        s->ep[i].due = VTIME_NEVER;
}

static enum xhci_code enable_slot(struct xhci *x, unsigned *slot)
{
    struct xhci_state *st = x->st;

    for (unsigned i = 0; i < XHCI_SLOTS && i < (st->configure & 0xffu); i++)
        if (!st->slot[i].used) {
            forget_slot(&st->slot[i]);
            st->slot[i].used = 1;
            *slot = i + 1;
            return CC_SUCCESS;
        }
    return CC_NO_SLOTS;
}

static enum xhci_code disable_slot(struct xhci *x, unsigned slot)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint32_t words[WORDS];

    if (s->context && xhci_read_words(x, s->context, words, WORDS)) {
        words[3] &= 0x07ffffffu;
        xhci_write_words(x, s->context, words, WORDS);
    }
    forget_slot(s);
    return CC_SUCCESS;
}

/* SET_ADDRESS, as the controller sends it itself. False: nobody answers so. */
static bool send_address(struct usb_device *d, unsigned address)
{
    uint8_t setup[8] = {0, USB_SET_ADDRESS, (uint8_t)address, 0, 0, 0, 0, 0}, none[8];
    size_t len = sizeof(setup);

    if (usb_transact(d, USB_PID_SETUP, 0, setup, &len) != USB_ACK)
        return false;
    len = 0;
    return usb_transact(d, USB_PID_IN, 0, none, &len) == USB_ACK;
}

static enum xhci_code address_device(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint64_t input = t->parameter & ~15ull;
    bool block = t->control & TRB_BSR;
    uint32_t control[WORDS], words[WORDS], ep0[WORDS];
    struct usb_device *d;
    uint8_t pointer[8];

    if (s->state > SLOT_DEFAULT || (block && s->state != SLOT_ENABLED))
        return CC_CONTEXT_STATE;
    if (!xhci_read_words(x, input, control, WORDS) || !xhci_read_words(x, input_at(input, 0), words, WORDS) ||
        !xhci_read_words(x, input_at(input, 1), ep0, WORDS) ||
        !xhci_read(x, x->st->dcbaap + 8 * (slot + 1), pointer, sizeof(pointer)))
        return CC_TRB;
    s->port = (uint8_t)(words[1] >> 16);
    if ((control[1] & 3u) != 3 || !s->port || s->port > XHCI_ROOT_PORTS || !endpoint_makes_sense(1, ep0)) {
        s->port = 0;
        return CC_PARAMETER;
    }
    s->context = get_le64(pointer) & ~63ull;
    s->address = 0;
    d = xhci_device(x, s);
    if (!block && (!d || !send_address(d, slot + 1)))
        return CC_TRANSACTION;
    s->address = (uint8_t)(block ? 0 : slot + 1);
    s->state = block ? SLOT_DEFAULT : SLOT_ADDRESSED;
    words[0] = (words[0] & 0x07ffffffu) | SLOT_ENTRIES(1);
    words[3] = 0;
    save_slot(x, s, words);
    add_endpoint(x, slot, 0, ep0);
    return CC_SUCCESS;
}

static enum xhci_code reset_device(struct xhci *x, unsigned slot)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint32_t words[WORDS];

    if (s->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    for (unsigned i = 1; i < XHCI_ENDPOINTS; i++)
        drop_endpoint(x, slot, i);
    if (!xhci_read_words(x, s->context, words, WORDS))
        return CC_TRB;
    s->state = SLOT_DEFAULT;
    s->address = 0;
    words[0] = (words[0] & 0x07ffffffu) | SLOT_ENTRIES(1);
    save_slot(x, s, words);
    s->ep[0].due = VTIME_NEVER;
    return CC_SUCCESS;
}

/* ---- endpoints ---- */

static enum xhci_code deconfigure(struct xhci *x, unsigned slot)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint32_t words[WORDS];

    for (unsigned i = 1; i < XHCI_ENDPOINTS; i++)
        drop_endpoint(x, slot, i);
    if (!xhci_read_words(x, s->context, words, WORDS))
        return CC_TRB;
    s->state = SLOT_ADDRESSED;
    words[0] = (words[0] & 0x07ffffffu) | SLOT_ENTRIES(1);
    save_slot(x, s, words);
    return CC_SUCCESS;
}

/* The highest index that is in use. */
static unsigned entries(const struct xhci_slot *s)
{
    unsigned n = XHCI_ENDPOINTS;

    while (n > 1 && s->ep[n - 1].state == EP_DISABLED)
        n--;
    return n;
}

static enum xhci_code configure(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint64_t input = t->parameter & ~15ull;
    uint32_t control[WORDS], ep[XHCI_ENDPOINTS + 1][WORDS], in[WORDS], words[WORDS];

    if (s->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    if (t->control & TRB_DC)
        return deconfigure(x, slot);
    if (!xhci_read_words(x, input, control, WORDS) || !xhci_read_words(x, s->context, words, WORDS) ||
        !xhci_read_words(x, input_at(input, 0), in, WORDS))
        return CC_TRB;
    if ((control[0] & 3u) || (control[1] & 2u))
        return CC_PARAMETER;
    for (unsigned i = 2; i <= XHCI_ENDPOINTS; i++) /* all of them, before anything changes */
        if (control[1] >> i & 1u) {
            if (!xhci_read_words(x, input_at(input, i), ep[i], WORDS))
                return CC_TRB;
            if (!endpoint_makes_sense(i, ep[i]))
                return CC_PARAMETER;
        }
    for (unsigned i = 2; i <= XHCI_ENDPOINTS; i++) {
        if (control[0] >> i & 1u)
            drop_endpoint(x, slot, i - 1);
        if (control[1] >> i & 1u)
            add_endpoint(x, slot, i - 1, ep[i]);
    }
    if (control[1] & 1u) { /* what it is as a hub */
        words[0] = (words[0] & ~0x06000000u) | (in[0] & 0x06000000u);
        words[1] = (words[1] & 0x00ffffffu) | (in[1] & 0xff000000u);
        words[2] = (words[2] & ~0x00030000u) | (in[2] & 0x00030000u);
    }
    s->state = entries(s) > 1 ? SLOT_CONFIGURED : SLOT_ADDRESSED;
    words[0] = (words[0] & 0x07ffffffu) | SLOT_ENTRIES(entries(s));
    save_slot(x, s, words);
    return CC_SUCCESS;
}

static enum xhci_code evaluate(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    struct xhci_slot *s = &x->st->slot[slot];
    uint64_t input = t->parameter & ~15ull;
    uint32_t control[WORDS], in[WORDS], words[WORDS];

    if (s->state < SLOT_DEFAULT)
        return CC_CONTEXT_STATE;
    if (!xhci_read_words(x, input, control, WORDS))
        return CC_TRB;
    if (control[0])
        return CC_PARAMETER;
    if ((control[1] & 1u) && xhci_read_words(x, input_at(input, 0), in, WORDS) && xhci_read_words(x, s->context, words, WORDS)) {
        words[1] = (words[1] & ~0xffffu) | (in[1] & 0xffffu);          /* max exit latency */
        words[2] = (words[2] & 0x003fffffu) | (in[2] & 0xffc00000u);   /* interrupter */
        save_slot(x, s, words);
    }
    if ((control[1] & 2u) && xhci_read_words(x, input_at(input, 1), in, WORDS) &&
        xhci_read_words(x, s->context + CONTEXT, words, WORDS)) {
        unsigned packet = in[1] >> 16;

        if (!packet || packet > USB_PACKET_MOST)
            return CC_PARAMETER;
        words[1] = (words[1] & 0xffffu) | packet << 16;
        s->ep[0].packet = (uint16_t)packet;
        xhci_write_words(x, s->context + CONTEXT, words, WORDS);
    }
    return CC_SUCCESS;
}

/* The endpoint that a command names. NULL: there is none (*code). */
static struct xhci_endpoint *endpoint_of(struct xhci *x, unsigned slot, const struct xhci_trb *t, unsigned *ep,
                                         enum xhci_code *code)
{
    struct xhci_slot *s = &x->st->slot[slot];
    unsigned index = t->control >> 16 & 31u;

    *code = index ? CC_ENDPOINT_DISABLED : CC_TRB;
    if (!index || s->state == SLOT_ENABLED || s->ep[index - 1].state == EP_DISABLED)
        return NULL;
    *code = CC_SUCCESS;
    *ep = index - 1;
    return &s->ep[index - 1];
}

static enum xhci_code endpoint_command(struct xhci *x, unsigned slot, const struct xhci_trb *t)
{
    enum xhci_code code;
    unsigned ep;
    struct xhci_endpoint *e = endpoint_of(x, slot, t, &ep, &code);

    if (!e)
        return code;
    switch (xhci_trb_type(t)) {
    case TRB_RESET_ENDPOINT:
        if (e->state != EP_HALTED)
            return CC_CONTEXT_STATE;
        e->state = EP_STOPPED;
        break;
    case TRB_STOP_ENDPOINT:
        if (e->state != EP_RUNNING)
            return CC_CONTEXT_STATE;
        xhci_stop_endpoint(x, slot, ep);
        e->state = EP_STOPPED;
        break;
    default: /* Set TR Dequeue Pointer */
        if (e->state != EP_STOPPED && e->state != EP_ERROR)
            return CC_CONTEXT_STATE;
        if ((t->parameter & 0xeu) || t->status >> 16)
            return CC_TRB; /* streams */
        e->dequeue = t->parameter;
        e->at = e->moved = 0;
        e->state = EP_STOPPED;
        break;
    }
    e->due = VTIME_NEVER;
    e->waiting = 0;
    xhci_save_endpoint(x, slot, ep);
    return CC_SUCCESS;
}

/* ---- the ring ---- */

static enum xhci_code slot_command(struct xhci *x, const struct xhci_trb *t, unsigned slot)
{
    if (!slot || slot > XHCI_SLOTS || !x->st->slot[slot - 1].used)
        return CC_SLOT_DISABLED;
    switch (xhci_trb_type(t)) {
    case TRB_DISABLE_SLOT:       return disable_slot(x, slot - 1);
    case TRB_ADDRESS_DEVICE:     return address_device(x, slot - 1, t);
    case TRB_CONFIGURE_ENDPOINT: return configure(x, slot - 1, t);
    case TRB_EVALUATE_CONTEXT:   return evaluate(x, slot - 1, t);
    case TRB_RESET_DEVICE:       return reset_device(x, slot - 1);
    default:                     return endpoint_command(x, slot - 1, t);
    }
}

static void complete(struct xhci *x, uint64_t at, enum xhci_code code, unsigned slot)
{
    struct xhci_trb e = {.parameter = at, .status = (uint32_t)code << 24, .control = slot << 24 | TRB_COMMAND_EVENT << 10};

    xhci_event(x, 0, &e, false);
}

static void carry_out(struct xhci *x, uint64_t at, const struct xhci_trb *t)
{
    unsigned type = xhci_trb_type(t), slot = t->control >> 24;
    enum xhci_code code = CC_TRB;

    if (type == TRB_ENABLE_SLOT)
        code = enable_slot(x, &slot);
    else if (type == TRB_COMMAND_NOOP)
        code = CC_SUCCESS;
    else if (type >= TRB_DISABLE_SLOT && type <= TRB_RESET_DEVICE)
        code = slot_command(x, t, slot);
    complete(x, at, code, slot);
}

void xhci_command(struct xhci *x)
{
    struct xhci_state *s = x->st;
    struct xhci_trb t;

    s->command_at = VTIME_NEVER;
    if (!xhci_has_room(x, 0))
        return;
    for (unsigned links = 0;; links++) {
        uint64_t at = s->commands & ~15ull;

        if (!xhci_read_trb(x, at, &t) || (t.control & TRB_CYCLE) != (s->commands & TRB_CYCLE))
            return;
        if (xhci_trb_type(&t) == TRB_LINK) {
            if (links == LINKS_MOST) { /* they lead nowhere */
                complete(x, at, CC_TRB, 0);
                s->commands_run = 0;
                return;
            }
            s->commands = xhci_follow(s->commands, &t);
            if (t.control & TRB_IOC)
                complete(x, at, CC_SUCCESS, 0);
            continue;
        }
        s->commands += TRB_BYTES;
        carry_out(x, at, &t);
        s->command_at = xhci_now(x) + XHCI_COMMAND_NS;
        return;
    }
}

void xhci_stop_commands(struct xhci *x)
{
    struct xhci_state *s = x->st;

    if (!s->commands_run)
        return;
    s->commands_run = 0;
    s->command_at = VTIME_NEVER;
    complete(x, s->commands & ~15ull, CC_COMMANDS_STOPPED, 0);
}
