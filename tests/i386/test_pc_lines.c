/*
 * The PC board's serial port, keyboard controller, keyboard and mouse.
 */
#include "tests/whole/chip_bench.h"

#include "i386/pc.h"
#include "i386/pc/i8042.h"
#include "vm/dev/ports.h"
#include "i386/pc/ps2.h"
#include "vm/dev/clock.h"
#include "vm/dev/keys.h"
#include "vm/dev/uart16550.h"

/* ---- 16550A ---- */

static struct device *new_uart(void)
{
    static struct uart16550_wiring wiring;
    struct device *uart;

    wiring = (struct uart16550_wiring){.irq = probe_line(0), .irq_needs_out2 = true};
    uart = add(&uart16550_ops, &wiring);
    reset_all();
    out(uart, 0, 3, 0x03);
    out(uart, 0, 4, 0x0b);
    return uart;
}

START_TEST(uart_sends_what_is_written)
{
    struct device *uart = new_uart();

    ck_assert_uint_eq(in(uart, 0, 5) & 0x60, 0x60);
    out(uart, 0, 0, 'h');
    out(uart, 0, 0, 'i');
    ck_assert_uint_eq(sent.len, 2);
    ck_assert_int_eq(memcmp(sent.data, "hi", 2), 0);
}
END_TEST

START_TEST(uart_enabling_the_thre_interrupt_on_an_empty_transmitter_raises_it)
{
    struct device *uart = new_uart();

    out(uart, 0, 1, 0x02);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0x02);
    ck_assert_msg(!probe[0].level, "reading IIR takes it back");
    ck_assert_uint_eq(in(uart, 0, 2), 0x01);
    out(uart, 0, 1, 0x00);
    out(uart, 0, 1, 0x02);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(uart_raises_thre_again_after_a_write_and_not_at_once)
{
    struct device *uart = new_uart();

    out(uart, 0, 1, 0x02);
    in(uart, 0, 2);
    out(uart, 0, 0, 'x');
    ck_assert(!probe[0].level);
    run_for(1 * MS);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0x02);
}
END_TEST

START_TEST(uart_receives_at_the_trigger_level)
{
    struct device *uart = new_uart();

    out(uart, 0, 2, 0x81); /* FIFO, trigger at 8 */
    out(uart, 0, 1, 0x01);
    input(uart, "1234567", 7);
    ck_assert(!probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 5) & 1, 1);
    input(uart, "8", 1);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0xc4);
    ck_assert_uint_eq(in(uart, 0, 0), '1');
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(uart_times_out_after_four_character_times)
{
    struct device *uart = new_uart();
    const uint64_t four = 4 * 10 * NS_PER_SEC / 115200ull;

    out(uart, 0, 2, 0x81);
    out(uart, 0, 1, 0x01);
    input(uart, "ab", 2);
    run_for(four - 1);
    ck_assert(!probe[0].level);
    run_for(1);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 2), 0xcc);
    ck_assert_uint_eq(in(uart, 0, 0), 'a');
    ck_assert(!probe[0].level);
    run_for(four);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(in(uart, 0, 0), 'b');
    run_for(10 * four);
    ck_assert(!probe[0].level);
}
END_TEST

START_TEST(uart_has_room_for_16_bytes_and_reports_overruns)
{
    struct device *uart = new_uart();

    ck_assert_uint_eq(uart16550_ops.input_room(uart), 1);
    out(uart, 0, 2, 0x01);
    ck_assert_uint_eq(uart16550_ops.input_room(uart), 16);
    input(uart, "0123456789abcdef", 16);
    ck_assert_uint_eq(uart16550_ops.input_room(uart), 0);
    out(uart, 0, 1, 0x04);
    input(uart, "!", 1);
    ck_assert_uint_eq(in(uart, 0, 2), 0xc6);
    ck_assert_uint_eq(in(uart, 0, 5) & 0x03, 0x03);
    ck_assert_msg(!(in(uart, 0, 5) & 2), "reading LSR clears the error");
    for (unsigned i = 0; i < 16; i++)
        ck_assert_uint_eq(in(uart, 0, 0), (unsigned)"0123456789abcdef"[i]);
    ck_assert(!(in(uart, 0, 5) & 1));
}
END_TEST

