"""A PC suspends to RAM and wakes: by its clock's alarm, the user, a key, the power button; debugged, backwards, recorded."""
import os
import subprocess
import sys
import tempfile
import time

import harness
from harness import HINDCAST, Server, build_guest, check, contains, equal, patience
from rspclient import RspError  # (harness finds it)

WAKES, LEFT, SHUTDOWN, AT_START, STATUS = 0x9000, 0x9002, 0x9006, 0x900a, 0x9010
WAKING_VECTOR = 0xf004c  # in the FACS

# It puts the second half to 8123h, tells the FACS of it, has the clock's alarm ring in each second and wake, and sleeps. The
# second half counts, notes with what it was woken, and sleeps three times more, without an alarm.
GUEST = """
        movb $0x8f, %%al                # the shutdown byte
        outb %%al, $0x70
        inb $0x71, %%al
        movb %%al, 0x900a
        movl $wakes, %%esi
        movl $0x8123, %%edi
        movl $end - wakes, %%ecx
        rep movsb
        movl %s, 0xf004c
        movw $0x0501, %%bx              # alarms: any hour, minute, second
1:      movb %%bl, %%al
        outb %%al, $0x70
        movb $0xff, %%al
        outb %%al, $0x71
        addb $2, %%bl
        cmpb %%bl, %%bh
        jae 1b
        movb $0x0b, %%al                # AIE, 24 hours
        outb %%al, $0x70
        movb $0x22, %%al
        outb %%al, $0x71
        movb $0x0c, %%al
        outb %%al, $0x70
        inb $0x71, %%al
        movw $0x602, %%dx               # RTC_EN
        movw $0x400, %%ax
        outw %%ax, %%dx
        movw $0x604, %%dx               # SLP_TYP 1, SLP_EN
        movw $0x2401, %%ax
        outw %%ax, %%dx
        incw 0x9002                     # it goes on
        movw $0x2001, %%ax
        outw %%ax, %%dx
2:      hlt
        jmp 2b
        .code16
wakes:  xorw %%ax, %%ax
        movw %%ax, %%ds
        incw 0x9000
        movb $0x8f, %%al
        outb %%al, $0x70
        inb $0x71, %%al
        movb %%al, 0x9006
        movw $0x600, %%dx
        inw %%dx, %%ax
        movw 0x9000, %%bx
        shlw $1, %%bx
        movw %%ax, 0x9010(%%bx)
        outw %%ax, %%dx
        movw $0x604, %%dx
        movw $0x2401, %%ax
        cmpw $4, 0x9000
        jb 3f
        movw $0x2001, %%ax              # soft-off
3:      outw %%ax, %%dx
        incw 0x9002
4:      hlt
        jmp 4b
end:
"""


def guest(vector="$0x8123"):
    return build_guest(GUEST % vector, "sleeper")


def words(rsp, address, n=1):
    data = rsp.memory(address, 2 * n)
    return [int.from_bytes(data[2 * i:2 * i + 2], "little") for i in range(n)]


def until_asleep(rsp):
    """It has gone to sleep, and nothing but the user wakes it. What the CPUs do."""
    for _ in range(200):
        rsp.send("c")
        time.sleep(0.05)
        rsp.interrupt()
        rsp.wait()
        said = rsp.monitor("info cpus")
        if "suspended" in said and words(rsp, WAKES) != [0]:
            return said
    check(False, "asleep", said)
    return said


def wake(rsp, command, count):
    """From one sleep to the next, or to the end."""
    rsp.monitor(command)
    if count < 4:
        until_asleep(rsp)
    else:
        rsp.ask("c")
    equal(words(rsp, WAKES), [count], command)


