/*
 * What kind of file a guest was to be booted from (System V ABI, "ELF Header"), for messages.
 */
#include "vm/boot_image.h"

#include <string.h>

#define ELF_HEADER_LEAST 52u /* of a 32-bit file */
#define E_MACHINE        18u

const char *boot_image_elf_machine(const struct boot_image *image)
{
    static const struct {
        unsigned machine;
        const char *name;
    } machines[] = {
        {3, "the i386"}, {6, "the i386"}, {8, "MIPS"}, {20, "PowerPC"}, {21, "PowerPC"}, {40, "32-bit Arm"},
        {62, "x86-64"}, {183, "aarch64"}, {243, "RISC-V"},
    };
    const uint8_t *p = image->data;
    unsigned machine;

    if (image->len < 4 || memcmp(p, "\177ELF", 4))
        return NULL;
    if (image->len < ELF_HEADER_LEAST)
        return "";
    machine = p[E_MACHINE] | (unsigned)p[E_MACHINE + 1] << 8;
    for (unsigned i = 0; i < ARRAY_LEN(machines); i++)
        if (machines[i].machine == machine)
            return machines[i].name;
    return "another CPU";
}