START_TEST(uart_loops_back)
{
    struct device *uart = new_uart();

    out(uart, 0, 4, 0x1a); /* LOOP, OUT2, RTS */
    ck_assert_uint_eq(in(uart, 0, 6) & 0xf0, 0x90);
    out(uart, 0, 0, 0x5a);
    ck_assert_uint_eq(sent.len, 0);
    ck_assert_uint_eq(in(uart, 0, 5) & 1, 1);
    ck_assert_uint_eq(in(uart, 0, 0), 0x5a);
    ck_assert_msg(in(uart, 0, 6) == 0x90, "reading MSR cleared the deltas");
    out(uart, 0, 4, 0x10);
    ck_assert_uint_eq(in(uart, 0, 6), 0x09);
}
END_TEST

START_TEST(uart_interrupts_only_through_out2)
{
    struct device *uart = new_uart();

    out(uart, 0, 4, 0x03);
    out(uart, 0, 1, 0x02);
    ck_assert(!probe[0].level);
    out(uart, 0, 4, 0x0b);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(uart_without_the_gate_interrupts_whatever_out2_says)
{
    static struct uart16550_wiring wiring;
    struct device *uart;

    wiring = (struct uart16550_wiring){.irq = probe_line(0)};
    uart = add(&uart16550_ops, &wiring);
    reset_all();
    out(uart, 0, 1, 0x01);
    input(uart, "a", 1);
    ck_assert(probe[0].level);
    out(uart, 0, 4, 0x13);
    ck_assert(probe[0].level);
}
END_TEST

START_TEST(uart_break_belongs_to_its_character)
{
    struct device *uart = new_uart();

    out(uart, 0, 4, 0x18);
    out(uart, 0, 2, 0x01);
    out(uart, 0, 1, 0x04);
    out(uart, 0, 0, 'a');
    out(uart, 0, 3, 0x43);
    out(uart, 0, 3, 0x03);
    ck_assert_uint_eq(in(uart, 0, 2) & 0x0f, 0x01); /* no line status interrupt yet */
    ck_assert_uint_eq(in(uart, 0, 5), 0xe1);
    ck_assert_uint_eq(in(uart, 0, 0), 'a');
    ck_assert_uint_eq(in(uart, 0, 2) & 0x0f, 0x06);
    ck_assert_uint_eq(in(uart, 0, 5), 0xf1);
    ck_assert_uint_eq(in(uart, 0, 5), 0x61); /* read once */
    ck_assert_uint_eq(in(uart, 0, 0), 0);
    ck_assert_uint_eq(in(uart, 0, 5), 0x60);
}
END_TEST

START_TEST(uart_without_fifo_has_no_bit_7_in_lsr)
{
    struct device *uart = new_uart();

    out(uart, 0, 4, 0x18);
    out(uart, 0, 3, 0x43);
    ck_assert_uint_eq(in(uart, 0, 5), 0x71);
}
END_TEST

START_TEST(uart_registers_have_the_bits_of_the_data_sheet)
{
    struct device *uart = new_uart();

    out(uart, 0, 1, 0xff);
    ck_assert_uint_eq(in(uart, 0, 1), 0x0f);
    out(uart, 0, 2, 0xff);
    ck_assert_uint_eq(in(uart, 0, 2) & 0xf0, 0xc0);
    out(uart, 0, 2, 0xc0); /* without bit 0 the others do not count */
    ck_assert_uint_eq(in(uart, 0, 2) & 0xf0, 0);
    out(uart, 0, 3, 0x7f);
    ck_assert_uint_eq(in(uart, 0, 3), 0x7f);
    out(uart, 0, 4, 0xff);
    ck_assert_uint_eq(in(uart, 0, 4), 0x1f);
    out(uart, 0, 5, 0xff);
    ck_assert_uint_eq(in(uart, 0, 5) & 0x9f, 0);
    ck_assert_uint_eq(in(uart, 0, 6) & 0xf0, 0xf0); /* loopback: RTS, DTR, OUT1, OUT2 */
    ck_assert_uint_eq(in(uart, 0, 6) & 0x0f, 0);    /* reading took the deltas */
    out(uart, 0, 4, 0x10);
    ck_assert_uint_eq(in(uart, 0, 6), 0x0f);        /* all four fell, RI's trailing edge, too */
    out(uart, 0, 7, 0xa5);
    ck_assert_uint_eq(in(uart, 0, 7), 0xa5);
}
END_TEST

START_TEST(uart_divisor_hides_behind_dlab)
{
    struct device *uart = new_uart();

    out(uart, 0, 3, 0x83);
    out(uart, 0, 0, 0x0c);
    out(uart, 0, 1, 0x01);
    ck_assert_uint_eq(in(uart, 0, 0), 0x0c);
    ck_assert_uint_eq(in(uart, 0, 1), 0x01);
    out(uart, 0, 3, 0x03);
    ck_assert_uint_eq(in(uart, 0, 1), 0x00);
    ck_assert_uint_eq(sent.len, 0);
    out(uart, 0, 7, 0xa5);
    ck_assert_uint_eq(in(uart, 0, 7), 0xa5);
}
END_TEST

/* ---- 8042 and what hangs on it ---- */

static struct device *kbc, *kbd, *mouse;

static void new_i8042(void)
{
    static struct i8042_wiring wiring;
    static struct ps2_wiring kbd_wiring, mouse_wiring;

    kbc = add(&i8042_ops, &wiring);
    kbd = add(&ps2kbd_ops, &kbd_wiring);
    mouse = add(&ps2mouse_ops, &mouse_wiring);
    wiring = (struct i8042_wiring){
        .kbd = kbd, .mouse = mouse, .irq1 = probe_line(0), .irq12 = probe_line(1), .a20 = probe_line(2)};
    kbd_wiring.ready = (struct line){.set = i8042_set_ready, .ctx = kbc, .n = 0};
    mouse_wiring.ready = (struct line){.set = i8042_set_ready, .ctx = kbc, .n = 1};
    reset_all();
}

static bool kbc_full(void)
{
    return in(kbc, I8042_COMMAND, 0) & 1;
}

static uint8_t kbc_get(void)
{
    ck_assert_msg(kbc_full(), "the output buffer is empty");
    return in(kbc, I8042_DATA, 0);
}

static void kbc_command_byte(unsigned value)
{
    out(kbc, I8042_COMMAND, 0, 0x60);
    out(kbc, I8042_DATA, 0, value);
}

static void to_mouse(unsigned byte)
{
    out(kbc, I8042_COMMAND, 0, 0xd4);
    out(kbc, I8042_DATA, 0, byte);
}

static void press(uint16_t word)
{
    const uint8_t data[2] = {(uint8_t)word, (uint8_t)(word >> 8)};

    input(kbd, data, 2);
}

START_TEST(i8042_passes_its_tests)
{
    new_i8042();
    out(kbc, I8042_COMMAND, 0, 0xaa);
    ck_assert_uint_eq(kbc_get(), 0x55);
    out(kbc, I8042_COMMAND, 0, 0xab);
    ck_assert_uint_eq(kbc_get(), 0x00);
    out(kbc, I8042_COMMAND, 0, 0xa9);
    ck_assert_uint_eq(kbc_get(), 0x00);
    kbc_command_byte(0x61);
    out(kbc, I8042_COMMAND, 0, 0x20);
    ck_assert_uint_eq(kbc_get(), 0x61);
}
END_TEST

START_TEST(i8042_moves_the_a20_gate)
{
    new_i8042();
    out(kbc, I8042_COMMAND, 0, 0xd1);
    out(kbc, I8042_DATA, 0, 0xdf);
    ck_assert(probe[2].level);
    out(kbc, I8042_COMMAND, 0, 0xd1);
    out(kbc, I8042_DATA, 0, 0xdd);
    ck_assert(!probe[2].level);
    out(kbc, I8042_COMMAND, 0, 0xd0);
    ck_assert(!(kbc_get() & 2));
}
END_TEST

START_TEST(i8042_resets_the_machine)
{
    new_i8042();
    out(kbc, I8042_COMMAND, 0, 0xff);
    ck_assert(!m->st->reset_request);
    out(kbc, I8042_COMMAND, 0, 0xfe);
    ck_assert(m->st->reset_request);
}
END_TEST

START_TEST(keyboard_answers_reset_and_identify)
{
    new_i8042();
    kbc_command_byte(0x01);
    out(kbc, I8042_DATA, 0, 0xff);
    ck_assert(probe[0].level);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0xaa);
    ck_assert(!probe[0].level);
    out(kbc, I8042_DATA, 0, 0xf2);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0xab);
    ck_assert_uint_eq(kbc_get(), 0x83);
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(keys_arrive_in_the_set_that_is_asked_for)
{
    static const struct { uint16_t key; uint8_t set1[8], set2[8]; } cases[] = {
        {0x1e, {0x1e}, {0x1c}},
        {0x1e | KEY_RELEASE, {0x9e}, {0xf0, 0x1c}},
        {0x148, {0xe0, 0x48}, {0xe0, 0x75}},
        {0x148 | KEY_RELEASE, {0xe0, 0xc8}, {0xe0, 0xf0, 0x75}},
        {0x41, {0x41}, {0x83}},
        {KEY_PAUSE, {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5}, {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77}},
        {KEY_PRINT, {0xe0, 0x2a, 0xe0, 0x37}, {0xe0, 0x12, 0xe0, 0x7c}},
    };

    new_i8042();
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        kbc_command_byte(0x41); /* translating */
        press(cases[i].key);
        for (unsigned j = 0; j < 8 && cases[i].set1[j]; j++)
            ck_assert_uint_eq(kbc_get(), cases[i].set1[j]);
        ck_assert(!kbc_full());
        kbc_command_byte(0x01);
        press(cases[i].key);
        for (unsigned j = 0; j < 8 && cases[i].set2[j]; j++)
            ck_assert_uint_eq(kbc_get(), cases[i].set2[j]);
        ck_assert(!kbc_full());
    }
}
END_TEST

