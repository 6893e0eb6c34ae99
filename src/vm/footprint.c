/*
 * Footprints of stretches of history. See footprint.h; the softmmu and the
 * block look-up add the pages.
 */
#include "vm/footprint.h"

#include "vm/machine.h"

void footprint_init(struct footprint *f)
{
    page_set_init(&f->code);
    page_set_init(&f->written);
    page_set_init(&f->read);
}

void footprint_finish(struct footprint *f)
{
    page_set_finish(&f->code);
    page_set_finish(&f->written);
    page_set_finish(&f->read);
}

void machine_set_footprint(struct machine *m, struct footprint *f)
{
    m->footprint = f;
    machine_drop_derived(m);
}
