# hindcast's words for gdb (12 and later, with Python): what the protocol alone cannot do, which is to tell gdb that the
# guest has moved, and to make values of what the monitor answers. doc/gdb-helper.md.
#
#     hindcast --print-gdb-helper > hindcast-gdb.py
#     (gdb) source hindcast-gdb.py
import bisect
import json
import os
import re
import sys
import tempfile
import types

import gdb


def _load():
    # Within a function: what is sourced shares its names with the user's scripts.
    def _monitor(command):
        """What a command says. One that is refused has done nothing: gdb before 15 loses the reason with the output, so ask again."""
        try:
            return gdb.execute("monitor " + command, to_string=True)
        except gdb.error as e:
            if "Protocol error" in str(e):
                raise gdb.error(_reason("monitor " + command) or str(e))
            raise

    def _reason(command):
        """What a command that fails shows, by way of gdb's log. "": the user has that in use, and sees it there."""
        text = ""
        if gdb.parameter("logging enabled"):
            try:
                gdb.execute(command)
            except gdb.error:
                return text
        file, redirect = gdb.parameter("logging file"), gdb.parameter("logging redirect")
        with tempfile.TemporaryDirectory() as directory:
            name = os.path.join(directory, "log")
            gdb.execute("set logging file " + name, to_string=True)
            gdb.execute("set logging redirect on", to_string=True)
            gdb.execute("set logging enabled on")  # (kept as a string it would end with that)
            try:
                gdb.execute(command)
            except gdb.error:
                pass
            finally:
                gdb.execute("set logging enabled off")
                gdb.execute("set logging redirect " + ("on" if redirect else "off"), to_string=True)
                gdb.execute("set logging file " + file, to_string=True)
            with open(name, errors="replace") as f:
                text = f.read().strip()
        return text

    def _when():
        """(position, edge) of the guest; None: no hindcast is connected."""
        try:
            text = _monitor("when")
        except gdb.error:
            return None
        match = re.search(r"^position (\d+), virtual time [0-9.]+ s, (?:at|(\d+) before) the ", text, re.M)
        return match and (int(match.group(1)), int(match.group(1)) + int(match.group(2) or 0))

    def _here():
        when = _when()
        if when is None:
            raise gdb.GdbError("no hindcast is connected")
        return when

    # ---- events ----

    class EventRegistry:
        """As gdb's own: connect(FUNCTION), disconnect(FUNCTION)."""

        def __init__(self):
            self._functions = []

        def connect(self, function):
            self._functions.append(function)
            if len(self._functions) == 1:
                gdb.events.stop.connect(_on_stop)

        def disconnect(self, function):
            self._functions.remove(function)
            if not self._functions:
                gdb.events.stop.disconnect(_on_stop)

        def emit(self, event):
            for function in list(self._functions):
                function(event)

    class PositionEvent:
        """The guest stands elsewhere: position, edge, and before (None: not known)."""

        def __init__(self, position, edge, before):
            self.position, self.edge, self.before = position, edge, before

    class _Events:
        def __init__(self):
            self.position_changed = EventRegistry()

    events = _Events()
    _last = [None]

    def _tell():
        when = _when()
        if when is None or when[0] == _last[0]:
            return
        before, _last[0] = _last[0], when[0]
        events.position_changed.emit(PositionEvent(when[0], when[1], before))

    def _on_stop(event):
        _tell()

    def _plainly(act, *arguments):
        """What goes wrong is the user's to know, not Python's: without its name and class."""
        try:
            return act(*arguments)
        except (gdb.error, OSError, OverflowError, ValueError) as e:
            raise gdb.GdbError(str(e))

    # ---- going ----

    def _flush():
        """gdb forgets what it knows of registers, frames and memory."""
        for command in ("maintenance flush register-cache", "maintenance flush dcache"):
            try:
                gdb.execute(command, to_string=True)
            except gdb.error:
                pass

    def _moves(command):
        """A command that arms: go. What it said."""
        try:
            text = _monitor(command)
        except gdb.error as e:
            raise gdb.GdbError(str(e))
        if re.search("next continue or reverse-continue goes to", text):
            gdb.execute("continue")
            _tell()
        return text

    def _pass(command):
        """A monitor command as it was typed; go, if it has armed."""
        try:
            text = _monitor(command)
            gdb.write(text)
            if re.search("next continue or reverse-continue goes to", text):
                gdb.execute("continue")
                _tell()
            elif command.split()[0] in ("branch", "reset", "system_reset"):
                _flush()
        except gdb.error as e:
            raise gdb.GdbError(str(e))

    def position():
        return _here()[0]

    def edge():
        return _here()[1]

    def seek(where):
        """Go to a position (a number, "start", "end", "+N", "-N", or a bookmark's name), at once. Where the guest stands then."""
        where = str(where)
        if not _is_position(where) and where in bookmarks():
            _moves("loadvm " + where)
        else:
            _moves("seek " + where)
        return position()

    def _is_position(text):
        """Is it how a position is written? (A recording may have names that look so: loadvm goes to these.)"""
        return re.match(r"(start|end|[-+]?(0x[0-9a-fA-F_]+|[0-9][0-9_]*[kKmMgG]?))$", text) is not None

    def _marks():
        """Named positions: (name, position, number of the branch that it is of)."""
        lines = re.findall(r"^\S+\s+(\S+)\s+\S+ \w+ \d+-\d+-\d+ .*? (\d+)(?: on branch (\d+))?$", _monitor("info snapshots"), re.M)
        return [(name, int(at), int(branch or 0)) for name, at, branch in lines]

    def bookmarks():
        """Named positions: {name: position}. Convenience variables $_mark_NAME have them, too."""
        marks = {name: at for name, at, _ in _marks()}
        for name, at in marks.items():
            gdb.set_convenience_variable("_mark_" + re.sub(r"\W", "_", name), at)
        return marks

    def _ancestry():
        """The branch in use, its parent, and so on to the trunk: of each its number, what it is called, and up to where its
        history is that of the branch in use."""
        branches = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in _monitor("branch list").splitlines()]
        by_number = {b["branch"]: b for b in branches}
        b = [b for b in branches if b["current"] == "1"][0]
        chain = [(int(b["branch"]), b["name"], int(b["end"]))]
        while b["branch"] != "0":
            fork, b = int(b["fork"]), by_number[b["parent"]]
            chain.append((int(b["branch"]), b["name"], min(fork, chain[-1][2])))
        return [(n, "branch %d" % n if name == "-" else name, end) for n, name, end in chain]

    def cpu_steps(cpu=0):
        counts = re.findall(r"CPU #\d+: .* (\d+) steps$", _monitor("info cpus"), re.M)
        if int(cpu) < 0 or int(cpu) >= len(counts):
            raise gdb.GdbError("there is no CPU #%d" % int(cpu))
        return int(counts[int(cpu)])

    # ---- asking ----

    _NAMES = ("name", "kind", "by", "device", "space", "end")
    _WORDS = ("from", "to", "newest", "oldest", "limit", "threads", "--json", "regparm", "if")

    class Hit:
        """An answer: its fields (position, cpu, pc, old, new, value, address, arg0...; doc/queries.md) are attributes, numbers as
        ints. `args` is the list of arguments; `type` that of what was asked for, if it is known."""

        def __init__(self, fields, type=None):
            self.fields = {}
            self.type = type
            for name, value in fields.items():
                if isinstance(value, str) and value.startswith("0x"):
                    value = int(value, 16)
                self.fields[name] = value
            self.args = [self.fields["arg%d" % n] for n in range(16) if "arg%d" % n in self.fields]

        def __getattr__(self, name):
            if name.endswith("_") and name[:-1] in ("return", "from", "to"):
                name = name[:-1]
            try:
                return self.__dict__["fields"][name]
            except KeyError:
                raise AttributeError("this answer has no '%s'" % name)

        def gdb_value(self, name):
            """A field as a gdb.Value, of the type of what was asked for where it fits (old, new, value)."""
            value = self.fields[name]
            if self.type is not None and isinstance(value, int) and name in ("old", "new", "value") and \
                    self.fields.get("length", self.type.sizeof) == self.type.sizeof:
                order = "big" if "big" in gdb.execute("show endian", to_string=True) else "little"
                return gdb.Value(value.to_bytes(self.type.sizeof, order), self.type)
            return gdb.Value(value)

        @property
        def function(self):
            """Name of the function of `pc`, or None."""
            block = gdb.block_for_pc(self.pc) if "pc" in self.fields else None
            while block is not None and block.function is None:
                block = block.superblock
            return block.function.name if block is not None else None

        @property
        def line(self):
            """(file, line) of `pc`, or None."""
            where = gdb.find_pc_line(self.pc) if "pc" in self.fields else None
            return (where.symtab.filename, where.line) if where is not None and where.symtab is not None else None

        def go(self):
            """Stand before that step."""
            return seek(self.position)

        def __repr__(self):
            return "<Hit %s>" % " ".join("%s=%s" % (k, hex(v) if isinstance(v, int) and k not in ("position", "cpu") else v)
                                         for k, v in self.fields.items())

    def _split(text):
        """What is asked about, and the words that follow."""
        match = re.search(r"(?:^|\s)(?:%s)(?=\s|$)" % "|".join(map(re.escape, _WORDS)), text)
        return (text[:match.start()].strip(), text[match.start():].strip()) if match else (text.strip(), "")

    # Pointers that name a place: an address that is taken, a number that is cast, a register.
    _ADDRESS = r"[\s(]*(&|\$|[0-9]|[^()]*\*\s*\)[\s(]*(&|\$|[0-9]))"

    def _place(subject, code=False):
        """EXPRESSION [LENGTH] as the monitor wants it, and the type of what is there."""
        prefix, length, kind = "", None, None
        match = re.match(r"(phys:|virt:)(.*)$", subject)
        if match:
            prefix, subject = match.groups()
        match = re.match(r"(.+\S)\s+(\d+|0x[0-9a-fA-F]+)$", subject)
        if match and not re.search(r"[-+*/%&|^<>=(,]$", match.group(1)):
            subject, length = match.group(1), int(match.group(2), 0)
        value = gdb.parse_and_eval(subject)
        pointer = value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR
        # (Of `p - 1` gdb says that it lies where p does.)
        found = value.address is not None and not (pointer and int(value.address.dereference()) != int(value))
        if value.type.code == gdb.TYPE_CODE_FUNC or (not code and found):
            address, size = int(value.address), value.type.sizeof
            kind = value.type
        elif not code and pointer and not re.match(_ADDRESS, subject):
            raise gdb.GdbError("%s is a value and no place: *(%s) is what it points to" % (subject, subject))
        else:
            address, size = int(value), 4
            if pointer and value.type.strip_typedefs().target().code != gdb.TYPE_CODE_VOID:
                kind = value.type.strip_typedefs().target()
                size = kind.sizeof
        return "%s0x%x" % (prefix, address & (2 ** 64 - 1)), length or size, kind if length in (None, size) else None

    def _query_line(kind, subject):
        """The monitor's query, and the type of what it is about."""
        if kind in ("writes", "reads", "accesses"):
            address, length, type = _place(subject)
            return "%s %s %d" % (kind, address, length), type
        if kind == "calls":
            return "calls " + _place(subject, code=True)[0], None
        if kind == "when-value":
            match = re.match(r"(.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)$", subject)
            if not match:
                raise gdb.GdbError("when-value EXPRESSION == VALUE (or another comparison)")
            address, length, type = _place(match.group(1))
            value = int(gdb.parse_and_eval(match.group(3))) & (2 ** (8 * length) - 1)
            return "when-value %s/%d %s 0x%x" % (address, length, match.group(2), value), type
        return (kind + " " + subject).strip(), None

    _hits = []

    def query(text):
        """Ask: "writes counter limit 5", "calls tree if $eax == 3", "syscalls"... EXPRESSIONs are gdb's. A list of Hits; $_hits
        is their number, and $_hit(N, "FIELD") a field of one."""
        kind, _, rest = text.strip().partition(" ")
        subject, words = _split(rest)
        line, type = _query_line(kind, subject)
        words = words.replace("--json", "").strip()
        try:
            answer = _monitor(" ".join((line, "--json", words)).strip())
        except gdb.error as e:
            raise gdb.GdbError(str(e))
        found = []
        for text in answer.splitlines():
            try:
                fields = json.loads(text)
            except ValueError:
                raise gdb.GdbError(text)
            if "end" not in fields:
                found.append(Hit(fields, type))
        _hits[:] = found
        gdb.set_convenience_variable("_hits", len(found))
        return found

    # ---- functions ----

    class _Number(gdb.Function):
        """A number that the monitor knows."""

        def __init__(self, name, get, doc):
            self.__doc__ = doc
            super().__init__(name)
            self.get = get

        def invoke(self, *arguments):
            return _plainly(self.get, *arguments)

    def _hit(number, field=None):
        number = int(number)
        if number < 0 or number >= len(_hits):
            raise gdb.GdbError("the last query has %d answers" % len(_hits))
        name = field.string() if field is not None else "position"
        if name not in _hits[number].fields:
            raise gdb.GdbError("this answer has no '%s'" % name)
        return _hits[number].gdb_value(name)

    def _bookmark(name):
        marks = bookmarks()
        if name.string() not in marks:
            raise gdb.GdbError("there is no bookmark '%s'" % name.string())
        return marks[name.string()]

    _Number("_position", position, "$_position(): where the guest stands.")
    _Number("_edge", edge, "$_edge(): the furthest position that exists.")
    _Number("_cpu_steps", cpu_steps, "$_cpu_steps(CPU): how many steps that CPU has made.")
    _Number("_hit", _hit, "$_hit(N [, \"FIELD\"]): the position, or a field, of an answer of the last query; N counts from 0.")
    _Number("_bookmark", _bookmark, "$_bookmark(\"NAME\"): the position that was given this name.")

    # ---- commands ----

    class Hindcast(gdb.Command):
        """History: where the guest is in it, going elsewhere, asking what happened.
Words that have no help here are the monitor's: monitor help says which there are.
$_position(), $_edge() and $_cpu_steps(N) are numbers in expressions; $_hits, $_hit(N, "FIELD") the last query's answers."""

        def __init__(self):
            super().__init__("hindcast", gdb.COMMAND_RUNNING, gdb.COMPLETE_NONE, True)

        def invoke(self, argument, from_tty):
            _plainly(_pass, argument.strip() or "help")

    class _Word(gdb.Command):
        """hindcast WORD..."""

        def __init__(self, word, act, doc, complete=()):
            self.__doc__ = doc
            self.act, self.words = act, complete
            super().__init__("hindcast " + word, gdb.COMMAND_RUNNING)

        def invoke(self, argument, from_tty):
            _plainly(self.act, argument.strip())

        def complete(self, text, word):
            if self.words is None:
                return gdb.COMPLETE_EXPRESSION
            known = self.words() if callable(self.words) else self.words
            return [w for w in known if w.startswith(word or text)]

    def _plain(command):
        def act(argument):
            _pass((command + " " + argument).strip())
        return act

    def _do_seek(argument):
        if not argument:
            raise gdb.GdbError("hindcast seek POSITION: a number, start, end, +N, -N, a bookmark or an expression")
        if not _is_position(argument) and argument not in bookmarks():
            argument = str(int(gdb.parse_and_eval(argument)))
        seek(argument)

    def _do_last(argument):
        address, length, _ = _place(argument)
        gdb.write(_moves("last %s %d" % (address, length)))

    def _ask(kind):
        def act(argument):
            for number, hit in enumerate(query(kind + " " + argument)):
                where = hit.line if "pc" in hit.fields else None
                fields = " ".join("%s=%s" % (k, hex(v) if isinstance(v, int) and k not in ("cpu", "length", "returned", "bytes") and
                                             not (kind == "syscalls" and k == "number") else v)
                                  for k, v in hit.fields.items() if k != "position")
                gdb.write("#%-3d %s %s%s\n" % (number, hit.fields.get("position", ""), fields,
                                               " in %s, %s:%d" % (hit.function, where[0].split("/")[-1], where[1]) if where else ""))
            gdb.write("%d answers: $_hits, $_hit(N, \"FIELD\")\n" % len(_hits))
        return act

    # ---- coverage of source lines ----

    def _symtabs(ran):
        """By source file, those with lines for the addresses that were run: one for each compilation."""
        found = {}
        for pc, length in ran:
            end = pc + length
            while pc < end:
                line = gdb.find_pc_line(pc)
                if line.symtab and line.symtab.linetable():
                    tables = found.setdefault(line.symtab.fullname(), {})
                    tables[int(line.symtab.static_block().start)] = line.symtab
                pc = max(line.last or 0, pc) + 1
        return sorted(found.items())

    def _tracefile(ran):
        """lcov's: for each line of the files that were come to whether an instruction of it was run."""
        starts = [a for a, n in ran]
        text = ["TN:"]
        for name, tables in _symtabs(ran):
            entries = sorted((e.pc, e.line) for symtab in tables.values() for e in symtab.linetable())
            lines = {}
            for (pc, line), (after, _) in zip(entries, entries[1:]):
                if line <= 0 or after == pc:
                    continue
                i = bisect.bisect_left(starts, after) - 1
                lines[line] = lines.get(line, 0) or int(i >= 0 and sum(ran[i]) > pc)
            text += ["SF:" + name] + ["DA:%d,%d" % item for item in sorted(lines.items())]
            text += ["LF:%d" % len(lines), "LH:%d" % sum(lines.values()), "end_of_record"]
        return "\n".join(text) + "\n"

    def _do_coverage(argument):
        words = argument.split()
        if len(words) != 3 or not words[2].endswith(".info"):
            _pass("coverage " + argument)
            return
        ran = [(hit.address, int(hit.length)) for hit in query("coverage %s %s" % tuple(words[:2]))]
        with open(words[2], "x") as out:
            out.write(_tracefile(ran))

    def _do_bookmarks(argument):
        marks = bookmarks()
        of = {name: branch for name, _, branch in _marks()}
        for name in sorted(marks, key=marks.get):
            gdb.write("%-20s %d%s\n" % (name, marks[name], " on branch %d" % of[name] if of[name] else ""))

    def _do_checkpoint(argument):
        gdb.write(_moves(("checkpoint " + argument).strip()))
        bookmarks()

    def _do_timeline(argument):
        """Where things are in this history, in order: the beginning, forks, bookmarks, here, the edge."""
        here, last = _here()
        chain = _ancestry()
        ends = {number: end for number, _, end in chain}
        rows = [(0, "start"), (last, "end"), (here, "<- here")]
        rows += [(at, name) for name, at, branch in _marks() if at <= ends.get(branch, -1)]
        rows += [(of[2], "%s leaves %s" % (by[1], "the trunk" if not of[0] else of[1])) for by, of in zip(chain, chain[1:])]
        for at, name in sorted(rows, key=lambda row: (row[0], row[1] != "start")):
            gdb.write("%14d %5.1f %%  %s\n" % (at, 100.0 * at / last if last else 100.0, name))

    def _places():
        return ["start", "end"] + sorted(bookmarks())

    def _branch_words():
        return ["list", "switch", "drop", "diff", "live"] + re.findall(r"name=(\S+)", _monitor("branch list"))

    Hindcast()
    _Word("when", _plain("when"), "hindcast when: position, edge and virtual time.")
    _Word("seek", _do_seek, "hindcast seek POSITION: go there at once: a number, start, end, +N, -N, a bookmark, or an expression of\n"
          "gdb's such as $_hit(0).", _places)
    _Word("last", _do_last, "hindcast last EXPRESSION [LENGTH]: go to before the last write there; without LENGTH, of all that\n"
          "EXPRESSION names.", None)
    for _kind, _what in (("writes", "EXPRESSION [LENGTH]: who wrote there"), ("reads", "EXPRESSION [LENGTH]: who read there"),
                         ("accesses", "EXPRESSION [LENGTH]: who wrote or read there"),
                         ("when-value", "EXPRESSION == VALUE: when it came to be so"),
                         ("calls", "FUNCTION: its calls, with arguments and results"),
                         ("syscalls", "[NUMBER]: system calls"), ("exceptions", "[NUMBER|NAME]: exceptions"),
                         ("interrupts", "[NUMBER]: interrupts"), ("io", "[FIRST-LAST]: accesses to devices"),
                         ("mode-switches", ": changes of mode"), ("find", "BYTES: when these bytes first appeared in memory"),
                         ("diff", "POS1 POS2: what is not the same"),
                         ("trace", "FROM TO [FILE]: every step, with what it changed")):
        _Word(_kind, _ask(_kind), "hindcast %s %s.\nThen: from POS, to POS, newest first, limit N, threads N, if CONDITION.\n"
              "$_hits is how many there are, $_hit(N, \"FIELD\") a field of one of them." % (_kind, _what), None)
    _Word("coverage", _do_coverage, "hindcast coverage FROM TO [FILE]: addresses of the instructions that ran; FILE.info: the source\n"
          "lines that ran, as lcov's genhtml reads them.", None)
    _Word("bookmarks", _do_bookmarks, "hindcast bookmarks: positions that have names; $_mark_NAME and $_bookmark(\"NAME\") are they.")
    _Word("checkpoint", _do_checkpoint, "hindcast checkpoint [NAME]: make it quick to come back here; with NAME, a bookmark.")
    _Word("loadvm", _plain("loadvm"), "hindcast loadvm NAME: go to a bookmark, at once.", lambda: sorted(bookmarks()))
    _Word("branch", _plain("branch"), "hindcast branch [NAME]|list|switch NAME|drop [NAME]|diff...|live: branches of history; switch and\n"
          "drop go there at once.", _branch_words)
    _Word("timeline", _do_timeline, "hindcast timeline: the beginning, bookmarks, forks, the present, the edge of the history in use, in order.")
    _Word("trace-history", _plain("trace-history"), "hindcast trace-history [from POS] [to POS]|off: gdb's tstart traces history that there is.",
          ("from", "to", "off"))

    hindcast = types.ModuleType("hindcast", "hindcast's history, for scripts: doc/gdb-helper.md.")
    for name, value in (("position", position), ("edge", edge), ("seek", seek), ("bookmarks", bookmarks), ("cpu_steps", cpu_steps),
                        ("query", query), ("events", events), ("Hit", Hit), ("PositionEvent", PositionEvent)):
        setattr(hindcast, name, value)
    sys.modules["hindcast"] = hindcast
    return hindcast


hindcast = _load()
