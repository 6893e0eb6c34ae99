#!/usr/bin/env python3
"""A kernel as tutorials teach it (tests/guests/hobby), by Multiboot 1 and 2: it checks the machine,
we check its screen, its keyboard, its end, and that all of it goes backwards."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402
import screen  # noqa: E402
from harness import Failed, Server, check, contains, equal  # noqa: E402

FAST = ("--icount", "shift=0,sleep=off", "--memory", "32M")
directory = tempfile.mkdtemp(prefix="hindcast-hobby-")
atexit.register(shutil.rmtree, directory, True)
built = {}


def kernel(*defines):
    """The kernel's ELF file, built with these -D."""
    if defines not in built:
        path = os.path.join(directory, "kernel%d.elf" % len(built))
        source = os.path.join(HERE, "hobby")
        subprocess.run(["gcc", "-m32", "-std=gnu11", "-march=i686", "-mno-sse", "-O1", "-g", "-ffreestanding", "-fno-pic",
                        "-fno-stack-protector", "-fcf-protection=none", "-Wall", "-Wextra", "-nostdlib", "-static",
                        "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,max-page-size=4096"] +
                       ["-D" + d for d in defines] +
                       ["-T", os.path.join(source, "link.ld"), "-o", path, os.path.join(source, "boot.S"),
                        os.path.join(source, "kernel.c")], check=True, stderr=subprocess.PIPE)
        built[defines] = path
    return built[defines]


def claims_on_console(console):
    text = console.decode("latin-1").replace("\r", "")
    check("FAIL" not in text and "all claims hold" in text, "claims of the kernel:\n" + text)
    return re.findall(r"^ok   .*", text, re.M)


def run_alone(*arguments):
    """Status and first serial port of a run without a debugger."""
    console = os.path.join(directory, "console")
    r = subprocess.run([harness.HINDCAST, "--run", "--listen", "none", "--serial", "file:" + console] + list(FAST) +
                       list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                       timeout=60 * harness.SLOW)
    with open(console, "rb") as f:
        return r.returncode, f.read(), r.stderr.decode()


def claim_all_that_the_kernel_checks_is_so():
    status, console, _ = run_alone(kernel())
    claims = claims_on_console(console)
    equal(status, 33)
    check(len(claims) > 35, "only", len(claims))


def claim_it_is_so_by_multiboot_2():
    status, console, _ = run_alone(kernel("MULTIBOOT2"))
    claims_on_console(console)
    equal(status, 33)


def claim_it_is_so_with_every_cpu_that_has_what_it_uses():
    for model in ("pentium3", "pentium4"):
        equal(run_alone("--cpu", model, kernel())[0], 33, model)


