"""Flash banks of both boards and their files: what a guest programs, and what becomes of it."""
import os
import struct
import sys
import tempfile

import harness
from harness import Server, check, contains, equal
from test_cli import refused, run

# From address 0: program the first word of the second bank, look at it, switch off.
CODE = (
    0xd2a08000,  # mov x0, #0x4000000
    0x52800801,  # mov w1, #0x40
    0x72a00801,  # movk w1, #0x40, lsl #16     both chips: program a word
    0xb9000001,  # str w1, [x0]
    0x528acf02,  # mov w2, #0x5678
    0x72a24682,  # movk w2, #0x1234, lsl #16
    0xb9000002,  # str w2, [x0]
    0x52801fe1,  # mov w1, #0xff
    0xb9000001,  # str w1, [x0]                read the array
    0xb9400003,  # ldr w3, [x0]
    0x52800100,  # mov w0, #8
    0x72b08000,  # movk w0, #0x8400, lsl #16   PSCI SYSTEM_OFF
    0xd4000002,  # hvc #0
)
WORD = struct.pack("<I", 0x12345678)


def files(directory, size=4096):
    code, data = os.path.join(directory, "code.fd"), os.path.join(directory, "vars.fd")
    with open(code, "wb") as f:
        f.write(struct.pack("<%dI" % len(CODE), *CODE))
    with open(data, "wb") as f:
        f.write(b"\xff" * size)
    return code, data


def content(path):
    with open(path, "rb") as f:
        return f.read()


def claim_an_ovmf_for_secure_boot_is_warned_of():
    with tempfile.TemporaryDirectory() as d:
        for name, warned in (("OVMF_CODE_4M.secboot.fd", True), ("OVMF_CODE_4M.ms.fd", True), ("OVMF_CODE_4M.fd", False)):
            path, (code, data) = os.path.join(d, name), files(d)
            os.rename(code, path)
            text = run("--pflash", path, "--pflash", data, "--run", "--listen", "none")[1]
            check(("build of OVMF for Secure Boot" in text) == warned, (name, text))


def claim_what_the_guest_programs_stays_in_memory():
    with tempfile.TemporaryDirectory() as d:
        code, data = files(d)
        status, text = run("--pflash", code, "--pflash", data, "--run", "--listen", "none")
        equal(status, 0, text)
        equal(content(data), b"\xff" * 4096)


def claim_write_back_replaces_the_file_at_the_end():
    with tempfile.TemporaryDirectory() as d:
        code, data = files(d)
        os.chmod(data, 0o640)
        link = os.path.join(d, "link")
        os.symlink("vars.fd", link)
        status, text = run("--pflash", code, "--pflash", link + ",write-back", "--run", "--listen", "none")
        equal(status, 0, text)
        contains(text, r"link: the contents of flash bank 1 at position 13")
        equal(content(data), WORD + b"\xff" * 4092)
        equal(os.stat(data).st_mode & 0o777, 0o640)
        check(os.path.islink(link))
        equal(sorted(os.listdir(d)), ["code.fd", "link", "vars.fd"])


def claim_what_is_written_back_is_the_live_edge_wherever_the_debugger_stands():
    with tempfile.TemporaryDirectory() as d:
        code, data = files(d)
        saved = os.path.join(d, "saved")
        with Server("--pflash", code, "--pflash", data + ",write-back", guest=None) as server:
            rsp = server.client()
            rsp.start()
            rsp.ask("c")
            text = rsp.monitor("save_flash 1 " + saved)
            contains(text, r"67108864 bytes, flash bank 1")
            equal(content(saved)[:4096], WORD + b"\xff" * 4092)
            rsp.monitor("seek 3")
            rsp.ask("bc")
            rsp.monitor("save_flash 1 %s force" % saved)
            equal(content(saved)[:4], b"\xff" * 4)
            equal(content(data)[:4], b"\xff" * 4)
            rsp.send("k")
            server.process.wait(harness.patience(20))
        equal(content(data)[:4], WORD)


