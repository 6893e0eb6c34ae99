/*
 * Emitters for ACPI Machine Language (ACPI 6, chapter 20), just as many as the
 * board's DSDT needs. Each appends one term; terms with a package length are
 * built inside out: begin, contents, end.
 */
#ifndef HINDCAST_I386_PC_AML_H
#define HINDCAST_I386_PC_AML_H

#include "base/buffer.h"

/* Op codes of what needs no more than its operands behind it (20.2.5). */
enum { AML_STORE = 0x70, AML_AND = 0x7b, AML_OR = 0x7d, AML_LESS = 0x95, AML_RETURN = 0xa4, AML_LOCAL0 = 0x60, AML_ARG0 = 0x68,
       AML_NOWHERE = 0x00, AML_ADD = 0x72, AML_DEREFERENCE = 0x83, AML_INDEX = 0x88, AML_EQUAL = 0x93 };

/* A term that is being built: where its package length belongs. */
struct aml_mark {
    size_t at;
};

void aml_op(struct buffer *b, uint8_t op);
/* A name, absolute or not, of one part or several: "LNKA", "\\_SB.PCI0". */
void aml_path(struct buffer *b, const char *name);
void aml_integer(struct buffer *b, uint32_t value);
void aml_string(struct buffer *b, const char *text);
/* The compressed form of an EISA ID such as "PNP0A03", as an integer. */
void aml_eisaid(struct buffer *b, const char *id);
/* Name (name, ...): the object follows. */
void aml_name(struct buffer *b, const char *name);
/* Name (name, value) */
void aml_name_integer(struct buffer *b, const char *name, uint32_t value);

struct aml_mark aml_scope_begin(struct buffer *b, const char *name);
struct aml_mark aml_method_begin(struct buffer *b, const char *name, unsigned args, bool serialized);
struct aml_mark aml_if_begin(struct buffer *b);                       /* the condition follows */
/* A region of PCI configuration space of the device that it stands in, and fields of bytes in it. */
void aml_pci_region(struct buffer *b, const char *name, uint8_t offset, uint8_t len);
/* A region of memory; the address follows, then the length. */
void aml_memory_region(struct buffer *b, const char *name);
/* Buffer () {bytes}, 255 at most. */
void aml_bytes(struct buffer *b, const uint8_t *bytes, uint8_t n);
struct aml_mark aml_field_begin(struct buffer *b, const char *region);
void aml_field_unit(struct buffer *b, const char *name, uint8_t bits);
/* CreateDWordField (buffer, offset, name) */
void aml_dword_field(struct buffer *b, const char *buffer, unsigned offset, const char *name);
struct aml_mark aml_device_begin(struct buffer *b, const char *name);
struct aml_mark aml_package_begin(struct buffer *b, uint8_t elements);
struct aml_mark aml_resources_begin(struct buffer *b);                /* Buffer () of descriptors */
/* Close any of the above. */
void aml_end(struct buffer *b, struct aml_mark mark);
void aml_resources_end(struct buffer *b, struct aml_mark mark);

/* Resource descriptors (ACPI 6, 6.4). */
void aml_io(struct buffer *b, uint16_t base, uint8_t len);
void aml_irq(struct buffer *b, unsigned irq);
/* A channel for bytes. */
void aml_dma(struct buffer *b, unsigned channel);
void aml_word_bus(struct buffer *b, uint16_t first, uint16_t last);
void aml_word_io(struct buffer *b, uint16_t first, uint16_t last);
void aml_dword_memory(struct buffer *b, uint32_t first, uint32_t last);
void aml_qword_memory(struct buffer *b, uint64_t first, uint64_t last);
void aml_fixed_memory(struct buffer *b, bool writable, uint32_t base, uint32_t len);
/* One of several interrupts, level-triggered, active high, shared. */
void aml_interrupts(struct buffer *b, const uint8_t *gsi, uint8_t n);

#endif
