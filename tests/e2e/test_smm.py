"""Firmware of our own that installs a handler of system management interrupts in SMRAM: debugged, backwards, and recorded."""
import os
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import Server, check, contains, equal, record_to

EBX = 3
HANDLER, COUNTER = 0xa8000, 0xa9000

# It opens SMRAM, puts one handler at 3000:8000 and one at A000:8000, sets up the PIIX4 to raise SMIs, raises one, whose
# handler writes A0000h into the SMBASE field of the save map, locks SMRAM, and then counts in EBX the SMIs that it raises by
# OUT B2h, as the other handler does in SMRAM (inc dword [cs:9000h]; 40 turns of a loop; rsm).
CODE = """
    fa 31c0 8ed8 8ed0 bc007c 66b870000080 baf80c 66ef bafe0c b04a ee b800f0 8ed8 b80030 8ec0 be9c00 bf0080 b91b00 f3a4
    b800a0 8ec0 bea900 bf0080 b90e00 f3a4 66b8400b0080 baf80c 66ef bafc0c 66b800060000 66ef 66b8800b0080 baf80c 66ef
    bafc0c b001 ee ba2806 b001 ee 66b8580b0080 baf80c 66ef baff0c b002 ee e6b2 66b870000080 baf80c 66ef bafe0c b01a ee
    6631db 6643 88d8 e6b2 ebf8
    66b800000a00 2e66a3f8fe 0faa
    2e66ff060090 b92800 49 75fd 0faa
"""


def firmware():
    image = bytearray(b"\xf4" * 65536)
    code = bytes.fromhex("".join(CODE.split()))
    image[0:len(code)] = code
    image[0xfff0:0xfff5] = bytes.fromhex("ea000000f0")
    fd, path = tempfile.mkstemp(suffix=".bin")
    harness.atexit.register(os.unlink, path)
    with os.fdopen(fd, "wb") as f:
        f.write(image)
    return path


def number(rsp, address):
    return int.from_bytes(rsp.memory(address, 4), "little")


def ebx(rsp):
    return int.from_bytes(bytes.fromhex(rsp.registers()[8 * EBX:8 * EBX + 8]), "little")


def claim_breakpoints_in_smram_hit_and_the_debugger_sees_what_the_cpu_sees():
    with Server("--bios", firmware(), guest=None) as s:
        rsp = s.client()
        equal(rsp.ask("Z1,%x,1" % HANDLER), "OK")
        seen = []
        for n in range(1, 6):
            check(rsp.ask("c").startswith("T05"))
            contains(rsp.monitor("info cpus"), r"in SMM")
            equal((ebx(rsp), number(rsp, COUNTER)), (n, n - 1))
            seen.append((rsp.position(), rsp.monitor("info hash")))
        for position, state in reversed(seen[:-1]):
            check(rsp.ask("bc").startswith("T05"))
            equal((rsp.position(), rsp.monitor("info hash")), (position, state))
        rsp.ask("bs")
        check("SMM" not in rsp.monitor("info cpus"))
        check(rsp.ask("m%x,4" % HANDLER) != "2e66ff06", "SMRAM is seen outside the mode")  # but the display adapter, if there is one
        rsp.ask("s")
        equal(number(rsp, HANDLER), 0x06ff662e)
        rsp.close()


def claim_a_watchpoint_in_smram_finds_who_wrote_last():
    with Server("--bios", firmware(), guest=None) as s:
        rsp = s.client()
        rsp.ask("Z1,%x,1" % HANDLER)
        for _ in range(3):
            rsp.ask("c")
        rsp.ask("z1,%x,1" % HANDLER)
        equal(rsp.ask("Z2,%x,4" % COUNTER), "OK")
        here = rsp.position()
        check("watch:" in rsp.ask("bc"))
        check(rsp.position() < here)
        equal((ebx(rsp), number(rsp, COUNTER)), (2, 1))
        rsp.close()


def claim_checkpoints_and_recordings_made_in_the_mode_are_as_good_as_others():
    directory = tempfile.mkdtemp(prefix="hindcast-smm-")
    harness.atexit.register(shutil.rmtree, directory, True)
    name = record_to(directory, [100000 + 37 * n for n in range(8)], "--bios", firmware(), "--icount", "sleep=off")
    p = subprocess.run([harness.HINDCAST, "verify", name], capture_output=True, text=True, timeout=harness.patience(60))
    check(p.returncode == 0, p.stderr + p.stdout)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