START_TEST(keyboard_speaks_set_3_and_set_1_itself)
{
    new_i8042();
    kbc_command_byte(0x01);
    out(kbc, I8042_DATA, 0, 0xf0);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    out(kbc, I8042_DATA, 0, 3);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    press(0x3b); /* F1 */
    ck_assert_uint_eq(kbc_get(), 0x07);
    press(0x3b | KEY_RELEASE);
    ck_assert(!kbc_full()); /* it neither breaks nor repeats, by default */
    out(kbc, I8042_DATA, 0, 0xf8); /* all keys do */
    kbc_get();
    press(0x3b | KEY_RELEASE);
    ck_assert_uint_eq(kbc_get(), 0xf0);
    ck_assert_uint_eq(kbc_get(), 0x07);
    out(kbc, I8042_DATA, 0, 0xf0);
    kbc_get();
    out(kbc, I8042_DATA, 0, 0);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 3);
    out(kbc, I8042_DATA, 0, 0xf0);
    kbc_get();
    out(kbc, I8042_DATA, 0, 1);
    kbc_get();
    press(0x3b | KEY_RELEASE);
    ck_assert_uint_eq(kbc_get(), 0xbb);
}
END_TEST

/* Is the key of set 3 told when it is let go, and does it repeat? */
static void expect_type(uint16_t key, unsigned code, bool repeats, bool breaks)
{
    press(key);
    ck_assert_uint_eq(kbc_get(), code);
    run_for(600 * MS);
    ck_assert_int_eq(kbc_full(), repeats);
    while (kbc_full())
        kbc_get();
    press(key | KEY_RELEASE);
    ck_assert_int_eq(kbc_full(), breaks);
    while (kbc_full())
        kbc_get();
}

