/*
 * The lowering of AMD's instructions for virtual machines, and of what their monitor may intercept (AMD64 APM 2, 15.9, 15.12, and table 15-7 for what comes before): in
 * the code of a guest each such instruction begins with a look at its bit.
 *
 * Not here: IN, OUT and their string forms, RDMSR and WRMSR, whose bitmaps are looked at once the access is known to be allowed
 * (string.c, msr.c); MOV to control registers and from and to debug registers, whose exceptions come first (system.c); what is an exception or
 * a task switch.
 */
#include "i386/lowering.h"
#include "i386/svm.h"

static void look(struct lower *l, unsigned code, unsigned after)
{
    unsigned at = S_OFF(svm.intercept) + code / 16 * 4;

    build_call(l->b, i386_op_intercept, 1u << code % 16, at, after)->op = UOP_CHECK32;
}

void lower_intercepts(struct lower *l)
{
    const struct operand *o = l->i.arg;
    bool selectors = (l->mode & MODE_PE) && !(l->mode & MODE_VM);

    switch (l->i.op) {
    case INSN_MOV_FROM_CR: if (!lacks_cr8(l)) look(l, SVM_EXIT_CR_READ + o[1].reg, I386_AFTER_LEVEL); break;
    case INSN_SMSW: look(l, SVM_EXIT_CR_READ, I386_AFTER_UMIP); break;
    case INSN_LMSW: /* whatever it changes */
        look(l, SVM_EXIT_CR_WRITE, I386_AFTER_LEVEL);
        look(l, SVM_EXIT_CR0_SELECTIVE, I386_AFTER_LEVEL);
        break;
    case INSN_CLTS: look(l, SVM_EXIT_CR_WRITE, I386_AFTER_LEVEL); break;
    case INSN_SIDT: look(l, SVM_EXIT_IDTR_READ, I386_AFTER_UMIP); break;
    case INSN_SGDT: look(l, SVM_EXIT_GDTR_READ, I386_AFTER_UMIP); break;
    case INSN_LIDT: look(l, SVM_EXIT_IDTR_WRITE, I386_AFTER_LEVEL); break;
    case INSN_LGDT: look(l, SVM_EXIT_GDTR_WRITE, I386_AFTER_LEVEL); break;
    case INSN_SLDT: if (selectors) look(l, SVM_EXIT_LDTR_READ, I386_AFTER_UMIP); break;
    case INSN_STR: if (selectors) look(l, SVM_EXIT_TR_READ, I386_AFTER_UMIP); break;
    case INSN_LLDT: if (selectors) look(l, SVM_EXIT_LDTR_WRITE, I386_AFTER_LEVEL); break;
    case INSN_LTR: if (selectors) look(l, SVM_EXIT_TR_WRITE, I386_AFTER_LEVEL); break;
    case INSN_RDTSC: look(l, SVM_EXIT_RDTSC, I386_AFTER_TSD); break;
    case INSN_RDTSCP: if (has(l, FEATURE_RDTSCP)) look(l, SVM_EXIT_RDTSCP, I386_AFTER_TSD); break;
    case INSN_RDPMC: look(l, SVM_EXIT_RDPMC, I386_AFTER_PCE); break;
    case INSN_PUSHF: look(l, SVM_EXIT_PUSHF, 0); break;
    case INSN_POPF: look(l, SVM_EXIT_POPF, 0); break;
    case INSN_CPUID: look(l, SVM_EXIT_CPUID, 0); break;
    case INSN_RSM: look(l, SVM_EXIT_RSM, 0); break;
    case INSN_IRET: look(l, SVM_EXIT_IRET, 0); break;
    case INSN_INT: look(l, SVM_EXIT_SWINT, 0); break;
    case INSN_ICEBP: look(l, SVM_EXIT_ICEBP, 0); break;
    case INSN_INVD: look(l, SVM_EXIT_INVD, I386_AFTER_LEVEL); break;
    case INSN_WBINVD: look(l, SVM_EXIT_WBINVD, I386_AFTER_LEVEL); break;
    case INSN_NOP:
        if (!l->i.map && (l->i.flags & INSN_REP))
            look(l, SVM_EXIT_PAUSE, 0);
        break;
    case INSN_HLT: look(l, SVM_EXIT_HLT, I386_AFTER_LEVEL); break;
    case INSN_INVLPG: look(l, SVM_EXIT_INVLPG, I386_AFTER_LEVEL); break;
    case INSN_MONITOR: if (has(l, FEATURE_MONITOR)) look(l, SVM_EXIT_MONITOR, I386_AFTER_LEVEL); break;
    case INSN_MWAIT:
        if (!has(l, FEATURE_MONITOR))
            break;
        look(l, SVM_EXIT_MWAIT_ARMED, I386_AFTER_LEVEL | I386_IF_ARMED);
        look(l, SVM_EXIT_MWAIT, I386_AFTER_LEVEL);
        break;
    case INSN_XSETBV: if (has(l, FEATURE_XSAVE)) look(l, SVM_EXIT_XSETBV, I386_AFTER_LEVEL | I386_AFTER_XSAVE); break;
    case INSN_VMMCALL: look(l, SVM_EXIT_VMMCALL, 0); break;
    case INSN_VMRUN: case INSN_VMLOAD: case INSN_VMSAVE: case INSN_STGI: case INSN_CLGI: case INSN_SKINIT: case INSN_INVLPGA:
        if (selectors)
            look(l, l->i.op == INSN_INVLPGA ? SVM_EXIT_INVLPGA : SVM_EXIT_VMRUN + (l->i.op - INSN_VMRUN), I386_AFTER_LEVEL);
        break;
    default:
        break;
    }
}
_Static_assert(INSN_SKINIT - INSN_VMRUN == SVM_EXIT_SKINIT - SVM_EXIT_VMRUN, "exit codes follow the instructions");

/* VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT INVLPGA */
enum build_next lower_svm(struct lower *l)
{
    static i386_helper *const helpers[] = {i386_op_vmrun, i386_op_vmmcall, i386_op_vmload, i386_op_vmsave, i386_op_gif, i386_op_gif,
                                           i386_op_skinit, i386_op_invlpga};

    if (!has(l, FEATURE_SVM))
        return end_undefined(l);
    call(l, helpers[l->i.op - INSN_VMRUN], 0, l->i.op == INSN_STGI, l->i.asize);
    return end_exit(l);
}
