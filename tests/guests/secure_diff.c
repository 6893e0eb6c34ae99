/*
 * A guest for differential tests of the two security states on the virt board
 * (secure=on): a program at EL3 in the first flash bank that sends small pieces
 * of code to EL1 and EL2 of either state and says on the console what became
 * of them. Two emulators that agree print the same.
 *
 *   memory     what each state reaches: Secure RAM, UART, GPIO and flash, nothing
 *              at all, by MMU off and by NS bits
 *   registers  what traps or is undefined: interrupt controller, timer, SCR.ST, HCE
 *   interrupts by group: IRQ or FIQ, to which level, what the acknowledge
 *              registers show to whom, and what ends them
 *
 * -DGIC=2 or 3. It ends by the Secure GPIO's power-off line.
 *
 * Left out, because QEMU 7.2 has it otherwise than the manuals: SCR_EL3.EA, ISV
 * of aborts that are not of stage 2, HVC of Secure EL1, GICC_AHPPIR, writes of
 * active priorities. Masked, because both may be: the sizes of binary points and
 * interrupt numbers, the modem lines.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#define SECURE_RAM  0x0e000000ul
#define SECURE_UART 0x09040000ul
#define SECURE_GPIO 0x090b0000ul
#define UART        0x09000000ul
#define FLASH1      0x04000000ul
#define NOBODY      0x3ff00000ul
#define GICD        0x08000000ul
#define GICC        0x08010000ul
#define GICR        0x080a0000ul
#define STUBS       0x40100000ul /* copies of the pieces */
#define VECTORS     0x40110000ul /* of EL1 and EL2 */
#define WORD        0x40200000ul
#define STACK       0x40300000ul

#define SCR_NS  1u
#define SCR_IRQ 2u
#define SCR_FIQ 4u
#define SCR_HCE 0x100u
#define SCR_ST  0x800u
#define SCR_RW  0x430u

/* What a piece left behind. vectors.S-like code below knows the layout. */
struct result {
    u64 callee[13]; /* x19-x30, sp of EL3 */
    u64 x[4];       /* x0-x3 */
    u64 marker;     /* x9: 0, or the vector of EL1 or EL2 that was taken */
    u64 vector;     /* of EL3 */
};
struct result result;
static u32 have_el2, failures;

#define READ(reg) ({ u64 v_; __asm__ volatile("mrs %0, " reg : "=r"(v_)); v_; })
#define WRITE(reg, v) __asm__ volatile("msr " reg ", %0\n isb" : : "r"((u64)(v)) : "memory")

static u32 rd(u64 a) { return *(volatile u32 *)a; }
static void wr(u64 a, u32 v) { *(volatile u32 *)a = v; }
static void wr8(u64 a, u8 v) { *(volatile u8 *)a = v; }

/* ---- output ---- */

static void put(char c) { wr(UART, (u8)c); }

static void say(const char *s)
{
    while (*s)
        put(*s++);
}

static void hex(u64 v)
{
    int digits = 1;

    while (digits < 16 && v >> (4 * digits))
        digits++;
    while (digits--)
        put("0123456789abcdef"[v >> (4 * digits) & 15]);
    put(' ');
}

static void tell(const char *what, u64 v)
{
    say(what);
    put('=');
    hex(v);
}

/* ---- the way down and up again ---- */