def claim_write_back_asks_for_what_it_needs():
    with tempfile.TemporaryDirectory() as d:
        code, data = files(d)
        recording = os.path.join(d, "r.hcrec")
        keep = ("--pflash", code, "--pflash", data + ",write-back", "--run", "--listen", "none")
        refused(r"add --embed", *keep, "--record", recording)
        status, text = run(*keep, "--record", recording, "--embed")
        equal(status, 0, text)
        equal(content(data)[:4], WORD)
        status, text = run("verify", recording)
        equal(status, 0, text)
        refused(r"a replay leaves files alone", "--replay", recording, "--pflash", code + ",write-back")


def claim_a_recording_knows_its_flash_images_by_hash():
    with tempfile.TemporaryDirectory() as d:
        code, data = files(d)
        recording = os.path.join(d, "r.hcrec")
        status, text = run("--pflash", code, "--pflash", data, "--run", "--listen", "none", "--record", recording)
        equal(status, 0, text)
        status, text = run("info", recording)
        contains(text, r"pflash +\S+code\.fd \(52 bytes, hash")
        contains(text, r"pflash +\S+vars\.fd \(4096 bytes, hash")
        equal(run("verify", recording)[0], 0)
        with open(data, "r+b") as f:
            f.write(b"\0")
        refused(r"vars\.fd is not the pflash that was recorded", "verify", recording)


def pc_files(directory):
    """Firmware of 4 KiB below 4 GiB that programs the first byte of the bank below it, then ends with status 1."""
    base, gdt, size = 0xff000, 0x800, 8192
    wide = bytes.fromhex("66b81000 8ed8 b9") + struct.pack("<I", 2**32 - 4096 - size)  # ds flat; ecx: the second bank
    wide += bytes.fromhex("c60110 c6015a c601ff 66baf400 31c0 ee f4")  # program a byte, read the array, out 0xf4
    real = bytes.fromhex("fa 2e660f0116") + struct.pack("<H", 0xf000 + gdt)
    real += bytes.fromhex("66b811000000 0f22c0 66ea") + struct.pack("<IH", base + 0x100, 8)
    image = bytearray(b"\xf4" * 4096)
    image[:len(real)] = real
    image[0x100:0x100 + len(wide)] = wide
    image[gdt:gdt + 6] = struct.pack("<HI", 23, base + gdt + 8)
    image[gdt + 8:gdt + 32] = struct.pack("<QQQ", 0, 0x00cf9b000000ffff, 0x00cf93000000ffff)
    image[-16:-11] = bytes.fromhex("ea00f000f0")  # jmp f000:f000
    code, data = os.path.join(directory, "code.fd"), os.path.join(directory, "vars.fd")
    with open(code, "wb") as f:
        f.write(image)
    with open(data, "wb") as f:
        f.write(b"\xff" * size)
    return code, data


END = ("--run", "--listen", "none")


def claim_flash_for_a_pc_makes_the_machine_a_pc():
    with tempfile.TemporaryDirectory() as d:
        code, data = pc_files(d)
        status, text = run("--pflash", code, "--pflash", data, *END)
        equal(status, 1, text)
        equal(content(data), b"\xff" * 8192)
        status, text = run("--pflash", code, "--pflash", data + ",write-back", *END)
        equal(status, 1, text)
        contains(text, r"vars\.fd: the contents of flash bank 1 at position")
        equal(content(data), b"\x5a" + b"\xff" * 8191)


def claim_a_drive_of_if_pflash_is_a_flash_bank():
    with tempfile.TemporaryDirectory() as d:
        code, data = pc_files(d)
        recording = os.path.join(d, "r.hcrec")
        first = ("--drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + code)
        status, text = run(*first, "--drive", "if=pflash,file=%s,write-back=on" % data, *END)
        equal(status, 1, text)
        equal(content(data), b"\x5a" + b"\xff" * 8191)
        status, text = run(*first, "--drive", "if=pflash,readonly=on,file=" + data, *END, "--record", recording)
        equal(status, 1, text)
        status, text = run("verify", recording)
        equal(status, 0, text)
        refused(r"one file each", *first, *first, "--drive", "if=pflash,file=" + data)
        refused(r"flash images are raw", "--drive", "if=pflash,format=qcow2,file=" + data)
        with open(data, "wb"):
            pass
        refused(r"vars\.fd: an empty firmware image", *first, "--drive", "if=pflash,file=" + data)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
