/*
 * What the example says, and its last words, on whatever machine. Nothing is wrong in this file.
 */
#include <stdarg.h>

#include "machine.h"

static void put_number(u32 n, u32 base)
{
    char digits[12];
    int i = 0;

    do
        digits[i++] = "0123456789abcdef"[n % base];
    while ((n /= base) != 0);
    while (i > 0)
        console_putc(digits[--i]);
}

static void vprint(const char *f, va_list ap)
{
    for (; *f; f++) {
        if (*f == '\n')
            console_putc('\r');
        if (*f != '%') {
            console_putc(*f);
            continue;
        }
        switch (*++f) {
        case 'u':
            put_number(va_arg(ap, u32), 10);
            break;
        case 'x':
            put_number(va_arg(ap, u32), 16);
            break;
        case 's':
            for (const char *s = va_arg(ap, const char *); *s; s++)
                console_putc(*s);
            break;
        default:
            console_putc(*f);
        }
    }
}

void console_printf(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vprint(format, ap);
    va_end(ap);
}

void panic(const char *format, ...)
{
    va_list ap;

    interrupts_off();
    console_printf("\nPANIC: ");
    va_start(ap, format);
    vprint(format, ap);
    va_end(ap);
    console_printf("\n");
    for (;;)
        wait_for_interrupt();
}
