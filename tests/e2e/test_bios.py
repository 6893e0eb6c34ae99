"""From the reset vector, in real mode: the scenario of QEMU's own test of reverse debugging."""
import os
import subprocess
import sys
import tempfile

import harness
from harness import Server, check, equal

EIP, CS = 8, 10
STEPS = 10


def firmware():
    """64 KiB that end at the top of memory: a far jump at the reset vector, a few instructions
    without branches, and a loop."""
    image = bytearray(b"\xf4" * 65536)
    code = bytes.fromhex("fa 31c0 8ed0 bc007c fc b83412 50 5b 40 43 41 ebfd".replace(" ", ""))
    image[0:len(code)] = code
    image[0xfff0:0xfff5] = bytes.fromhex("ea000000f0")
    fd, path = tempfile.mkstemp(suffix=".bin")
    harness.atexit.register(os.unlink, path)
    with os.fdopen(fd, "wb") as f:
        f.write(image)
    return path


def register(g, n):
    return int.from_bytes(bytes.fromhex(g[8 * n:8 * n + 8]), "little")


def pc(rsp):
    """CS * 16 + EIP, as QEMU's test has it."""
    g = rsp.registers()
    return register(g, CS) * 16 + register(g, EIP)


def claim_the_first_instruction_is_at_the_reset_vector():
    with Server("--bios", firmware(), guest=None) as s:
        rsp = s.client()
        g = rsp.registers()
        equal((register(g, CS), register(g, EIP)), (0xf000, 0xfff0))
        # The same bytes at the top of memory and below 1 MiB.
        equal(rsp.memory(0xfffffff0, 5), rsp.memory(0xffff0, 5))
        rsp.ask("s")
        equal(pc(rsp), 0xf0000)
        rsp.close()


def claim_ten_steps_go_back_and_breakpoints_on_all_stop_at_the_last():
    with Server("--bios", firmware(), guest=None) as s:
        rsp = s.client()
        steps = []
        for _ in range(STEPS):
            steps.append(pc(rsp))
            rsp.ask("s")
        equal(len(set(steps)), STEPS)
        for expected in reversed(steps):
            rsp.ask("bs")
            equal(pc(rsp), expected)
        equal(rsp.position(), 0)
        for expected in steps:
            equal(pc(rsp), expected)
            rsp.ask("s")
        rsp.monitor("replay_break 5000000")
        rsp.ask("c")
        rsp.monitor("replay_delete_break")
        check(pc(rsp) not in steps)
        # Not marked as a breakpoint: EIP, which gdb would compare, is not the linear address while the base of CS is not 0.
        for address in steps:
            equal(rsp.ask("Z1,%x,1" % address), "OK")
        reply = rsp.ask("bc")
        check(reply.startswith("T05") and "replaylog" not in reply, reply)
        equal(pc(rsp), steps[-1])
        equal(rsp.position(), STEPS - 1)
        # And so on, to the one after the first: the reset vector's alias below 1 MiB never ran.
        for expected in reversed(steps[1:-1]):
            check("replaylog" not in rsp.ask("bc"))
            equal(pc(rsp), expected)
        check("replaylog:begin" in rsp.ask("bc"))
        equal(rsp.position(), 0)
        rsp.close()


