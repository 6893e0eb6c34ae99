/*
 * Generators of floating point and SIMD instructions for difftest_a64.
 */
#include "difftest_a64.h"

#include "aarch64/fp.h"

struct vector_class {
    uint32_t mask, value;
};

/* An allocated word of one of the classes of encodings. */
static uint32_t word_of(const struct vector_class *classes, unsigned count)
{
    const struct a64_model *model = a64_model_find("max");
    uint32_t word;

    do {
        const struct vector_class *c = &classes[a64_random() % count];

        word = ((uint32_t)a64_random() & ~c->mask) | c->value;
    } while (!a64_fp_handler(word, model));
    return word;
}

static void vectors(struct a64_program *p)
{
    static const struct vector_class classes[] = {
        {0x9f200400, 0x0e200400}, /* three same */
        {0x9f200c00, 0x0e200000}, /* three different */
        {0x9f3e0c00, 0x0e200800}, /* two registers */
        {0x9f3e0c00, 0x0e300800}, /* across lanes */
        {0xbf208c00, 0x0e000800}, /* permute */
        {0xbfe08c00, 0x0e000000}, /* table */
        {0xbfe08400, 0x2e000000}, /* extract */
        {0x9f000400, 0x0f000000}, /* by element */
        {0x9f800400, 0x0f000400}, /* shift by immediate, modified immediate */
        {0x9fe08400, 0x0e000400}, /* copy */
        {0xbfe0fc00, 0x0e001c00}, /* INS */
    };
    uint32_t word = word_of(classes, sizeof classes / sizeof classes[0]), few = word & ~0x00180318u;

    /* few registers: one is the next one's operand, or the same */
    if (a64_random() % 2 && a64_fp_handler(few, a64_model_find("max")))
        word = few;
    if ((word & 0x9fe08400) == 0x0e000400)
        word &= ~0x10u; /* general registers with a role stay as they are */
    a64_emit(p, word);
}

const struct a64_class a64_fp_classes[] = {
    {"vectors", vectors},
    {0},
};
