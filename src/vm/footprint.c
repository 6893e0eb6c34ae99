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
    page_set_init(&f->storage);
    page_set_init(&f->fetched);
    page_set_init(&f->loaded);
}

void footprint_finish(struct footprint *f)
{
    page_set_finish(&f->code);
    page_set_finish(&f->written);
    page_set_finish(&f->read);
    page_set_finish(&f->storage);
    page_set_finish(&f->fetched);
    page_set_finish(&f->loaded);
}

void footprint_clear(struct footprint *f)
{
    page_set_clear(&f->code);
    page_set_clear(&f->written);
    page_set_clear(&f->read);
    page_set_clear(&f->storage);
    page_set_clear(&f->fetched);
    page_set_clear(&f->loaded);
}

void footprint_seal(struct footprint *f)
{
    page_set_seal(&f->code);
    page_set_seal(&f->written);
    page_set_seal(&f->read);
    page_set_seal(&f->storage);
    page_set_seal(&f->fetched);
    page_set_seal(&f->loaded);
}

void footprint_join(struct footprint *f, const struct footprint *more)
{
    page_set_join(&f->code, &more->code);
    page_set_join(&f->written, &more->written);
    page_set_join(&f->read, &more->read);
    page_set_join(&f->storage, &more->storage);
    page_set_join(&f->fetched, &more->fetched);
    page_set_join(&f->loaded, &more->loaded);
}

void footprint_add_code(struct footprint *f, uint64_t va, unsigned len)
{
    page_set_add_chunks(&f->code, va >> PAGE_SHIFT, page_chunks((unsigned)(va & ~PAGE_MASK), len));
}

bool footprint_has_code(const struct footprint *f, uint64_t va)
{
    return page_set_has_chunks(&f->code, va >> PAGE_SHIFT, page_chunks((unsigned)(va & ~PAGE_MASK), 1));
}

const struct page_set *footprint_set(const struct footprint *f, enum touched how)
{
    switch (how) {
    case TOUCHED_WRITTEN:
        return &f->written;
    case TOUCHED_READ:
        return &f->read;
    case TOUCHED_STORAGE:
        return &f->storage;
    case TOUCHED_FETCHED:
        return &f->fetched;
    case TOUCHED_LOADED:
        break;
    }
    return &f->loaded;
}

size_t footprint_bytes(const struct footprint *f)
{
    return page_set_bytes(&f->code) + page_set_bytes(&f->written) + page_set_bytes(&f->read) +
           page_set_bytes(&f->storage) + page_set_bytes(&f->fetched) + page_set_bytes(&f->loaded);
}

void machine_set_footprint(struct machine *m, struct footprint *f)
{
    for (unsigned i = 0; i < m->ncpus && (f || m->footprint); i++)
        if (m->cpus[i]->ops->note_code)
            m->cpus[i]->ops->note_code(m->cpus[i], m->footprint);
    m->footprint = f;
    if (f)
        machine_drop_derived(m);
}
