#!/usr/bin/env python3
"""Front ends: what IDEs say to a gdb by its machine interface, and lldb."""

import os
import re
import select
import subprocess
import sys
import tempfile
import time

import harness
from harness import Failed, Server, check, contains, equal, lacks, line_of, patience


class Mi:
    """A gdb that is spoken to in MI. Results are kept as text."""

    def __init__(self, server, *more, connect="remote"):
        self.process = subprocess.Popen([harness.gdb_program(), "-nx", "-q", "--interpreter=mi2"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.buffer = b""
        self.lines = []
        self.token = 0
        self.server = server
        for command in more:
            self.ask(command)
        self.ask("-file-exec-and-symbols " + harness.target.store)
        if connect:
            self.ask("-target-select %s %s" % (connect, server.where))

    def line(self, seconds):
        end = time.monotonic() + patience(seconds)
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed("nothing more from gdb; its last words:\n" + "\n".join(self.lines[-30:]))
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failed("gdb ended:\n" + "\n".join(self.lines[-30:]))
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        self.lines.append(line.decode("utf-8", "replace").rstrip("\r"))
        return self.lines[-1]

    def tell(self, command):
        self.token += 1
        self.process.stdin.write(b"%d%s\n" % (self.token, command.encode()))
        self.process.stdin.flush()
        return str(self.token)

    def ask(self, command, seconds=30, fails=False):
        """The result record of a command."""
        token = self.tell(command)
        while True:
            line = self.line(seconds)
            if line.startswith(token + "^"):
                if line.startswith(token + "^error") != fails:
                    raise Failed("%s: %s" % (command, line))
                return line

    def stopped(self, seconds=30):
        """The next stop."""
        while True:
            line = self.line(seconds)
            if line.startswith("*stopped"):
                return line

    def go(self, command, seconds=30):
        """A command that makes the guest run; where it stopped."""
        mark = len(self.lines)
        self.ask(command)
        for line in self.lines[mark:]:
            if line.startswith("*stopped"):
                return line
        return self.stopped(seconds)

    def value(self, expression):
        return contains(self.ask('-data-evaluate-expression "%s"' % expression), r'value="([^"]*)"').group(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()


# What cppdbg (VS Code) and CLion say before they connect; what gdb refuses of it, it refuses everywhere.
CPPDBG = ("-gdb-set mi-async on", "-gdb-set print sevenbit-strings on", "-enable-pretty-printing",
          '-interpreter-exec console "set confirm off"', "-gdb-set stop-on-solib-events 0",
          "-environment-cd /", "-gdb-version",
          '-interpreter-exec console "set pagination off"')
CLION = ("-gdb-set width 0", "-gdb-set mi-async on", "-enable-frame-filters", "-gdb-set print elements 200",
         "-gdb-set tcp auto-retry on", "-gdb-set remotetimeout 50")


def session(*settings, connect):
    with Server() as s, Mi(s, *settings, connect=connect) as mi:
        contains(mi.ask("-list-target-features"), r'"reverse"')
        contains(mi.ask("-thread-info"), r'id="1".*state="stopped"')
        contains(mi.ask("-data-list-register-names"), r'"%s"' % harness.target.words["pc"])
        mi.ask("-data-list-register-values --skip-unavailable x")
        contains(mi.ask("-break-insert -f session_open"), r'number="1".*func="session_open"')
        contains(mi.ask("-break-insert -h serve"), r'type="hw breakpoint"')
        contains(mi.ask('-break-insert -f -c "s->id == 3" session_close'), r'cond="s->id == 3"')
        contains(mi.go("-exec-continue"), r'reason="breakpoint-hit",.*bkptno="2".*func="serve".*name="id",value="1"')
        contains(mi.go("-exec-continue --thread 1"), r'bkptno="1".*func="session_open"')
        stop = mi.go("-exec-next")
        line = int(contains(stop, r'reason="end-stepping-range".*line="(\d+)"').group(1))
        equal(line, line_of("s->id = id;"))
        contains(mi.go("-exec-next --reverse"), r'func="session_open".*line="%d"' % (line - 2))
        contains(mi.go("-exec-step"), r'func="pool_alloc"')
        contains(mi.go("-exec-finish --reverse"), r'func="session_open"')
        contains(mi.go("-exec-step"), r'func="pool_alloc"')
        contains(mi.go("-exec-finish"), r'func="session_open".*gdb-result-var="\$1"|func="session_open"')
        mi.ask("-break-delete 1")
        mi.ask("-break-delete 2")
        contains(mi.go("-exec-continue"), r'func="session_close"')
        equal(mi.value("s->id"), "3")
        contains(mi.ask("-stack-list-frames"), r'func="kernel_main"')
        contains(mi.ask("-stack-list-variables --simple-values"), r'name="s"')
        contains(mi.ask("-var-create - * s"), r'numchild="\d+"')
        equal(mi.value("sessions_opened"), "3")
        address = mi.value("&sessions_opened").split()[0]
        contains(mi.ask("-data-read-memory-bytes %s 4" % address), r'contents="03000000"')
        contains(mi.ask("-data-disassemble -s $pc -e \"$pc + 16\" -- 0"), r'inst="')
        contains(mi.ask("-break-watch sessions_opened"), r'wpt=\{number="4"')
        stop = mi.go("-exec-continue --reverse")
        contains(stop, r'reason="watchpoint-trigger".*value=\{old="3",new="2"\}.*line="%d"' % line_of("sessions_opened++;"))
        stop = mi.go("-exec-continue")
        contains(stop, r'reason="watchpoint-trigger".*value=\{old="2",new="3"\}')
        mi.ask("-break-delete 3 4")
        first = mi.value("$pc").split()[0]
        mi.go("-exec-step-instruction")
        mi.go("-exec-step-instruction --reverse")
        equal(mi.value("$pc").split()[0], first, "one step forward, one back")
        mark = len(mi.lines)
        stop = mi.go("-exec-continue --reverse")  # older gdbs say why on the console only
        contains("\n".join(mi.lines[mark:]), r'reason="no-history"|' + harness.NO_HISTORY)
        contains(stop, r'func="_start"')
        mark = len(mi.lines)
        mi.ask('-interpreter-exec console "monitor when"')
        contains("\n".join(mi.lines[mark:]), r"position 0,")
        # A running guest is stopped from outside.
        mi.ask("-exec-continue")
        time.sleep(0.3)
        mi.ask("-exec-interrupt")
        contains(mi.stopped(), r'reason="signal-received",signal-name="SIGINT"')
        mi.ask('-interpreter-exec console "reverse-stepi"')
        mi.stopped()
        mi.ask("-target-detach")


def claim_vs_codes_cppdbg_drives_it():
    session(*CPPDBG, connect="remote")


def claim_clion_drives_it():
    session(*CLION, connect="extended-remote")


def claim_non_stop_is_refused_and_the_session_lives():
    with Server() as s, Mi(s, "-gdb-set mi-async on", "-gdb-set non-stop on", connect=None) as mi:
        mi.ask("-target-select remote " + s.where, fails=True)
        mi.ask("-gdb-set non-stop off")
        mi.ask("-target-select remote " + s.where)
        contains(mi.go("-exec-step-instruction"), r'reason="end-stepping-range"')


def claim_lldb_debugs_it():
    lldb = harness.lldb()
    if not lldb:
        print("     no lldb")
        return
    commands = """
settings set plugin.process.gdb-remote.packet-timeout 100
gdb-remote PORT
register read %s
breakpoint set -n session_open -c "id == 3"
continue
thread backtrace
frame variable id
thread step-inst
thread step-over
thread step-out
breakpoint delete -f
watchpoint set variable sessions_opened
continue
continue
watchpoint delete -f
register write %s 0x1234
register read %s
memory write `(unsigned long)&random_state` 0x39 0x30 0x00 0x00
expression random_state
memory read -f x -s 4 -c 1 `(unsigned long)&sessions_opened`
memory region $pc
process plugin packet send bs
process plugin packet send bc
detach
""" % ((harness.target.words["pc"],) + (harness.target.words["spare"],) * 2)
    with Server() as s, tempfile.NamedTemporaryFile("w", suffix=".lldb") as script:
        script.write(commands.replace("PORT", str(s.address[1])))
        script.flush()
        out = subprocess.run([lldb, "--no-use-colors", "-x", "-b", "-s", script.name, harness.target.store],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             timeout=patience(120)).stdout.decode("utf-8", "replace")
        if "unsupported" in out or "no plugin for arch" in out:
            print("     this lldb knows nothing of " + harness.target.name)
            return
        contains(out, r"%s = 0x0*%x\s" % (harness.target.words["pc"], harness.symbol(harness.target.store, "_start")))
        contains(out, r"stop reason = breakpoint 1\.1\n.*session_open\(id=3\)")
        contains(out, r"frame #1: .*serve\(id=3\)")
        contains(out, r"\(u32\) id = 3")
        contains(out, r"stop reason = instruction step into")
        contains(out, r"stop reason = step over")
        contains(out, r"stop reason = step out")
        contains(out, r"old value: 2\nnew value: 3")
        contains(out, r"old value: 3\nnew value: 4")
        contains(out, r"%s = 0x0*1234\s" % harness.target.words["spare"])
        contains(out, r"\(u32\) \$\d+ = 12345")
        contains(out, r": 0x00000004")
        contains(out, r"rwx?")
        contains(out, r"packet: bs\s+response: T05")
        contains(out, r"packet: bc\s+response: T05.*replaylog:begin")
        lacks(out, r"^error(?!: \S+ 0x[0-9a-f]+: DW_)")  # (what lldb does not like of gcc's DWARF is between them)


if __name__ == "__main__":
    harness.main(sys.modules[__name__], (harness.I386, harness.AARCH64))