/* The keyboard talks scan code set 3. */
static void use_set_3(void)
{
    out(kbc, I8042_DATA, 0, 0xf0);
    kbc_get();
    out(kbc, I8042_DATA, 0, 3);
    kbc_get();
}

START_TEST(keys_of_set_3_have_types_of_their_own)
{
    static const struct {
        uint8_t command;
        bool repeats, breaks;
    } all[] = {{0xf7, true, false}, {0xf8, false, true}, {0xf9, false, false}, {0xfa, true, true}};

    new_i8042();
    kbc_command_byte(0x01);
    use_set_3();
    expect_type(0x1e, 0x1c, true, false);  /* A */
    expect_type(0x2a, 0x12, false, true);  /* Shift */
    expect_type(0x3b, 0x07, false, false); /* F1 */
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        out(kbc, I8042_DATA, 0, all[i].command);
        ck_assert_uint_eq(kbc_get(), 0xfa);
        expect_type(0x1e, 0x1c, all[i].repeats, all[i].breaks);
    }
    /* One after the other, as many as are named. */
    for (unsigned command = 0xfb; command <= 0xfd; command++) {
        out(kbc, I8042_DATA, 0, command);
        ck_assert_uint_eq(kbc_get(), 0xfa);
        for (unsigned key = 0; key < 2; key++) {
            out(kbc, I8042_DATA, 0, key ? 0x32 : 0x1c);
            ck_assert_uint_eq(kbc_get(), 0xfa);
        }
        out(kbc, I8042_DATA, 0, 0xf4);
        ck_assert_uint_eq(kbc_get(), 0xfa);
        expect_type(0x1e, 0x1c, command == 0xfb, command == 0xfc);
        expect_type(0x30, 0x32, command == 0xfb, command == 0xfc);
        expect_type(0x2e, 0x21, true, true);
    }
    out(kbc, I8042_DATA, 0, 0xf6);
    kbc_get();
    use_set_3();
    expect_type(0x1e, 0x1c, true, false);
}
END_TEST

