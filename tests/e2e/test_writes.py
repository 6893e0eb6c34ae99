"""Bytes that change otherwise than by a CPU's store to their address: who did it, and watchpoints."""


import re
import sys

import harness
from harness import Server, contains, equal, lacks
from rspclient import RspError

ADDRESS = 0x300000


def written(rsp, at=ADDRESS, value="a5"):
    """The position at which the debugger writes."""
    position = rsp.position()
    equal(rsp.ask("M%x,1:%s" % (at, value)), "OK", "the guest is written")
    return position


def refused(rsp, command):
    try:
        return "not refused: " + rsp.monitor(command)
    except RspError as e:
        return str(e)


def run_to(rsp, position):
    rsp.monitor("replay_break %d" % position)
    rsp.ask("c")
    rsp.monitor("replay_delete_break")
    equal(rsp.position(), position, "it runs there")


def claim_last_names_the_debugger_and_the_reset():
    with Server(harness.STORE, guest=None) as s:
        rsp = s.client()
        run_to(rsp, 5000)
        at = written(rsp)
        run_to(rsp, 9000)
        contains(rsp.monitor("last %#x" % ADDRESS), r"last written by the debugger, position %d" % at)
        contains(rsp.monitor("last phys:%#x" % ADDRESS), r"last written by the debugger, position %d" % at)
        contains(refused(rsp, "last phys:0xe0000000"), r"from physical 0xe0000000 on there are no 4 bytes of memory")
        rsp.monitor("seek 9000")
        rsp.ask("c")
        rsp.monitor("system_reset")
        # Its image is loaded again, where the kernel is.
        contains(rsp.monitor("last 0x100000 4"), r"last written by a reset, position 9000")


def register_names(rsp):
    description = ""
    for file in re.findall(r'href="([^"]+)"', rsp.ask("qXfer:features:read:target.xml:0,8000")) or ["target.xml"]:
        description += rsp.ask("qXfer:features:read:%s:0,8000" % file)
    return re.findall(r'<reg name="(\w+)"', description)


def claim_reserved_bits_of_a_system_register_are_refused():
    with Server(harness.STORE, guest=None) as s:
        rsp = s.client()
        run_to(rsp, 5000)
        names = register_names(rsp)
        before = rsp.monitor("info hash")
        for name, value, text in (("cr0", 0xffffffff, "cr0 cannot have these bits of the value: 0x1ffaffc0"), ("cr0", 0x80000010, "cr0 cannot be written"),
                                  ("cr0", 0x20000011, "cr0 cannot be written"), ("cr4", 0xffffffff, "cr4 cannot be written"),
                                  ("dr7", 0xffffffff, "dr7 cannot have"), ("eflags", 0x8002, "eflags cannot have these bits of the value: 0x8000")):
            contains(rsp.ask("P%x=%s" % (names.index(name), value.to_bytes(4, "little").hex())), text)
        contains(rsp.ask("P%x=%s" % (names.index("efer"), "ffffffffffffffff")), "efer cannot be written")
        equal(rsp.monitor("info hash"), before)
        equal(rsp.ask("P%x=01000000" % names.index("dr7")), "OK", "a bit that is always set need not be said")