def claim_the_debug_console_answers_at_firmwares_port_too():
    image = bytearray(b"\xf4" * 65536)
    # dx = 402h; read, and write what was read; "OK"; debug-exit with 0
    code = bytes.fromhex("ba0204 ec ee b04f ee b04b ee baf400 30c0 ee")
    image[0:len(code)] = code
    image[0xfff0:0xfff5] = bytes.fromhex("ea000000f0")
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(image)
        f.flush()
        for more, said in ((), b""), (("--device", "isa-debugcon"), b"\xe9OK"), (
                ("--device", "isa-debugcon,iobase=0x402"), b"\xe9OK"):
            r = subprocess.run([harness.HINDCAST, "--bios", f.name, "--run", "--listen", "none", "--serial", "none", *more],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            equal(r.returncode, 1, r.stderr)
            check((b"\xe9OK" in r.stderr) == bool(said), r.stderr)
        r = subprocess.run([harness.HINDCAST, "--bios", f.name, "--device", "isa-debugcon,iobase=0x60"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(b"another device answers there" in r.stderr, r.stderr)


def ends_with(code, *options):
    """The status with which a firmware image of this code ends, or None: it said something instead."""
    image = bytearray(b"\xf4" * 65536)
    image[0:len(code)] = code
    image[0xfff0:0xfff5] = bytes.fromhex("ea000000f0")
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(image)
        f.flush()
        return subprocess.run([harness.HINDCAST, "--bios", f.name, "--run", "--listen", "none", "--serial", "none", *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=harness.patience(20))


def claim_the_debug_console_goes_where_it_is_told():
    code = bytes.fromhex("b04f e6e9 ba0204 b04b ee baf400 30c0 ee")  # "O" to E9h, "K" to 402h; debug-exit with 0
    with tempfile.TemporaryDirectory() as tmp:
        there = os.path.join(tmp, "text")
        for options, said in ((("--debugcon", "file:" + there), b"O"),
                              (("--debugcon", "file:" + there, "--device", "isa-debugcon"), b"OK"),
                              (("--chardev", "file,id=o,path=" + there, "--device", "isa-debugcon,chardev=o,iobase=0xe9"), b"O"),
                              (("--chardev", "file,id=o,path=" + there, "--device", "isa-debugcon,chardev=o"), b"OK")):
            r = ends_with(code, "--force", *options)
            equal(r.returncode, 1, r.stderr)
            with open(there, "rb") as f:
                equal(f.read(), said, options)
            check(b"OK" not in r.stderr, r.stderr)
        r = ends_with(code, "--debugcon", "none", "--chardev", "file,id=o,path=" + there + ".2", "--device", "isa-debugcon,chardev=o")
        check(b"the debug console has a chardev" in r.stderr, r.stderr)


def claim_a_guest_ends_itself_through_isa_debug_exit():
    out = bytes.fromhex("ba1206 b83412 ee")  # dx = 612h, ax = 1234h, OUT of a byte
    wide = bytes.fromhex("ba1106 b83412 ef baf400 b001 ee")  # of a word at 611h; then 1 to 0f4h
    device = ("--device", "isa-debug-exit,iobase=0x610,iosize=4")
    for code, options, status in ((out, device, 0x34 << 1 | 1), (wide, device, (0x1234 << 1 | 1) & 0xff),
                                  (wide, ("--device", "isa-debug-exit,iobase=0x610,iosize=1"), 3),
                                  (wide, ("--device", "isa-debug-exit,iobase=0xf4,iosize=0x4"), 3),
                                  (wide, ("--debug-exit", "none", "--device", "isa-debug-exit,iobase=0xf4,iosize=0x4"), 3)):
        r = ends_with(code, *options)
        equal(r.returncode, status, r.stderr)
        check(b"debug-exit port" in r.stderr, r.stderr)
    r = ends_with(out, "--device", "isa-debug-exit,iobase=0x60")
    check(b"a device answers at port 0x60 already" in r.stderr, r.stderr)
    r = ends_with(out, "--device", "isa-debug-exit,iobase=0xffff,iosize=2")
    check(b"iosize" in r.stderr and r.returncode != 0, r.stderr)


def claim_the_board_has_a_device_for_test_suites():
    # 1 to IRQ 5's port: the PIC's IRR has it (OCW3 0Ah); a byte through E0h is seen at E8h
    code = bytes.fromhex("ba0520 b001 ee b00a e620 e420 2420 88c3 b05a e6e0 e4e8 00d8 e6f4")
    r = ends_with(code, "--device", "pc-testdev")
    equal(r.returncode, ((0x5a + 0x20) << 1 | 1) & 0xff, r.stderr)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
