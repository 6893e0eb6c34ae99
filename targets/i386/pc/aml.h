/*
 * Emitters for ACPI Machine Language (ACPI 6, chapter 20), just as many as the
 * board's DSDT needs. Each appends one term; terms with a package length are
 * built inside out: begin, contents, end.
 */
#ifndef HINDCAST_I386_PC_AML_H
#define HINDCAST_I386_PC_AML_H

#include "base/buffer.h"

/* A term that is being built: where its package length belongs. */
struct aml_mark {
    size_t at;
};

void aml_integer(struct buffer *b, uint32_t value);
/* The compressed form of an EISA ID such as "PNP0A03", as an integer. */
void aml_eisaid(struct buffer *b, const char *id);
/* Name (name, ...): the object follows. */
void aml_name(struct buffer *b, const char *name);
/* Name (name, value) */
void aml_name_integer(struct buffer *b, const char *name, uint32_t value);

struct aml_mark aml_scope_begin(struct buffer *b, const char *name);  /* \name */
struct aml_mark aml_device_begin(struct buffer *b, const char *name);
struct aml_mark aml_package_begin(struct buffer *b, uint8_t elements);
struct aml_mark aml_resources_begin(struct buffer *b);                /* Buffer () of descriptors */
/* Close any of the above. */
void aml_end(struct buffer *b, struct aml_mark mark);
void aml_resources_end(struct buffer *b, struct aml_mark mark);

/* Resource descriptors (ACPI 6, 6.4). */
void aml_io(struct buffer *b, uint16_t base, uint8_t len);
void aml_irq(struct buffer *b, unsigned irq);
void aml_word_bus(struct buffer *b, uint16_t first, uint16_t last);
void aml_word_io(struct buffer *b, uint16_t first, uint16_t last);
void aml_dword_memory(struct buffer *b, uint32_t first, uint32_t last);

#endif