def claim_reserved_bits_of_a_system_register_are_refused_on_aarch64():
    """Also those of registers whose writes the CPU ignores; a write that clears what it names has none."""
    with Server(harness.AARCH64.store, guest=None) as s:
        rsp = s.client()
        run_to(rsp, 5000)
        names = register_names(rsp)

        def write(name, value):
            return rsp.ask("P%x=%s" % (names.index(name), value.to_bytes(8, "little").hex()))

        before = rsp.monitor("info hash")
        for name, value, text in (("VBAR_EL1", 0x40100804, "VBAR_EL1 cannot have these bits of the value: 0x4 .reserved"),
                                  ("SCTLR_EL1", 1 << 40 | 0x30d50838, "SCTLR_EL1 cannot have these bits of the value: 0x10000000000 "),
                                  ("DBGWVR0_EL1", 0x40100003, "DBGWVR0_EL1 cannot have these bits of the value: 0x3 "),
                                  ("DAIF", 0x3d0, "DAIF cannot have these bits of the value: 0x10 "),
                                  ("PMEVTYPER0_EL0", 1 << 40, "PMEVTYPER0_EL0 cannot have these bits of the value: 0x10000000000 "),
                                  ("CPUACTLR_EL1", 5, "CPUACTLR_EL1 cannot have these bits of the value: 0x5 "),
                                  ("MIDR_EL1", 5, "MIDR_EL1 cannot be written")):
            contains(write(name, value), text)
        equal(rsp.monitor("info hash"), before)
        for name, value in (("PMCNTENSET_EL0", 1 << 31), ("PMCNTENCLR_EL0", 1 << 31), ("PMCR_EL0", 6), ("CNTV_TVAL_EL0", (1 << 64) - 1),
                            ("CNTV_CTL_EL0", 7), ("VBAR_EL1", 0x40100800), ("DAIF", 0x3c0)):
            equal(write(name, value), "OK", name)


def claim_a_watchpoint_hits_the_debuggers_write_in_both_directions():
    for packet in "Z2,%x,1" % ADDRESS, None:
        with Server(harness.STORE, guest=None) as s:
            rsp = s.client()
            run_to(rsp, 5000)
            at = written(rsp)
            run_to(rsp, 9000)
            if packet:
                equal(rsp.ask(packet), "OK")
            else:
                equal(rsp.ask("Qqemu.PhyMemMode:1"), "OK")
                equal(rsp.ask("Z2,%x,1" % ADDRESS), "OK")
                contains(rsp.ask("Z3,%x,1" % ADDRESS), r"^E")
            contains(rsp.ask("bc"), r"watch:0*%x" % ADDRESS)
            contains(rsp.console, r"the watched bytes at 0x300000 are written by the debugger")
            equal(rsp.position(), at, "before the write")
            contains(rsp.ask("c"), r"watch:0*%x" % ADDRESS)
            equal(rsp.position(), at + 1, "after it")


def claim_watch_phys_stops_until_it_is_taken_away():
    with Server(harness.STORE, guest=None) as s:
        rsp = s.client()
        run_to(rsp, 5000)
        at = written(rsp)
        run_to(rsp, 9000)
        contains(refused(rsp, "watch-phys 0xe0000000 4"), r"no 4 bytes of memory")
        rsp.monitor("watch-phys %#x 4" % ADDRESS)
        rsp.ask("bc")
        contains(rsp.console, r"the watched bytes at physical 0x300000 are written by the debugger")
        equal(rsp.position(), at, "before the write")
        contains(refused(rsp, "unwatch-phys 0x1234"), r"nothing is watched")
        rsp.monitor("unwatch-phys")
        contains(rsp.ask("bc"), r"replaylog:begin")


def claim_what_monitor_commands_watch_goes_with_the_client():
    with Server(harness.STORE, "-S", guest=None) as s:
        for detach in True, False:
            rsp = s.client()
            contains(rsp.monitor("info watches"), r"^no watch-phys, watch-disk or replay_break is set\n$")
            at = rsp.position()
            run_to(rsp, at + 5000)
            written(rsp)
            here = rsp.position()
            rsp.monitor("watch-phys %#x 4" % ADDRESS)
            rsp.monitor("replay_break %d" % (at + 2500))
            equal(rsp.monitor("info watches"), "watch-phys 0x300000 4\nreplay_break %d\n" % (at + 2500))
            if detach:
                equal(rsp.ask("D"), "OK")
            rsp.close()
            rsp = s.client()
            lacks(rsp.monitor("info replay"), "replay_break")
            contains(rsp.ask("bc"), r"replaylog:begin")
            run_to(rsp, here)
            rsp.close()


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
