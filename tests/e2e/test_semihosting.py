#!/usr/bin/env python3
"""Semihosting on the virt board, end to end: a program of its own (semihosting/), real files, a real gdb, and QEMU."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

from harness import *  # noqa: F401,F403
import harness
from test_terminal import Terminal

CC = "aarch64-linux-gnu-gcc"
SOURCES = os.path.join(SOURCE, "tests", "e2e", "semihosting")
built = {}

# What the program says: with what there is to see of each operation.
CONSOLE = """tty 1
to the output
not written 0
c
read: SHFB
not read 0
features 3
close 0
"""
FILES = """not written 0
length 13
tty 0
close 0
not written 0
length 18
seek 0
read: two
not read 0
not written 0
read: one two+three four
not read 82
read: 
not read 10
emptied 0
not written 0
rename 0
gone -1
errno 2
read: new
not read 97
remove 0
remove -1
errno 2
"""
REST = """iserror 0
iserror 1
tickfreq 1000000000
time passes 1
clock 1
it is after 2020 1
heap 1
tmpnam 0
another 0
"""
BEGIN = "command line 0\nas long as told 1\n"


def scratch():
    d = tempfile.mkdtemp(prefix="hindcast-semihosting-")
    atexit.register(shutil.rmtree, d, True)
    return d


def guest():
    """The program as an ELF file."""
    if "elf" not in built:
        elf = os.path.join(scratch(), "guest.elf")
        script = os.path.join(SOURCE, "examples", "stale-pointer", "aarch64", "link.ld")
        subprocess.run([CC, "-g", "-O1", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-mgeneral-regs-only",
                        "-mstrict-align", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none,-z,noexecstack",
                        "-Wl,--no-warn-rwx-segments", "-T", script, "-o", elf, os.path.join(SOURCES, "start.S"),
                        os.path.join(SOURCES, "guest.c")], check=True)
        built["elf"] = elf
    return built["elf"]


def hindcast(*args, stdin=b"", cwd=None, seconds=30):
    """Run to the end: (exit status, output, errors)."""
    p = subprocess.run([harness.HINDCAST, *args], input=stdin, capture_output=True, timeout=patience(seconds), cwd=cwd)
    return p.returncode, p.stdout.decode("utf-8", "replace"), p.stderr.decode("utf-8", "replace")


def words(*text):
    return [x for word in ("prog",) + text for x in ("--semihosting-arg", word)]


def run(directory, *more, stdin=b""):
    where = ["--semihosting-dir", directory] if directory else []
    return hindcast("--run", "--listen", "none", "--semihosting", *where, *more, guest(), stdin=stdin)


def claim_every_operation_does_what_the_specification_says():
    d = scratch()
    status, out, err = run(d, *words())
    equal(out, BEGIN + CONSOLE + FILES + REST, "console")
    equal(status, 42, "exit status")
    contains(err, r"exited with status 42 at position \d+")
    equal(os.listdir(d), ["kept.txt"], "files")
    with open(os.path.join(d, "kept.txt")) as f:
        equal(f.read(), "new", "the file")
    status, _, _ = run(d, *words("extended"))
    equal(status, 42, "exit status, extended")
    status, _, _ = run(d, *words("panic"))
    equal(status, 1, "exit status of another reason")


def claim_a_program_gets_the_same_answers_from_qemu():
    qemu = shutil.which("qemu-system-aarch64")
    if not qemu:
        print("     (no qemu-system-aarch64)")
        return
    ours, theirs = scratch(), scratch()
    for d in (ours, theirs):
        with open(os.path.join(d, "there.txt"), "w") as f:
            f.write("It was there before.")
    # QEMU's append mode overwrites, and whether its console is a terminal is the host's affair.
    _, out, _ = run(ours, *words("read", "noappend"))
    p = subprocess.run([qemu, "-M", "virt", "-cpu", "cortex-a57", "-display", "none", "-serial", "none", "-monitor", "none",
                        "-semihosting-config", "enable=on,target=native,arg=prog,arg=read,arg=noappend", "-kernel", guest()],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=theirs, timeout=patience(60))

    def lines(text):
        return sorted(line for line in text.replace("to the output\n", "").splitlines() if not line.startswith("tty"))

    contains(out, r"^read: It was there before\.$")
    equal(lines(out), lines(p.stdout.decode()), "console")
    equal(p.returncode, 42, "QEMU's status")
    equal(sorted(os.listdir(ours)), sorted(os.listdir(theirs)), "files")


def claim_nothing_outside_of_the_directory_can_be_reached():
    top = scratch()
    d = os.path.join(top, "inside")
    os.makedirs(os.path.join(d, "inner"))
    outside, good = os.path.join(top, "outside.txt"), os.path.join(d, "inner", "good.txt")
    for name in (outside, good):
        with open(name, "w") as f:
            f.write("untouched")
    os.symlink("../outside.txt", os.path.join(d, "link.txt"))
    os.symlink("..", os.path.join(d, "linked"))
    os.mkfifo(os.path.join(d, "fifo"))
    status, out, _ = run(d, *words("bad"))
    equal(status, 42, "exit status")
    for name, error in (("../outside.txt", 13), ("/etc/hostname", 13), ("link.txt", 13), ("inner/../../outside.txt", 13),
                        ("linked/outside.txt", 13), ("", 2), (".", 21), ("inner", 21), ("fifo", 13), ("nowhere/x", 2),
                        (":other", 2), ("inner/", 21)):
        contains(out, r"^%s opened 0\n errno %d$" % (re.escape(name), error))
    contains(out, r"^inner/\./good\.txt opened 1$")
    contains(out, r"^rename out -1\nremove out -1$")
    with open(outside) as f:
        equal(f.read(), "untouched", "the file outside")
    equal(sorted(os.listdir(top)), ["inside", "outside.txt"], "files outside")


def claim_bad_pointers_and_handles_are_errors_of_the_operation():
    _, out, _ = run(scratch(), *words("bad"))
    contains(out, r"^to the errors$")
    contains(out, r"^write to what is read 3\nerrno 9\nread to nowhere 3\nerrno 14\nread: new\nnot read 0\n"
                  r"write from nowhere 5\nmode -1\nname nowhere -1\nlong name -1$")
    operations = re.findall(r"^operation (\d+)\n block nowhere (\d)$", out, re.M)
    check(len(operations) > 40, operations)
    for operation, failed in operations:
        equal(failed, "1", "operation " + operation)
    equal(len(re.findall(r"^ handle \S+ -1$", out, re.M)), 12, "bad handles")
    contains(out, r"^system -1\nunknown -1\nat EL0 it is undefined 1$")


def claim_without_a_directory_files_are_refused_and_that_is_told():
    status, out, err = run(None, *words())
    equal(status, 42, "exit status")
    contains(out, r"^gone -1\nerrno 13$")
    contains(err, r"notes\.txt.*--semihosting-dir")
    equal(len(re.findall("--semihosting-dir", err)), 1, "messages")


def claim_the_command_line_is_the_programs_name_and_append_unless_given():
    e = guest()
    for more, wanted in (([], e), (["--append", "a b"], e + " a b"),
                         (["--semihosting-config", "enable=on,target=native,arg=x,arg=y,,z"], "x y,z")):
        with Server("--semihosting", *more, guest=e) as s:
            out = gdb(s, ["break files_begin", "continue", "x/s line"], symbols=e)
            contains(out, r'"%s"$' % re.escape(wanted))


def claim_console_input_comes_from_stdin_up_to_its_end():
    text = "hello\n" + "there are lines of many characters, more than a buffer takes\n" * 40 + "end"
    _, out, _ = run(scratch(), *words("echo"), stdin=text.encode())
    check(out.endswith("first character 104\n" + text[1:] + "end 64\nagain -1\n"), out[-300:])


def claim_in_a_terminal_enter_ends_a_line_and_ctrl_d_the_input():
    t = Terminal("--run", "--listen", "none", "--semihosting", *words("echo"), guest())
    try:
        t.wait(rb"another 0")
        t.type(b"ab\rc\x04")
        t.wait(rb"first character 97\r\nb\r\ncend 64\r\n")
        t.type(b"\x04")
        t.wait(rb"again -1\r\n")
        equal(t.process.wait(patience(10)), 42, "exit status")
    finally:
        t.end()


def claim_what_is_typed_goes_to_the_serial_port_of_a_guest_that_uses_that():
    uboot = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"
    if not os.path.exists(uboot):
        print("     (no u-boot-qemu)")
        return
    t = Terminal("--machine", "virt", "--run", "--listen", "none", "--semihosting", "--bios", uboot)
    try:
        t.wait(rb"stop autoboot", 60)
        t.type(b"\r")
        t.wait(rb"=> ", 60)
        t.type(b"echo 12${arch}34\r")
        t.wait(rb"12arm34", 60)
    finally:
        t.end()


def claim_a_recording_replays_elsewhere_without_the_files():
    d, clean = scratch(), scratch()
    with open(os.path.join(d, "there.txt"), "w") as f:
        f.write("It was there before.")
    name = os.path.join(d, "r.hcrec")
    files = os.path.join(d, "files")
    os.mkdir(files)
    shutil.move(os.path.join(d, "there.txt"), files)
    _, console, _ = run(files, "--record", name, "--embed", *words("read", "echo"), stdin=b"typed\n")
    contains(console, r"^read: It was there before\.$")
    shutil.move(name, clean)
    shutil.rmtree(files)
    status, out, _ = hindcast("info", "r.hcrec", cwd=clean)
    equal(status, 0, "info")
    contains(out, r"^semihosting +on$")
    contains(out, r"^  files +\d+ \(\d+ bytes\)$")
    contains(out, r"^  semihosting +\d+ \(\d+ bytes\)$")
    status, out, _ = hindcast("verify", "r.hcrec", cwd=clean)
    equal(status, 0, "verify: " + out)
    contains(out, r"the whole recording replays")
    status, out, err = hindcast("--replay", "r.hcrec", "--run", "--listen", "none", cwd=clean)
    equal(status, 42, err)  # the guest's own
    equal(out, console, "console")
    equal(os.listdir(clean), ["r.hcrec"], "files")


def claim_a_recording_goes_on_live_with_its_files_where_they_were():
    d = scratch()
    name = os.path.join(d, "r.hcrec")
    process = subprocess.Popen([harness.HINDCAST, "--run", "--listen", "none", "--semihosting", "--semihosting-dir", d,
                                "--record", name] + words("echo") + [guest()],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen = b""
    while b"another 0\n" not in seen:
        data = os.read(process.stdout.fileno(), 4096)
        check(data, "it ended:", seen)
        seen += data
    end_process(process)
    os.remove(os.path.join(d, "kept.txt"))
    status, out, err = hindcast("--replay", name, "--continue-live", "--run", "--listen", "none", stdin=b"xyz", cwd=d)
    equal(status, 42, err)
    check(out.endswith("first character 120\nyzend 64\nagain -1\n"), out[-200:])
    equal(os.listdir(d), ["r.hcrec"], "what was done before was done again")


def claim_gdb_goes_back_over_files_and_exit_and_forth_again():
    d, e = scratch(), guest()
    kept = os.path.join(d, "kept.txt")
    with Server("--semihosting", "--semihosting-dir", d, *words(), guest=e, serial="stdio") as s:
        first = gdb(s, ["break files_begin", "continue", "monitor info hash", "delete", "continue", "monitor info hash",
                        "p counter"], symbols=e)
        contains(first, r"program exited with status 42 at position \d+; it can go backwards")
        contains(first, r"\$1 = 3$")
        check(os.path.exists(kept), "the file was written")
        os.remove(kept)
        os.mkdir(kept) # whatever touches it now will fail, or be seen
        again = gdb(s, ["watch counter", "reverse-continue", "p counter", "reverse-continue", "p counter", "delete",
                        "break files_begin", "reverse-continue", "monitor info hash", "continue", "monitor info hash",
                        "p counter"], symbols=e)
        s.wait_output(rb"another 0\n")
        output = s.output.decode()
    hashes = [re.findall(r"^.*?\b([0-9a-f]{16})\b", text, re.M) for text in (first, again)]
    check(len(hashes[0]) > 2, first)
    equal(hashes[1], hashes[0], "hashes")
    equal(re.findall(r"^\$\d+ = (\d+)$", again, re.M)[-1], "3", "the counter at the end")
    contains(again, r"exited with status 42")
    equal(output, BEGIN + CONSOLE + FILES + REST, "console, once")
    equal(os.listdir(kept), [], "the host's directory")


def claim_a_watchpoint_sees_what_a_read_puts_into_memory():
    d, e = scratch(), guest()
    with open(os.path.join(d, "there.txt"), "w") as f:
        f.write("It was there before.")
    with Server("--semihosting", "--semihosting-dir", d, *words("read"), guest=e) as s:
        out = gdb(s, ["break files_begin", "continue", "delete", "watch *(char(*)[2])buffer",
                      "reverse-continue", "reverse-continue", "x/s buffer", "bt 3", "x/i $pc"], symbols=e)
    contains(out, r"semihost ")
    contains(out, r'^Old value = ".*\nNew value = ')
    contains(out, r"hlt\t#0xf000")


PICOLIBC = "/usr/lib/picolibc/aarch64-linux-gnu/picolibc.specs"
LIBC_PROGRAM = r"""
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

