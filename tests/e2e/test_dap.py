"""Editors: the debug adapters that they use, driven by the Debug Adapter Protocol as they do."""
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading

import harness
from harness import Server, check, contains, equal, patience


def cdt_adapter():
    """Where npm put cdt-gdb-adapter (run-tests installs it), or None."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.join(cache, "hindcast", "npm", "node_modules", "cdt-gdb-adapter", "dist", "debugTargetAdapter.js")
    return path if shutil.which("node") and os.path.exists(path) else None


def lldb_dap():
    return next((path for path in map(shutil.which, ("lldb-dap", "lldb-dap-19", "lldb-dap-20")) if path), None)


def gdb_dap():
    """A gdb that has the interpreter (14 and later), for this target."""
    for name in (os.environ.get("GDB"), "gdb", "gdb-multiarch"):
        if name and shutil.which(name):
            out = subprocess.run([name, "-nx", "-batch", "-ex", "set architecture " + harness.target.name, "-i=dap"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
            if b"unrecognized" not in out and b"Undefined item" not in out:
                return name
    return None


class Adapter:
    """An editor's end of the protocol."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.sequence = 0
        self.messages = queue.Queue()
        self.events = []
        self.answers = {}
        self.output = ""
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(patience(10))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self):
        stream = self.process.stdout
        while True:
            length = None
            while True:
                line = stream.readline()
                if not line:
                    self.messages.put(None)
                    return
                if not line.strip():
                    break
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            self.messages.put(json.loads(stream.read(length)))

    def send(self, command, **arguments):
        self.sequence += 1
        data = json.dumps({"seq": self.sequence, "type": "request", "command": command, "arguments": arguments}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self.process.stdin.flush()
        return self.sequence

    def _take(self, seconds):
        message = self.messages.get(timeout=patience(seconds))
        check(message, "the adapter ended")
        if message["type"] == "response":
            self.answers[message["request_seq"]] = message
        elif message["type"] == "event":
            if message["event"] == "output":
                self.output += message["body"].get("output", "")
            self.events.append(message)

    def answer(self, number, seconds=60):
        while number not in self.answers:
            self._take(seconds)
        reply = self.answers[number]
        check(reply["success"], reply)
        return reply.get("body") or {}

    def ask(self, command, **arguments):
        return self.answer(self.send(command, **arguments))

    def event(self, name, seconds=120):
        """The next event of that name."""
        while True:
            for i, e in enumerate(self.events):
                if e["event"] == name:
                    del self.events[:i + 1]
                    return e.get("body") or {}
            self._take(seconds)

    def top(self, thread):
        """Function and line of the innermost frame."""
        frame = self.ask("stackTrace", threadId=thread, startFrame=0, levels=1)["stackFrames"][0]
        return frame["id"], frame["name"], frame["line"]

    def begin(self, request, **arguments):
        """Up to where the editor has set its breakpoints."""
        self.ask("initialize", adapterID="test", clientID="test", linesStartAt1=True, columnsStartAt1=True, pathFormat="path")
        return self.send(request, **arguments)


def back_to_the_culprit(adapter, thread, before=""):
    """As a user at a debug console: where the guest panicked, a watchpoint, and backwards."""
    contains(adapter.top(thread)[1], r"^panic")
    frames = adapter.ask("stackTrace", threadId=thread)["stackFrames"]
    audit = next(f for f in frames if "audit" in f["name"])
    adapter.ask("evaluate", expression=before + "frame function audit", frameId=audit["id"], context="repl")
    adapter.ask("evaluate", expression=before + "watch -location e->refs", frameId=audit["id"], context="repl")
    adapter.send("evaluate", expression=before + "reverse-continue", frameId=audit["id"], context="repl")
    adapter.event("stopped")
    contains(adapter.top(thread)[1], r"^session_timeout")


def says(adapter, command, pattern):
    """What the monitor says to a command at the debug console."""
    adapter.output = ""
    adapter.send("evaluate", expression=">monitor " + command, context="repl")
    while not re.search(pattern, adapter.output, re.M):
        adapter.event("output")


def set_a_variable(adapter, thread, name, value):
    """As a user in the variables view; what it shows then."""
    frame = adapter.ask("stackTrace", threadId=thread)["stackFrames"][0]["id"]
    scope = next(s for s in adapter.ask("scopes", frameId=frame)["scopes"] if s["name"] == "Local")["variablesReference"]
    was = {v["name"]: v["value"] for v in adapter.ask("variables", variablesReference=scope)["variables"]}[name]
    adapter.ask("setVariable", variablesReference=scope, name=name, value=value)
    now = {v["name"]: v["value"] for v in adapter.ask("variables", variablesReference=scope)["variables"]}[name]
    return was, now


def cdt_at_the_culprit(server, adapter):
    """Attach by the CDT adapter, run to the crash, go back to who is to blame. The thread."""
    attach = adapter.begin("attach", program=harness.target.store, gdb=harness.target.gdb(),
                           target={"type": "remote", "host": server.address[0], "port": str(server.address[1])})
    adapter.event("initialized")
    adapter.ask("setFunctionBreakpoints", breakpoints=[{"name": "panic"}])
    adapter.ask("configurationDone")
    adapter.answer(attach)
    thread = adapter.ask("threads")["threads"][0]["id"]
    if "breakpoint" not in adapter.event("stopped")["reason"]:
        adapter.ask("continue", threadId=thread)
        adapter.event("stopped")
    back_to_the_culprit(adapter, thread, ">")
    return thread


def claim_cdt_gdb_adapter_sets_a_variable_in_the_past():
    with Server(serial="none") as s, Adapter("node", cdt_adapter()) as a:
        thread = cdt_at_the_culprit(s, a)
        says(a, "branch", r"^on the trunk")
        was, now = set_a_variable(a, thread, "s", "0")
        check(was != now and int(now, 0) == 0, was, now)
        says(a, "branch", r"^on branch 1, which leaves the trunk at position \d+")
        says(a, "branch drop", r"goes to the trunk, position")
        a.ask("continue", threadId=thread)
        a.event("stopped")
        says(a, "branch", r"^on the trunk")
        frame = a.ask("stackTrace", threadId=thread)["stackFrames"][0]["id"]
        equal(int(a.ask("evaluate", expression="(unsigned long)s", frameId=frame, context="watch")["result"]), int(was.split()[0], 0))
        a.ask("disconnect")


def value_of_a_call(adapter, thread, expression):
    """As a user in the watch view: a function of the guest's is called where it stands."""
    frame = adapter.ask("stackTrace", threadId=thread)["stackFrames"][0]["id"]
    return int(adapter.ask("evaluate", expression=expression, frameId=frame, context="watch")["result"].split()[0], 0)


def claim_cdt_gdb_adapter_calls_a_function_in_the_past():
    with Server(serial="none") as s, Adapter("node", cdt_adapter()) as a:
        thread = cdt_at_the_culprit(s, a)
        top = a.top(thread)[1:]
        first, other = value_of_a_call(a, thread, "hash(7)"), value_of_a_call(a, thread, "hash(8)")
        check(first != other and value_of_a_call(a, thread, "hash(7) + 0") == first, first, other)
        equal(a.top(thread)[1:], top, "one stands where one stood")
        says(a, "branch", r"^on branch 1, which leaves the trunk at position \d+")
        says(a, "branch drop", r"goes to the trunk, position")
        a.ask("continue", threadId=thread)
        a.event("stopped")
        says(a, "branch", r"^on the trunk")
        equal(a.top(thread)[1:], top)
        a.ask("disconnect")


def claim_gdbs_own_dap_drives_a_branch():
    with Server(serial="none") as s, Adapter(gdb_dap(), "-nx", "-i=dap") as a:
        thread = own_at_the_culprit(s, a)

        def says_now(command):
            return a.ask("evaluate", expression="monitor " + command, context="repl")["result"]
        contains(says_now("branch"), r"on the trunk")
        check(value_of_a_call(a, thread, "hash(7)") != value_of_a_call(a, thread, "hash(8)"))
        contains(says_now("branch"), r"on branch 1, which leaves the trunk at position \d+")
        frame = a.ask("stackTrace", threadId=thread)["stackFrames"][0]["id"]
        scope = next(x for x in a.ask("scopes", frameId=frame)["scopes"] if x["name"] in ("Locals", "Arguments"))
        name = a.ask("variables", variablesReference=scope["variablesReference"])["variables"][0]["name"]
        equal(int(a.ask("setExpression", expression=name, value="0", frameId=frame)["value"].split()[0], 0), 0)
        contains(says_now("branch"), r"on branch 1")
        says_now("branch drop")
        a.events.clear()  # (the calls were stops, too)
        a.send("continue", threadId=thread)
        a.event("stopped")
        contains(says_now("branch"), r"on the trunk")
        a.ask("disconnect")


def claim_cdt_gdb_adapter_goes_forwards_and_backwards():
    """Theia, VS Code with the CDT extensions: there is no button for going back, the debug console takes gdb's words."""
    with Server(serial="none") as s, Adapter("node", cdt_adapter()) as a:
        thread = cdt_at_the_culprit(s, a)
        a.send("evaluate", expression=">monitor when", context="repl")
        while not re.search(r"position \d+", a.output):
            a.event("output")
        a.ask("disconnect")


def own_at_the_culprit(server, adapter):
    """The same by gdb's own adapter."""
    adapter.begin("initialize")
    attach = adapter.send("attach", program=harness.target.store, target=server.where)
    adapter.event("initialized")
    adapter.ask("setFunctionBreakpoints", breakpoints=[{"name": "panic"}])
    adapter.ask("configurationDone")
    adapter.answer(attach)
    thread = adapter.ask("threads")["threads"][0]["id"]
    adapter.ask("continue", threadId=thread)
    while "breakpoint" not in adapter.event("stopped")["reason"]:
        pass
    back_to_the_culprit(adapter, thread)
    return thread


def claim_gdbs_own_dap_goes_forwards_and_backwards():
    with Server(serial="none") as s, Adapter(gdb_dap(), "-nx", "-i=dap") as a:
        own_at_the_culprit(s, a)
        a.ask("disconnect")


def claim_lldb_dap_runs_to_a_breakpoint_and_types_at_the_monitor():
    """lldb before 21 has no word for going back; its packets have (`process plugin packet send bc`)."""
    with Server(serial="none") as s, Adapter(lldb_dap()) as a:
        attach = a.begin("attach", program=harness.target.store,
                         attachCommands=["target create " + harness.target.store, "gdb-remote " + s.where])
        a.event("initialized")
        a.ask("setFunctionBreakpoints", breakpoints=[{"name": "panic"}])
        a.send("configurationDone")
        a.answer(attach)
        thread = a.ask("threads")["threads"][0]["id"]
        a.ask("continue", threadId=thread)
        a.event("stopped")
        while not a.top(thread)[1].startswith("panic"):
            a.event("stopped")
        said = a.ask("evaluate", expression="`process plugin packet monitor when", context="repl")["result"]
        contains(said + a.output, r"position \d+")
        a.ask("disconnect", terminateDebuggee=False)


def adapters():
    """The claims whose adapters are here."""
    for claim, there in ((claim_cdt_gdb_adapter_goes_forwards_and_backwards, cdt_adapter()),
                         (claim_cdt_gdb_adapter_sets_a_variable_in_the_past, cdt_adapter()),
                         (claim_cdt_gdb_adapter_calls_a_function_in_the_past, cdt_adapter()),
                         (claim_gdbs_own_dap_goes_forwards_and_backwards, gdb_dap()),
                         (claim_gdbs_own_dap_drives_a_branch, gdb_dap()),
                         (claim_lldb_dap_runs_to_a_breakpoint_and_types_at_the_monitor, lldb_dap())):
        if not there:
            print("no adapter for %s" % claim.__name__[6:])
            delattr(sys.modules[__name__], claim.__name__)
            continue
        yield claim


if __name__ == "__main__":
    harness.target = harness.I386
    if not list(adapters()):
        sys.exit(77)
    harness.main(sys.modules[__name__])
