/*
 * Slots, drawn or in turn. See schedule.h.
 *
 * What is drawn is a hash of the seed, of what it is drawn for, and of its number.
 */
#include "vm/schedule.h"

#include "base/error.h"

#define FRAME_SLOTS   16u
#define STRETCH_SLOTS 64u

/* Starving: the least length, and how many octaves of it there may be. */
#define STARVE_MIN     1000u
#define STARVE_OCTAVES 40u
#define SECOND_NS      1000000000u
/* In a block of 1 << STARVE_BLOCK least lengths of its octave there is one starving, or none. */
#define STARVE_BLOCK   2u
/* The mean of 2^x for x drawn from 0 to 1, in thousandths. */
#define STARVE_MEAN    1443u

enum draw { DRAW_CPU, DRAW_SHORT_CPU, DRAW_LENGTH, DRAW_PLACE, DRAW_STARVED, DRAW_HOW_LONG, DRAW_FROM, DRAW_WHOM };

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t draw(const struct schedule *s, enum draw what, unsigned octave, uint64_t number)
{
    return mix(s->seed + mix(number + mix((uint64_t)octave << 8 | (uint64_t)what)));
}

/* The power of two that is drawn: at most `most`, 1 among them. */
static icount_t draw_length(const struct schedule *s, uint64_t frame, icount_t most)
{
    unsigned powers = 64u - (unsigned)__builtin_clzll(most);

    return (icount_t)1 << draw(s, DRAW_LENGTH, 0, frame) % powers;
}

static void slot_of_frame(const struct schedule *s, unsigned ncpus, icount_t position, struct time_slot *slot)
{
    icount_t length = s->quantum * FRAME_SLOTS, frame = position / length, at = position % length;
    icount_t each = draw_length(s, frame, s->quantum), stretch = each * STRETCH_SLOTS, from = 0;
    icount_t first, end;

    if (stretch > length)
        stretch = length / each * each;
    from = draw(s, DRAW_PLACE, 0, frame) % (length - stretch + 1);
    if (at >= from && at < from + stretch) {
        first = from + (at - from) / each * each;
        end = first + each;
        slot->cpu = (uint16_t)(draw(s, DRAW_SHORT_CPU, 0, frame * length + first) % ncpus);
    } else {
        first = at / s->quantum * s->quantum;
        end = first + s->quantum;
        slot->cpu = (uint16_t)(draw(s, DRAW_CPU, 0, frame * FRAME_SLOTS + at / s->quantum) % ncpus);
        if (at < from && end > from)
            end = from;
        if (at >= from && first < from + stretch)
            first = from + stretch;
    }
    slot->first = frame * length + first;
    slot->end = frame * length + end;
}

/* Does a starving of this octave cover `position`? Then `*whom`. */
static bool starves(const struct schedule *s, unsigned octave, unsigned octaves, unsigned ncpus, icount_t position,
                    uint16_t *whom)
{
    icount_t least = (icount_t)STARVE_MIN << octave, block = least << STARVE_BLOCK;
    uint64_t number = position / block, length, from;
    /* A fifth of the time, divided among the octaves, in thousandths of a millionth. */
    uint64_t chance = UINT64_C(200000000) / octaves * (1000u << STARVE_BLOCK) / STARVE_MEAN;

    if (draw(s, DRAW_STARVED, octave, number) % 1000000000u >= chance)
        return false;
    /* From `least` to twice of it, short ones likelier: the inverse of a number that is drawn evenly from 1 to 2
     * would do, and this is close to it in integers. */
    length = least * 1024 / (512 + draw(s, DRAW_HOW_LONG, octave, number) % 513);
    from = number * block + draw(s, DRAW_FROM, octave, number) % (block - length + 1);
    *whom = (uint16_t)(draw(s, DRAW_WHOM, octave, number) % ncpus);
    return position >= from && position < from + length;
}

static uint16_t starved_at(const struct schedule *s, unsigned ncpus, unsigned shift, icount_t position)
{
    unsigned octaves = 1;
    uint16_t whom;

    while (octaves < STARVE_OCTAVES && (((icount_t)STARVE_MIN << (octaves + 1)) << shift) <= SECOND_NS)
        octaves++;
    for (unsigned i = octaves; i-- > 0;)
        if (starves(s, i, octaves, ncpus, position, &whom))
            return whom;
    return SCHEDULE_NOBODY;
}

struct time_slot schedule_slot(const struct schedule *s, unsigned ncpus, unsigned shift, icount_t position)
{
    struct time_slot slot = {.starved = SCHEDULE_NOBODY};
    uint64_t number;

    if (s->seeded) {
        slot_of_frame(s, ncpus, position, &slot);
        if (s->starve)
            slot.starved = starved_at(s, ncpus, shift, slot.first);
        return slot;
    }
    number = position / s->quantum;
    slot.first = number * s->quantum;
    slot.end = slot.first + s->quantum;
    slot.cpu = (uint16_t)(number % ncpus);
    return slot;
}