/* The library's accesses are not all aligned. So memory must be Normal: without translation it is Device. */
static uint64_t regions[512] __attribute__((aligned(4096)));

__attribute__((constructor)) static void translation_on(void)
{
    uint64_t sctlr;

    regions[0] = 0x401;                     /* the first GiB: attributes 0 */
    regions[1] = 0x40000000 | 0x704 | 0x01; /* the second: attributes 1, inner shareable */
    __asm__ volatile("msr mair_el1, %0" : : "r"(UINT64_C(0xff04)));
    __asm__ volatile("msr tcr_el1, %0" : : "r"(UINT64_C(0x803519))); /* 39 bits, 4 KiB; no walks of TTBR1 */
    __asm__ volatile("msr ttbr0_el1, %0" : : "r"(regions));
    __asm__ volatile("dsb sy; isb; tlbi vmalle1; dsb sy; isb" : : : "memory");
    __asm__ volatile("mrs %0, sctlr_el1" : "=r"(sctlr));
    __asm__ volatile("msr sctlr_el1, %0; isb" : : "r"(sctlr | 0x1005) : "memory");
}

int main(int argc, char **argv)
{
    char line[100];
    int n = 0;
    struct timeval tv;
    FILE *f = fopen("out.txt", "w");

    for (int i = 1; i < argc; i++)
        printf("argument %s\n", argv[i]);
    for (int i = 0; i < 1000; i++)
        fprintf(f, "line %d %f\n", i, i / 7.0);
    fclose(f);
    f = fopen("out.txt", "r");
    while (fgets(line, sizeof line, f))
        n++;
    printf("%d lines, the last: %s", n, line);
    fseek(f, 7, SEEK_SET);
    fgets(line, sizeof line, f);
    printf("from 7: %s", line);
    fclose(f);
    printf("time %d\n", gettimeofday(&tv, NULL) == 0 && tv.tv_sec > 1600000000);
    printf("memory %d\n", malloc(100000) != NULL);
    n = remove("out.txt");
    printf("remove %d\n", n);
    n = remove("out.txt");
    printf("remove %d %d\n", n, errno);
    if (fgets(line, sizeof line, stdin))
        printf("hello %s", line);
    exit(7);
}
"""


def claim_a_program_with_a_c_library_runs():
    if not os.path.exists(PICOLIBC):
        print("     (no picolibc-aarch64-linux-gnu)")
        return
    d, files = scratch(), scratch()
    source, elf, name = (os.path.join(d, x) for x in ("hello.c", "hello.elf", "r.hcrec"))
    with open(source, "w") as f:
        f.write(LIBC_PROGRAM)
    subprocess.run([CC, "-specs=" + PICOLIBC, "--crt0=semihost", "--oslib=semihost", "-static", "-Os", "-g"] +
                   ["-Wl,--defsym=__%s=%#x" % x for x in (("flash", 0x40100000), ("flash_size", 0x400000),
                                                           ("ram", 0x40800000), ("ram_size", 0x400000))] +
                   ["-o", elf, source], check=True)
    status, out, err = hindcast("--run", "--listen", "none", "--semihosting", "--semihosting-dir", files, "--record", name,
                                *words("Alice"), elf, stdin=b"Bob\n")
    equal(status, 7, err)
    check(out.endswith("argument Alice\n1000 lines, the last: line 999 142.714286\nfrom 7: 0.000000\ntime 1\nmemory 1\n"
                       "remove 0\nremove -1 2\nhello Bob\n"), out)
    equal(os.listdir(files), [], "files")
    status, out, _ = hindcast("verify", name)
    equal(status, 0, out)


def claim_what_cannot_be_is_said_at_start():
    status, _, err = hindcast("--semihosting", "--listen", "127.0.0.1:0", harness.STORE)
    equal(status, 1, "status")
    contains(err, "--semihosting is for --machine virt")
    status, _, err = run("/nonexistent-directory")
    equal(status, 1, "status")
    contains(err, "/nonexistent-directory: cannot be the guest's directory")
    status, _, err = hindcast("--semihosting-config", "chardev=c", "--listen", "127.0.0.1:0", guest())
    equal(status, 1, "status")
    contains(err, "chardev=c")


if __name__ == "__main__":
    if not shutil.which(CC):
        print("skipped: no " + CC)
        sys.exit(77)
    main(sys.modules[__name__], targets=(AARCH64,))