/* What comes of a key, up to 16 bytes. */
static void expect_bytes(uint16_t word, const char *bytes, unsigned n)
{
    press(word);
    for (unsigned i = 0; i < n; i++)
        ck_assert_uint_eq(kbc_get(), (uint8_t)bytes[i]);
    ck_assert(!kbc_full());
}

START_TEST(print_and_pause_depend_on_modifiers)
{
    new_i8042();
    kbc_command_byte(0x01);
    expect_bytes(KEY_PRINT, "\xe0\x12\xe0\x7c", 4);
    expect_bytes(KEY_PRINT | KEY_RELEASE, "\xe0\xf0\x7c\xe0\xf0\x12", 6);
    expect_bytes(0x38, "\x11", 1);
    expect_bytes(KEY_PRINT, "\x84", 1);
    expect_bytes(KEY_PRINT | KEY_RELEASE, "\xf0\x84", 2);
    expect_bytes(0x38 | KEY_RELEASE, "\xf0\x11", 2);
    expect_bytes(0x11d, "\xe0\x14", 2);
    expect_bytes(KEY_PRINT, "\xe0\x7c", 2);
    expect_bytes(KEY_PRINT | KEY_RELEASE, "\xe0\xf0\x7c", 3);
    expect_bytes(KEY_PAUSE, "\xe0\x7e\xe0\xf0\x7e", 5);
    expect_bytes(0x11d | KEY_RELEASE, "\xe0\xf0\x14", 3);
    expect_bytes(KEY_PAUSE, "\xe1\x14\x77\xe1\xf0\x14\xf0\x77", 8);
}
END_TEST