__asm__(
    ".pushsection .text.start, \"ax\"\n"
    ".globl _start\n"
    "_start:\n"
    "  ldr x0, =_stack\n"
    "  mov sp, x0\n"
    "  adr x0, el3_vectors\n"
    "  msr vbar_el3, x0\n"
    "  isb\n"
    "  bl main\n"
    "  b .\n"
    /* An exception at EL3: note it and go back to whoever called send(). */
    ".macro slot n\n"
    "  .balign 128\n"
    "  mov x18, #\\n\n"
    "  b came\n"
    ".endm\n"
    ".balign 2048\n"
    "el3_vectors:\n"
    "  .irp n, 0x000, 0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x480, 0x500, 0x580\n"
    "  slot \\n\n"
    "  .endr\n"
    ".balign 128\n"
    "came:\n"
    "  mrs x17, tpidr_el3\n"
    "  stp x0, x1, [x17, #104]\n"
    "  stp x2, x3, [x17, #120]\n"
    "  stp x9, x18, [x17, #136]\n"
    "  ldp x19, x20, [x17]\n"
    "  ldp x21, x22, [x17, #16]\n"
    "  ldp x23, x24, [x17, #32]\n"
    "  ldp x25, x26, [x17, #48]\n"
    "  ldp x27, x28, [x17, #64]\n"
    "  ldp x29, x30, [x17, #80]\n"
    "  ldr x0, [x17, #96]\n"
    "  mov sp, x0\n"
    "  ret\n"
    /* send_down(x0, x1, x2, x3): ELR_EL3 and SPSR_EL3 are set. */
    ".globl send_down\n"
    "send_down:\n"
    "  mrs x17, tpidr_el3\n"
    "  stp x19, x20, [x17]\n"
    "  stp x21, x22, [x17, #16]\n"
    "  stp x23, x24, [x17, #32]\n"
    "  stp x25, x26, [x17, #48]\n"
    "  stp x27, x28, [x17, #64]\n"
    "  stp x29, x30, [x17, #80]\n"
    "  mov x18, sp\n"
    "  str x18, [x17, #96]\n"
    "  mov x9, #0\n"
    "  eret\n"
    ".popsection\n");
void send_down(u64 x0, u64 x1, u64 x2, u64 x3);