def claim_it_sleeps_and_wakes_and_history_goes_across():
    with tempfile.TemporaryDirectory(prefix="hindcast-") as directory:
        name = os.path.join(directory, "sleep.hcrec")
        with Server("--record", name, guest=guest()) as s:
            rsp = s.client()
            contains(until_asleep(rsp), r"pc=0x0*fffffff0, suspended")
            equal(words(rsp, WAKES), [1], "the alarm woke it, once")
            asleep = rsp.position(), rsp.monitor("info hash")
            for count, command in enumerate(("system_wakeup", "sendkey a", "system_powerdown"), 2):
                wake(rsp, command, count)
            equal(words(rsp, LEFT), [0], "no instruction after the one that put it to sleep was run")
            equal(words(rsp, SHUTDOWN), [0xfe])
            equal([n & 0x8500 for n in words(rsp, STATUS + 2, 4)], [0x8400, 0x8100, 0x8100, 0x8100])
            end = rsp.position(), rsp.monitor("info hash")
            equal(rsp.ask("Z2,%x,2" % WAKES), "OK")
            for count in 3, 2, 1, 0:
                contains(rsp.ask("bc"), "watch:")
                equal(words(rsp, WAKES), [count], "the write undone")
            rsp.ask("z2,%x,2" % WAKES)
            # 812h:3, where the vector is.
            rsp.ask("bs"), rsp.ask("bs")
            contains(rsp.monitor("info registers"), r"EIP=0*3 [\s\S]*CS =0812 0*8120 ")
            rsp.ask("bs")
            contains(rsp.monitor("info cpus"), r"suspended")
            rsp.monitor("seek %d" % asleep[0])
            rsp.ask("c")
            equal((rsp.position(), rsp.monitor("info hash")), asleep)
            rsp.monitor("seek %d" % end[0])
            rsp.ask("c")
            equal((rsp.position(), rsp.monitor("info hash")), end)
        out = subprocess.run([HINDCAST, "verify", name], capture_output=True, text=True, timeout=patience(60))
        contains(out.stdout + out.stderr, r"the whole recording replays")


def claim_all_cpus_sleep_and_the_first_wakes():
    with Server("--smp", "2", guest=guest()) as s:
        rsp = s.client()
        equal(until_asleep(rsp).count("suspended"), 2)
        rsp.ask("Z0,8123,1")
        rsp.monitor("system_wakeup")
        rsp.ask("c")
        contains(rsp.monitor("info cpus"), r"CPU #0: .*running.*\n.*CPU #1: .*waiting for SIPI")


def claim_a_reset_while_it_sleeps_starts_anew():
    with Server(guest=guest()) as s:
        rsp = s.client()
        until_asleep(rsp)
        rsp.monitor("system_reset")
        equal(rsp.memory(WAKES, 1), b"\1", "a reset leaves memory alone")
        equal(rsp.ask("Z2,%x,2" % WAKES), "OK")
        rsp.ask("c")
        equal(words(rsp, WAKES), [2], "it slept again")
        equal(rsp.memory(AT_START, 1), b"\0", "firmware would not resume")


def claim_without_a_waking_vector_it_starts_anew():
    with Server(guest=guest("$0")) as s:
        rsp = s.client()
        equal(rsp.ask("Z2,%x,1" % AT_START), "OK")
        contains(rsp.ask("c"), "watch:")
        contains(rsp.ask("c"), "watch:")
        equal(rsp.memory(AT_START, 1), b"\xfe")


def claim_a_board_without_it_goes_on():
    for options, there in ((), True), (("--machine", "pc,s3=off"), False), (("-global", "PIIX4_PM.disable_s3=1"), False):
        with Server(*options, guest=guest()) as s:
            rsp = s.client()
            tables = rsp.memory(0xf0000, 0x4000)
            equal((b"FACS" == tables[0x40:0x44], b"_S3_" in tables, b"_S5_" in tables), (True, there, True))
            if there:
                continue
            contains(rsp.ask("c"), "^[TW]")
            equal((words(rsp, LEFT), words(rsp, WAKES)), ([1], [0]))
            try:
                said = rsp.monitor("system_wakeup")
            except RspError as e:
                said = str(e)
            contains(said, "not suspended")


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386,))