def claim_qemu_says_the_same():
    if not shutil.which("qemu-system-i386"):
        return
    r = subprocess.run(["qemu-system-i386", "-M", "pc", "-display", "none", "-monitor", "none", "-serial", "stdio",
                        "-no-reboot", "-net", "none", "-m", "32", "-device", "isa-debug-exit,iobase=0xf4",
                        "-kernel", kernel()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=60)
    equal(r.returncode, 33)
    equal(claims_on_console(r.stdout), claims_on_console(run_alone(kernel())[1]))


def claim_the_screen_is_shown_now_and_in_the_past():
    with Server(*FAST, guest=kernel()) as s:
        rsp = s.client()
        contains(rsp.ask("c"), r"^[TWS]")
        end = rsp.position()
        last = rsp.monitor("screen")
        contains(last, r"^all claims hold$")
        width, height, pixel = screen.picture(rsp, os.path.join(directory, "end.ppm"))
        equal((width, height), (720, 400))
        check(any(pixel(x, y) != (0, 0, 0) for y in range(16) for x in range(100)), "the picture is black")
        seen = {}
        for part in (10, 3, 2):
            rsp.monitor("seek %d" % (end // part))
            rsp.ask("bc")
            equal(rsp.position(), end // part)
            seen[part] = rsp.monitor("screen")
        lines = [seen[part].count("ok   ") for part in (10, 3, 2)]
        check(lines[0] < lines[2], "the screen did not fill:", lines)
        rsp.monitor("seek %d" % (end // 10))
        rsp.ask("bc")
        equal(rsp.monitor("screen"), seen[10])
        rsp.monitor("seek %d" % end)
        rsp.ask("c")
        equal(rsp.monitor("screen"), last)
        rsp.close()


def claim_it_goes_backwards_step_by_step():
    elf = kernel()
    with Server(*FAST, guest=elf) as s:
        rsp = s.client()
        for function in ("double_fault", "sysenter_entry", "user_int80", "leave_user", "user_cli"):
            rsp.ask("Z1,%x,1" % harness.symbol(elf, function))
        stops = 0
        while stops < 6:
            rsp.ask("c")
            if int.from_bytes(bytes.fromhex(rsp.registers()[64:72]), "little") < 0xc0000000:
                break
            stops += 1
            screen.there_and_back(rsp, 20)
        check(stops >= 5, "stopped only %d times" % stops)
        rsp.close()


def claim_a_write_to_the_screen_is_found_backwards():
    elf = kernel()
    with Server(*FAST, guest=elf) as s:
        rsp = s.client()
        rsp.ask("c")
        rsp.ask("Z2,%x,2" % 0xc00b8000)
        contains(rsp.ask("bc"), r"watch:c00b8000")
        equal(rsp.memory(0xc00b8000, 1) in (b"o", b" "), True)
        rsp.ask("bc")
        rsp.close()


def claim_framebuffers_of_both_protocols():
    for defines in (("GRAPHICS",), ("GRAPHICS", "MULTIBOOT2")):
        with Server(*FAST, guest=kernel(*defines)) as s:
            rsp = s.client()
            rsp.ask("c")
            width, height, pixel = screen.picture(rsp, os.path.join(directory, "g.ppm"))
            equal((width, height), (800, 600))
            equal([pixel(10, 10), pixel(799, 0), pixel(5, 599), pixel(20, 10)],
                  [(255, 0, 0), (0, 255, 0), (0, 255, 0), (0, 0, 128)])
            try:
                rsp.monitor("screen")
                raise Failed("text in a graphics mode")
            except Exception as e:
                contains(str(e), "graphics, 800x600")
            # Half way back, half of it is drawn.
            rsp.monitor("seek %d" % (rsp.position() * 3 // 4))
            rsp.ask("bc")
            _, _, pixel = screen.picture(rsp, os.path.join(directory, "h.ppm"))
            equal((pixel(10, 10), pixel(5, 599)), ((255, 0, 0), (0, 0, 0)))
            rsp.close()
    status, _, errors = run_alone("--vga", "none", kernel("GRAPHICS"))
    equal(status, 1)
    contains(errors, "asks for a video mode")


def claim_keys_arrive_and_are_echoed():
    with Server(*FAST, "--append", "keys", guest=kernel()) as s:
        rsp = s.client()
        screen.run_until_screen(rsp, "^>", 1000000, 20)
        screen.press(rsp, "hello")
        contains(rsp.monitor("screen"), "^> hello$")
        screen.there_and_back(rsp, 20)
        rsp.monitor("sendkey ret")
        rsp.console = ""
        rsp.ask("c")
        contains(rsp.console + s.errors, "status 35")
        rsp.close()


def claim_a_triple_fault_stops_before_the_reset():
    with Server(*FAST, "--append", "triple", guest=kernel()) as s:
        rsp = s.client()
        rsp.ask("c")
        contains(rsp.monitor("info status"), "triple")
        at = rsp.position()
        screen.there_and_back(rsp, 20)
        rsp.ask("c")
        rsp.ask("c") # the reset, and to the next triple fault
        check(rsp.position() > at, "the guest did not start again")
        contains(rsp.monitor("info status"), "triple")
        rsp.close()


def main():
    probe = os.path.join(directory, "probe.o")
    if subprocess.run(["gcc", "-m32", "-ffreestanding", "-x", "c", "-c", "-o", probe, "-"], input=b"int x;",
                      stderr=subprocess.DEVNULL).returncode:
        print("no gcc for 32-bit programs")
        sys.exit(77)
    harness.main(sys.modules[__name__])


main()