START_TEST(key_held_repeats_after_half_a_second)
{
    new_i8042();
    kbc_command_byte(0x41);
    press(0x1e);
    ck_assert_uint_eq(kbc_get(), 0x1e);
    run_for(499 * MS);
    ck_assert(!kbc_full());
    run_for(1 * MS);
    ck_assert_uint_eq(kbc_get(), 0x1e);
    run_for(100 * MS);
    ck_assert_uint_eq(kbc_get(), 0x1e);
    press(0x1e | KEY_RELEASE);
    ck_assert_uint_eq(kbc_get(), 0x9e);
    run_for(2000 * MS);
    ck_assert(!kbc_full());
}
END_TEST

static void put_word(uint8_t *data, unsigned i, uint16_t word)
{
    data[2 * i] = (uint8_t)word;
    data[2 * i + 1] = (uint8_t)(word >> 8);
}

START_TEST(a_key_is_held_as_long_as_the_input_says)
{
    uint8_t data[12];

    new_i8042();
    kbc_command_byte(0x41);
    put_word(data, 0, 0x1e);
    put_word(data, 1, KEY_WAIT | 100);
    put_word(data, 2, 0x1e | KEY_RELEASE);
    put_word(data, 3, KEY_WAIT | 5);
    put_word(data, 4, 0x30);
    put_word(data, 5, KEY_WAIT | 5);
    input(kbd, data, sizeof(data));
    ck_assert_uint_eq(kbc_get(), 0x1e);
    run_for(99 * MS);
    ck_assert(!kbc_full());
    run_for(1 * MS);
    ck_assert_uint_eq(kbc_get(), 0x9e);
    ck_assert(!kbc_full());
    press(0x31); /* what is typed next waits for its turn */
    run_for(5 * MS);
    ck_assert_uint_eq(kbc_get(), 0x30);
    ck_assert(!kbc_full());
    run_for(5 * MS);
    ck_assert_uint_eq(kbc_get(), 0x31);
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(what_does_not_fit_is_typed_when_bytes_are_taken)
{
    uint8_t data[2 * 48];

    new_i8042();
    kbc_command_byte(0x41);
    for (unsigned i = 0; i < 48; i++)
        put_word(data, i, (uint16_t)((0x10 + i / 2) | (i % 2 ? KEY_RELEASE : 0)));
    ck_assert_uint_ge(ps2kbd_ops.input_room(kbd), sizeof(data));
    input(kbd, data, sizeof(data));
    for (unsigned i = 0; i < 48; i++)
        ck_assert_uint_eq(kbc_get(), 0x10 + i / 2 + (i % 2 ? 0x80 : 0));
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(disabled_keyboard_holds_its_bytes)
{
    new_i8042();
    kbc_command_byte(0x51); /* keyboard clock off */
    press(0x1e);
    ck_assert(!kbc_full());
    out(kbc, I8042_COMMAND, 0, 0xae);
    ck_assert_uint_eq(kbc_get(), 0x1e);
}
END_TEST

START_TEST(keyboard_input_never_overflows_what_room_promised)
{
    uint8_t data[128];
    size_t room;

    new_i8042();
    kbc_command_byte(0x11);
    for (;;) {
        room = ps2kbd_ops.input_room(kbd);
        if (!room)
            break;
        ck_assert_uint_le(room, sizeof(data));
        ck_assert_uint_eq(room % 2, 0);
        data[0] = 0x48;
        data[1] = 0x81; /* release of an extended key: three bytes */
        input(kbd, data, 2);
    }
    kbc_command_byte(0x01);
    for (unsigned n = 0; kbc_full(); n++) {
        static const uint8_t up[] = {0xe0, 0xf0, 0x75};

        ck_assert_uint_eq(kbc_get(), up[n % 3]);
    }
}
END_TEST

START_TEST(mouse_reports_movement_and_buttons)
{
    static const uint8_t record[8] = {5, 0, 3, 0, 0, 0, 1, 0}; /* right, down, left button */

    new_i8042();
    kbc_command_byte(0x43);
    to_mouse(0xf4);
    ck_assert(probe[1].level);
    ck_assert_uint_eq(in(kbc, I8042_COMMAND, 0) & 0x21, 0x21);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    input(mouse, record, sizeof(record));
    ck_assert_uint_eq(kbc_get(), 0x29);
    ck_assert_uint_eq(kbc_get(), 5);
    ck_assert_uint_eq(kbc_get(), (uint8_t)-3);
    ck_assert(!kbc_full());
}
END_TEST

START_TEST(mouse_grows_a_wheel_by_the_magic_sequence)
{
    static const uint8_t rates[] = {200, 100, 80};
    static const uint8_t record[8] = {0, 0, 0, 0, 0xff, 0xff, 0, 0};

    new_i8042();
    to_mouse(0xff);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0xaa);
    ck_assert_uint_eq(kbc_get(), 0x00);
    for (unsigned i = 0; i < 3; i++) {
        to_mouse(0xf3);
        kbc_get();
        to_mouse(rates[i]);
        kbc_get();
    }
    to_mouse(0xf2);
    kbc_get();
    ck_assert_uint_eq(kbc_get(), 3);
    to_mouse(0xf4);
    kbc_get();
    input(mouse, record, sizeof(record));
    for (unsigned i = 0; i < 3; i++)
        kbc_get();
    ck_assert_uint_eq(kbc_get(), 0xff);
}
END_TEST

static void set_rates(const uint8_t *rates)
{
    for (unsigned i = 0; i < 3; i++) {
        to_mouse(0xf3);
        kbc_get();
        to_mouse(rates[i]);
        ck_assert_uint_eq(kbc_get(), 0xfa);
    }
}

START_TEST(mouse_grows_five_buttons_by_the_other_sequence)
{
    static const uint8_t record[8] = {1, 0, 0, 0, 0xff, 0xff, 0x1a, 0}; /* right, side, extra; the wheel away from the user */

    new_i8042();
    set_rates((const uint8_t[]){200, 100, 80});
    set_rates((const uint8_t[]){200, 200, 80});
    to_mouse(0xf2);
    kbc_get();
    ck_assert_uint_eq(kbc_get(), 4);
    to_mouse(0xf4);
    kbc_get();
    input(mouse, record, sizeof(record));
    for (unsigned again = 0; again < 2; again++) {
        ck_assert_uint_eq(kbc_get(), 0x0a);
        ck_assert_uint_eq(kbc_get(), 1);
        ck_assert_uint_eq(kbc_get(), 0);
        ck_assert_uint_eq(kbc_get(), 0x3f);
        ck_assert(!kbc_full());
        if (!again)
            to_mouse(0xfe); /* the whole packet comes again */
    }
}
END_TEST

START_TEST(mouse_refuses_what_it_does_not_know)
{
    static const uint8_t bad[] = {0xe1, 0x55, 0xe1, 0x00};

    new_i8042();
    for (unsigned i = 0; i < sizeof(bad); i++) {
        to_mouse(bad[i]);
        ck_assert_uint_eq(kbc_get(), i & 1 ? 0xfc : 0xfe);
    }
    /* A parameter may be sent again. */
    to_mouse(0xe8);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    to_mouse(9);
    ck_assert_uint_eq(kbc_get(), 0xfe);
    to_mouse(3);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    to_mouse(0xf3);
    kbc_get();
    to_mouse(99);
    ck_assert_uint_eq(kbc_get(), 0xfe);
    to_mouse(98);
    ck_assert_uint_eq(kbc_get(), 0xfc);
    to_mouse(0xe9);
    ck_assert_uint_eq(kbc_get(), 0xfa);
    ck_assert_uint_eq(kbc_get(), 0);
    ck_assert_uint_eq(kbc_get(), 3);
    ck_assert_uint_eq(kbc_get(), 100);
}
END_TEST

START_TEST(older_states_of_keyboard_and_mouse_are_taken_over)
{
    uint8_t old[512];
    uint32_t len;

    new_i8042();
    kbc_command_byte(0x01);
    use_set_3();
    len = ps2kbd_ops.state_size - 64;
    memcpy(old, kbd->state, len);
    reset_all();
    kbc_command_byte(0x01);
    ck_assert(!ps2kbd_ops.upgrade(kbd, 0, old, len - 1));
    ck_assert(ps2kbd_ops.upgrade(kbd, 0, old, len));
    ck_assert(ps2kbd_ops.possible(kbd));
    expect_type(0x1e, 0x1c, true, true); /* as version 0 had it */
    to_mouse(0xf4);
    kbc_get();
    len = ps2mouse_ops.state_size - 8;
    memcpy(old, mouse->state, len);
    reset_all();
    ck_assert(ps2mouse_ops.upgrade(mouse, 0, old, len));
    ck_assert(ps2mouse_ops.possible(mouse));
    to_mouse(0xe9);
    kbc_get();
    ck_assert_uint_eq(kbc_get(), 0x20);
}
END_TEST

START_TEST(mouse_adds_up_what_does_not_fit)
{
    static const uint8_t record[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    unsigned total = 0;

    new_i8042();
    to_mouse(0xf4);
    kbc_get();
    for (unsigned i = 0; i < 100; i++)
        input(mouse, record, sizeof(record));
    while (kbc_full()) {
        kbc_get();
        total += kbc_get();
        kbc_get();
    }
    ck_assert_uint_eq(total, 100);
}
END_TEST

START_TEST(key_names_are_those_of_sendkey)
{
    uint16_t code;

    ck_assert(key_code("a", &code) && code == 0x1e);
    ck_assert(key_code("ret", &code) && code == 0x1c);
    ck_assert(key_code("up", &code) && code == 0x148);
    ck_assert(key_code("0x9d", &code) && code == 0x11d);
    ck_assert(!key_code("nosuchkey", &code));
    ck_assert(!key_code("0x", &code));
}
END_TEST

static void add_line_tests(TCase *tc)
{
    ADD(uart_sends_what_is_written);
    ADD(uart_enabling_the_thre_interrupt_on_an_empty_transmitter_raises_it);
    ADD(uart_raises_thre_again_after_a_write_and_not_at_once);
    ADD(uart_receives_at_the_trigger_level);
    ADD(uart_times_out_after_four_character_times);
    ADD(uart_has_room_for_16_bytes_and_reports_overruns);
    ADD(uart_loops_back);
    ADD(uart_interrupts_only_through_out2);
    ADD(uart_without_the_gate_interrupts_whatever_out2_says);
    ADD(uart_break_belongs_to_its_character);
    ADD(uart_without_fifo_has_no_bit_7_in_lsr);
    ADD(uart_registers_have_the_bits_of_the_data_sheet);
    ADD(uart_divisor_hides_behind_dlab);
    ADD(i8042_passes_its_tests);
    ADD(i8042_moves_the_a20_gate);
    ADD(i8042_resets_the_machine);
    ADD(keyboard_answers_reset_and_identify);
    ADD(keys_arrive_in_the_set_that_is_asked_for);
    ADD(keyboard_speaks_set_3_and_set_1_itself);
    ADD(key_held_repeats_after_half_a_second);
    ADD(a_key_is_held_as_long_as_the_input_says);
    ADD(what_does_not_fit_is_typed_when_bytes_are_taken);
    ADD(disabled_keyboard_holds_its_bytes);
    ADD(keyboard_input_never_overflows_what_room_promised);
    ADD(mouse_reports_movement_and_buttons);
    ADD(mouse_grows_a_wheel_by_the_magic_sequence);
    ADD(mouse_grows_five_buttons_by_the_other_sequence);
    ADD(mouse_refuses_what_it_does_not_know);
    ADD(keys_of_set_3_have_types_of_their_own);
    ADD(print_and_pause_depend_on_modifiers);
    ADD(older_states_of_keyboard_and_mouse_are_taken_over);
    ADD(mouse_adds_up_what_does_not_fit);
    ADD(key_names_are_those_of_sendkey);
}

CHIP_TESTS("pc_lines", add_line_tests)