/* The pieces. Each ends by SMC; copied to memory that everybody reaches. */
#define PIECE(name, body) \
    __asm__(".pushsection .stubs, \"ax\"\n .balign 4\n .globl " #name "\n" #name ":\n" body "\n smc #0\n .popsection\n"); \
    extern const u8 name[];
#define SYSREG(name, reg) \
    PIECE(read_##name, "mrs x0, " reg) \
    PIECE(write_##name, "msr " reg ", x0")

PIECE(nothing, "nop")
PIECE(load, "ldr w0, [x0]")
PIECE(store, "str w1, [x0]")
PIECE(go, "blr x0")
PIECE(call_hyp, "hvc #0")
PIECE(open_irq, "msr daifclr, #2\n isb\n nop\n nop\n msr daifset, #2")
PIECE(open_fiq, "msr daifclr, #1\n isb\n nop\n nop\n msr daifset, #1")
PIECE(load_typer, "ldr w0, [x0]\n and x0, x0, #0x7c00")
PIECE(read_isr, "mrs x0, isr_el1")
PIECE(translate, "at s1e1r, x0\n isb\n mrs x0, par_el1")
SYSREG(cntps_ctl, "cntps_ctl_el1")
#if GIC == 3
SYSREG(iar0, "S3_0_C12_C8_0")
SYSREG(eoir0, "S3_0_C12_C8_1")
SYSREG(hppir0, "S3_0_C12_C8_2")
SYSREG(bpr0, "S3_0_C12_C8_3")
SYSREG(iar1, "S3_0_C12_C12_0")
SYSREG(eoir1, "S3_0_C12_C12_1")
SYSREG(hppir1, "S3_0_C12_C12_2")
SYSREG(bpr1, "S3_0_C12_C12_3")
PIECE(read_ctlr, "mrs x0, S3_0_C12_C12_4\n and x0, x0, #0x7ff")
PIECE(write_ctlr, "msr S3_0_C12_C12_4, x0")
SYSREG(igrpen0, "S3_0_C12_C12_6")
SYSREG(igrpen1, "S3_0_C12_C12_7")
SYSREG(pmr, "S3_0_C4_C6_0")
SYSREG(rpr, "S3_0_C12_C11_3")
SYSREG(dir, "S3_0_C12_C11_1")
SYSREG(sgi0r, "S3_0_C12_C11_7")
SYSREG(sgi1r, "S3_0_C12_C11_5")
SYSREG(asgi1r, "S3_0_C12_C11_6")
#endif
__asm__(".pushsection .stubs, \"ax\"\n"
        ".balign 4\n"
        ".globl lower_vectors\n"
        "lower_vectors:\n"
        "  .irp n, 0x000, 0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x480, 0x500, 0x580, 0x600, 0x680\n"
        "  mrs x9, currentel\n"
        "  lsl x9, x9, #10\n"
        "  orr x9, x9, #1\n"
        "  add x9, x9, #\\n\n"
        "  smc #0\n"
        "  .endr\n"
        ".popsection\n");
extern const u8 lower_vectors[], _stubs[], _stubs_end[];

static u64 stub(const u8 *piece) { return STUBS + (u64)(piece - _stubs); }

static void copy_pieces(void)
{
    for (u64 i = 0; i < (u64)(_stubs_end - _stubs); i++)
        wr8(STUBS + i, _stubs[i]);
    for (u64 n = 0; n < 14; n++)
        for (u64 i = 0; i < 20; i += 4)
            wr(VECTORS + 0x80 * n + i, *(const u32 *)(lower_vectors + 20 * n + i));
}

/* States that a piece can be sent to. */
struct where {
    const char *name;
    u32 el, scr;
};
static const struct where states[] = {{"S-EL1", 1, 0}, {"NS-EL1", 1, SCR_NS}, {"NS-EL2", 2, SCR_NS}};

static void send(const struct where *w, u32 scr, u64 entry, u64 x0, u64 x1)
{
    WRITE("scr_el3", SCR_RW | w->scr | scr);
    WRITE("elr_el3", entry);
    WRITE("spsr_el3", w->el << 2 | 1 | 0x3c0);
    WRITE("esr_el1", 0);
    WRITE("far_el1", 0);
    if (have_el2) {
        WRITE("esr_el2", 0);
        WRITE("far_el2", 0);
    }
    send_down(x0, x1, 0, 0);
}

/* How the piece ended: by its own SMC, or by which exception, where. */
static void tell_end(void)
{
    if (result.vector != 0x400) {
        tell("EL3 vector", result.vector);
    } else if (READ("esr_el3") >> 26 != 0x17) {
        tell("EL3 esr", READ("esr_el3"));
    } else if (result.marker) {
        u64 el = result.marker >> 12 & 3, vector = result.marker & 0x780;

        tell("EL", el);
        tell("vector", vector);
        if (!(vector & 0x180)) {
            tell("esr", (el == 2 ? READ("esr_el2") : READ("esr_el1")) & ~0x1ffc000ul);
            tell("far", el == 2 ? READ("far_el2") : READ("far_el1"));
        }
    } else {
        tell("x0", result.x[0]);
    }
    put('\n');
}

static void each_state(const char *what, u32 scr, const u8 *piece, u64 x0, u64 x1)
{
    for (u32 i = 0; i < 2 + have_el2; i++) {
        say(what);
        put(' ');
        say(states[i].name);
        put(' ');
        send(&states[i], scr, stub(piece), x0, x1);
        tell_end();
    }
}

/* ---- memory ---- */

static const struct { const char *name; u64 at; } places[] = {
    {"ram", WORD}, {"secure-ram", SECURE_RAM + 0xff0000}, {"secure-uart", SECURE_UART + 0x30},
    {"secure-gpio", SECURE_GPIO + 0x400}, {"flash0", 0}, {"flash1", FLASH1}, {"nobody", NOBODY},
};

static void memory(void)
{
    wr(WORD, 0x12345678);
    wr(SECURE_RAM + 0xff0000, 0x5ec2e7);
    for (u32 i = 0; i < sizeof places / sizeof places[0]; i++)
        each_state(places[i].name, 0, load, places[i].at == 0 ? 0x10 : places[i].at, 0);
    each_state("store secure-ram", 0, store, SECURE_RAM + 0xff0004, 7);
    tell("stored", rd(SECURE_RAM + 0xff0004));
    each_state("store nobody", 0, store, NOBODY, 7);
    each_state("fetch nobody", 0, go, NOBODY, 7);
    wr(SECURE_RAM + 0xff0008, 0xd4000003); /* smc #0 */
    each_state("fetch secure-ram", 0, go, SECURE_RAM + 0xff0008, 7);
}

/* Level 1 tables in Secure RAM: the first two GiB twice, once as they are and once by NS descriptors. */
static u64 tables[4] __attribute__((aligned(4096)));

static void fill_tables(void)
{
    tables[0] = 0x401 | 0x300;
    tables[1] = 0x40000401 | 0x300;
    tables[2] = 0x421 | 0x300;
    tables[3] = 0x40000421 | 0x300;
}

static void ns_bits(void)
{
    fill_tables();
    WRITE("mair_el1", 0xff);
    WRITE("tcr_el1", 32 | 1ul << 23 | 32ul << 16);
    WRITE("ttbr0_el1", tables);
    WRITE("sctlr_el1", 0x30d00801);
    for (u32 i = 0; i < sizeof places / sizeof places[0]; i++) {
        say(places[i].name);
        put(' ');
        send(&states[0], 0, stub(load), places[i].at == 0 ? 0x10 : places[i].at, 0);
        tell_end();
        say(places[i].name);
        say(" by NS ");
        send(&states[0], 0, stub(load), (places[i].at == 0 ? 0x10 : places[i].at) + 0x80000000, 0);
        tell_end();
    }
    say("par ");
    send(&states[0], 0, stub(translate), WORD, 0);
    tell_end();
    say("par by NS ");
    send(&states[0], 0, stub(translate), WORD + 0x80000000, 0);
    tell_end();
    WRITE("sctlr_el1", 0x30d00800);
    /* The distributor as the two kinds of accesses see it. */
    tell("GICD_CTLR", rd(GICD));
    each_state("GICD_CTLR", 0, load, GICD, 0);
    each_state("GICD_TYPER", 0, load_typer, GICD + 4, 0);
}

/* ---- registers ---- */

static void registers(void)
{
    each_state("hvc", 0, call_hyp, 0, 0);
    for (u32 i = 1; i < 2 + have_el2; i++) {
        send(&states[i], SCR_HCE, stub(call_hyp), 0, 0);
        say("hvc, HCE ");
        tell_end();
    }
    each_state("cntps", 0, read_cntps_ctl, 0, 0);
    each_state("cntps, ST", SCR_ST, read_cntps_ctl, 0, 0);
#if GIC == 3
    static const u32 scrs[] = {0, SCR_FIQ, SCR_IRQ, SCR_FIQ | SCR_IRQ};

    for (u32 i = 0; i < 4; i++) {
        tell("scr", scrs[i]);
        put('\n');
        each_state("hppir0", scrs[i], read_hppir0, 0, 0);
        each_state("hppir1", scrs[i], read_hppir1, 0, 0);
        each_state("pmr", scrs[i], read_pmr, 0, 0);
        each_state("rpr", scrs[i], read_rpr, 0, 0);
        each_state("ctlr", scrs[i], read_ctlr, 0, 0);
        each_state("igrpen0", scrs[i], read_igrpen0, 0, 0);
        each_state("igrpen1", scrs[i], read_igrpen1, 0, 0);
        each_state("bpr0", scrs[i], read_bpr0, 0, 0);
        each_state("bpr1", scrs[i], read_bpr1, 0, 0);
        each_state("sgi1r", scrs[i], write_sgi1r, 0, 0);
    }
#endif
}

/* ---- interrupts ---- */

#if GIC == 3

static void gic_init(void)
{
    wr(GICD, 0x37);
    wr(GICR + 0x14, 0);
    wr(GICR + 0x10080, 4);          /* SGI 2: group 1; 1: Secure group 1; 0: group 0 */
    wr(GICR + 0x10d00, 2);
    wr(GICR + 0x10400, 0x00c0c0c0);
    wr(GICR + 0x10100, 7);
    WRITE("S3_6_C12_C12_5", 0xf);   /* ICC_SRE_EL3 */
    WRITE("S3_0_C4_C6_0", 0xf8);
    WRITE("S3_0_C12_C12_6", 1);
    WRITE("S3_6_C12_C12_7", 3);
}

static void pend(u32 sgi) { wr(GICR + 0x10200, 1u << sgi); }

static void forget(void)
{
    wr(GICR + 0x10280, 7);
    WRITE("scr_el3", SCR_RW);
    for (u32 sgi = 0; sgi < 3; sgi++)
        if (rd(GICR + 0x10300) >> sgi & 1) {
            if (sgi)
                WRITE("S3_0_C12_C12_1", sgi);
            else
                WRITE("S3_0_C12_C8_1", sgi);
        }
}

static void at_el3(void)
{
    tell("EL3 isr", READ("isr_el1") & 0xc0);
    tell("hppir0", READ("S3_0_C12_C8_2"));
    tell("hppir1", READ("S3_0_C12_C12_2"));
    put('\n');
}

static void groups(void)
{
    static const u32 scrs[] = {0, SCR_FIQ, SCR_IRQ, SCR_FIQ | SCR_IRQ};

    for (u32 sgi = 0; sgi < 3; sgi++) {
        tell("SGI", sgi);
        put('\n');
        pend(sgi);
        at_el3();
        each_state("isr", 0, read_isr, 0, 0);
        each_state("hppir0", 0, read_hppir0, 0, 0);
        each_state("hppir1", 0, read_hppir1, 0, 0);
        for (u32 i = 0; i < 4; i++) {
            tell("scr", scrs[i]);
            each_state("open irq", scrs[i], open_irq, 0, 0);
            each_state("open fiq", scrs[i], open_fiq, 0, 0);
            each_state("closed", scrs[i], nothing, 0, 0);
        }
        forget();
    }
}

/* Who may take it, and who may end it. */
static void ends(void)
{
    for (u32 sgi = 0; sgi < 3; sgi++)
        for (u32 taker = 0; taker < 2; taker++)
            for (u32 ender = 0; ender < 2 + have_el2; ender++)
                for (u32 group = 0; group < 2; group++) {
                    pend(sgi);
                    tell("SGI", sgi);
                    say(states[taker].name);
                    put(' ');
                    send(&states[taker], 0, stub(group ? read_iar1 : read_iar0), 0, 0);
                    tell("iar", result.x[0]);
                    tell("active", rd(GICR + 0x10300) & 7);
                    tell("rpr", READ("S3_0_C12_C11_3"));
                    say(states[ender].name);
                    put(' ');
                    send(&states[ender], 0, stub(group ? write_eoir1 : write_eoir0), sgi, 0);
                    tell("active", rd(GICR + 0x10300) & 7);
                    tell("rpr", READ("S3_0_C12_C11_3"));
                    put('\n');
                    forget();
                }
    for (u32 sgi = 0; sgi < 3; sgi++) {
        pend(sgi);
        tell("EL3 iar0", READ("S3_0_C12_C8_0"));
        tell("active", rd(GICR + 0x10300) & 7);
        tell("iar1", READ("S3_0_C12_C12_0"));
        tell("active", rd(GICR + 0x10300) & 7);
        WRITE("S3_0_C12_C12_1", sgi);
        tell("active", rd(GICR + 0x10300) & 7);
        put('\n');
        forget();
    }
}

/* Software-generated interrupts: from where, of which group. */
static void software(void)
{
    static const u8 *const pieces[] = {write_sgi0r, write_sgi1r, write_asgi1r};

    for (u32 p = 0; p < 3; p++)
        for (u32 sgi = 0; sgi < 3; sgi++)
            for (u32 i = 0; i < 2 + have_el2; i++) {
                send(&states[i], 0, stub(pieces[p]), (u64)sgi << 24 | 1, 0);
                tell("register", p);
                tell("SGI", sgi);
                say(states[i].name);
                tell(" pending", rd(GICR + 0x10200) & 7);
                put('\n');
                forget();
            }
}

/* Priority mask and binary points as each state sees and changes them. */
static void priorities(void)
{
    static const u32 masks[] = {0xf8, 0xc0, 0x80, 0x40}, scrs[] = {0, SCR_FIQ, SCR_IRQ};

    for (u32 s = 0; s < 3; s++)
        for (u32 i = 0; i < 4; i++) {
            WRITE("S3_0_C4_C6_0", masks[i]);
            tell("pmr", masks[i]);
            tell("scr", scrs[s]);
            put('\n');
            each_state("read", scrs[s], read_pmr, 0, 0);
            for (u32 k = 0; k < 2; k++) {
                send(&states[k], scrs[s], stub(write_pmr), 0x20, 0);
                tell("after 20", READ("S3_0_C4_C6_0"));
                WRITE("S3_0_C4_C6_0", masks[i]);
            }
            put('\n');
        }
    WRITE("S3_0_C4_C6_0", 0xf8);
    for (u32 cbpr = 0; cbpr < 4; cbpr++) {
        WRITE("S3_6_C12_C12_4", cbpr); /* ICC_CTLR_EL3: CBPR_EL1S, CBPR_EL1NS */
        tell("cbpr", cbpr);
        put('\n');
        each_state("bpr1", 0, read_bpr1, 0, 0);
        each_state("write bpr1", 0, write_bpr1, 5, 0);
        each_state("bpr1", 0, read_bpr1, 0, 0);
        each_state("bpr0", 0, read_bpr0, 0, 0);
        WRITE("S3_0_C12_C8_3", 2);
        for (u32 i = 0; i < 2; i++) {
            WRITE("scr_el3", SCR_RW | i);
            tell("EL3 bpr1", READ("S3_0_C12_C12_3"));
            WRITE("S3_0_C12_C12_3", 3);
        }
        each_state("ctlr", 0, read_ctlr, 0, 0);
    }
    WRITE("S3_6_C12_C12_4", 0);
    WRITE("scr_el3", SCR_RW);
}

/* What the Non-secure state sees and changes of the redistributor's registers. */
static void registers_in_memory(void)
{
    static const u32 offsets[] = {0x10080, 0x10d00, 0x10100, 0x10200, 0x10300, 0x10400, 0x10c04, 0x14};

    pend(0), pend(1), pend(2);
    for (u32 i = 0; i < 8; i++) {
        tell("offset", offsets[i]);
        tell("EL3", rd(GICR + offsets[i]) & 0xffffff);
        each_state("", 0, load, GICR + offsets[i], 0);
    }
    each_state("disable all", 0, store, GICR + 0x10180, 7);
    tell("enabled", rd(GICR + 0x10100) & 7);
    wr(GICR + 0x10100, 7);
    send(&states[1], 0, stub(store), GICR + 0x10180, 7);
    tell("enabled", rd(GICR + 0x10100) & 7);
    send(&states[1], 0, stub(store), GICR + 0x10400, 0x20202020);
    tell("priorities", rd(GICR + 0x10400) & 0xffffff);
    send(&states[1], 0, stub(store), GICR + 0x10080, 7);
    tell("groups", rd(GICR + 0x10080) & 7);
    put('\n');
    gic_init();
    forget();
}

static void interrupts(void)
{
    groups();
    ends();
    software();
    priorities();
    registers_in_memory();
}

#else

static void gic_init(void)
{
    wr(GICD, 3);
    wr(GICD + 0x80, 2);             /* SGI 1: group 1; 0: group 0 */
    wr(GICD + 0x400, 0x0000c0c0);
    wr(GICC + 4, 0xf8);
    wr(GICC, 0x0b);                 /* both groups, group 0 as FIQ */
}

static void pend(u32 sgi) { wr(GICD + 0xf00, 2u << 24 | (sgi ? 1u << 15 : 0) | sgi); }

static void forget(void)
{
    wr(GICD + 0xf10, 0x01010101);
    if (rd(GICD + 0x300) & 1)
        wr(GICC + 0x10, 0);
    if (rd(GICD + 0x300) & 2)
        wr(GICC + 0x24, 1);
}

static void groups(void)
{
    static const u32 scrs[] = {0, SCR_FIQ, SCR_IRQ, SCR_FIQ | SCR_IRQ};

    for (u32 fiq = 0; fiq < 2; fiq++)
        for (u32 sgi = 0; sgi < 2; sgi++) {
            wr(GICC, fiq ? 0x0b : 0x03);
            tell("FIQEn", fiq);
            tell("SGI", sgi);
            pend(sgi);
            tell("EL3 isr", READ("isr_el1") & 0xc0);
            tell("hppir", rd(GICC + 0x18));
            put('\n');
            each_state("hppir", 0, load, GICC + 0x18, 0);
            for (u32 i = 0; i < 4; i++) {
                tell("scr", scrs[i]);
                each_state("open irq", scrs[i], open_irq, 0, 0);
                each_state("open fiq", scrs[i], open_fiq, 0, 0);
            }
            forget();
        }
}

static void ends(void)
{
    for (u32 sgi = 0; sgi < 2; sgi++)
        for (u32 taker = 0; taker < 2; taker++)
            for (u32 ender = 0; ender < 2; ender++) {
                pend(sgi);
                tell("SGI", sgi);
                say(states[taker].name);
                put(' ');
                send(&states[taker], 0, stub(load), GICC + 0xc, 0);
                tell("iar", result.x[0]);
                tell("active", rd(GICD + 0x300) & 3);
                tell("rpr", rd(GICC + 0x14));
                say(states[ender].name);
                put(' ');
                send(&states[ender], 0, stub(store), GICC + 0x10, sgi);
                tell("active", rd(GICD + 0x300) & 3);
                tell("rpr", rd(GICC + 0x14));
                put('\n');
                forget();
            }
}

static void registers_in_memory(void)
{
    static const u32 offsets[] = {0, 0x80, 0x100, 0x300, 0x400, 0xc00, 0xc04};
    static const u32 cpu[] = {0, 4, 0x14, 0x18};
    static const u32 masks[] = {0xf8, 0xc0, 0x80, 0x40};

    for (u32 i = 0; i < 7; i++) {
        tell("offset", offsets[i]);
        tell("EL3", rd(GICD + offsets[i]));
        each_state("", 0, load, GICD + offsets[i], 0);
    }
    for (u32 i = 0; i < 4; i++) {
        tell("cpu offset", cpu[i]);
        tell("EL3", rd(GICC + cpu[i]));
        each_state("", 0, load, GICC + cpu[i], 0);
    }
    for (u32 i = 0; i < 4; i++) {
        wr(GICC + 4, masks[i]);
        tell("pmr", masks[i]);
        each_state("read", 0, load, GICC + 4, 0);
        send(&states[1], 0, stub(store), GICC + 4, 0x20);
        tell("after 20", rd(GICC + 4));
        put('\n');
    }
    wr(GICC + 4, 0xf8);
    send(&states[1], 0, stub(store), GICD + 0x400, 0x20202020);
    tell("priorities", rd(GICD + 0x400) & 0xffff);
    send(&states[1], 0, stub(store), GICD + 0x80, 3);
    tell("groups", rd(GICD + 0x80) & 3);
    send(&states[1], 0, stub(store), GICD, 0);
    tell("GICD_CTLR", rd(GICD));
    send(&states[1], 0, stub(store), GICC, 0);
    tell("GICC_CTLR", rd(GICC));
    send(&states[1], 0, stub(store), GICC, 1);
    send(&states[1], 0, stub(store), GICD, 1);
    tell("GICC_CTLR", rd(GICC));
    tell("GICD_CTLR", rd(GICD));
    put('\n');
    wr(GICC, 0x1b);                 /* CBPR */
    wr(GICC + 8, 4);
    wr(GICC + 0x1c, 3);
    each_state("bpr", 0, load, GICC + 8, 0);
    send(&states[1], 0, stub(store), GICC + 8, 6);
    wr(GICC, 0x0b);
    tell("abpr", rd(GICC + 0x1c));
    each_state("bpr", 0, load, GICC + 8, 0);
    gic_init();
    forget();
}

static void interrupts(void)
{
    groups();
    ends();
    registers_in_memory();
}

#endif

void main(void)
{
    WRITE("tpidr_el3", &result);
    have_el2 = (READ("id_aa64pfr0_el1") >> 8 & 15) != 0;
    wr(UART + 0x30, 0x301);
    tell("EL", READ("currentel") >> 2);
    tell("EL2", have_el2);
    put('\n');
    copy_pieces();
    WRITE("cptr_el3", 0);
    WRITE("vbar_el1", VECTORS);
    WRITE("sctlr_el1", 0x30d00800);
    if (have_el2) {
        WRITE("vbar_el2", VECTORS);
        WRITE("sctlr_el2", 0x30c50830);
        WRITE("hcr_el2", 1ul << 31);
        WRITE("cptr_el2", 0x33ff);
        WRITE("cnthctl_el2", 3);
    }
    gic_init();
    memory();
    ns_bits();
    registers();
    interrupts();
    tell("end", failures);
    put('\n');
    wr(SECURE_GPIO + 0x400, 1);
    wr(SECURE_GPIO + (1 << 2), 1);
}
