#!/usr/bin/env python3
"""What was on the screen, and came out of a port, in all of history: films, and the step in which a text was complete."""
import os
import re
import sys
import tempfile

import harness
from rspclient import RspError  # (harness finds it)
from harness import Server, check, contains, equal, texts_of_png
from test_bios import firmware

TEXT = b"first HELLO, then BYE"

# Writes TEXT to the screen and to the first serial port, a thousand steps for each character; then the screen is cleared.
GUEST = """
    movl $text, %esi
    movl $0xb8000, %edi
next: lodsb
    testb %al, %al
    jz end
    movb $7, %ah
    movw %ax, (%edi)
    addl $2, %edi
    movw $0x3f8, %dx
    outb %al, %dx
    movl $1000, %ecx
    loop .
    jmp next
end: movl $0xb8000, %edi
    movl $32, %ecx
    movw $0x720, %ax
    rep stosw
    jmp .
text: .asciz "TEXT"
""".replace("TEXT", TEXT.decode())


def guest():
    return harness.build_guest(GUEST)


def armed(text):
    """The position that a command has armed the next continue for."""
    return int(re.search(r"from position (\d+) on; the next", text).group(1))


def not_done(rsp, line, pattern):
    """A monitor command that is refused."""
    try:
        text = rsp.monitor(line)
    except RspError as e:
        contains(str(e), pattern)
    else:
        check(False, "monitor %s: %s" % (line, text))


def go(rsp, position):
    rsp.monitor("seek %d" % position)
    rsp.ask("c" if position > rsp.position() else "bc")
    equal(rsp.position(), position)


def claim_a_display_that_a_bios_without_a_video_bios_leaves_alone_says_what_is_missing():
    with Server("--bios", firmware(), guest=None) as s:
        rsp = s.client()
        not_done(rsp, "screen", r"nobody has set up the display yet \(a BIOS does it by --vga-bios\)")
        rsp.close()


def claim_the_step_that_completed_a_text_on_the_screen_is_found():
    with Server(guest=guest()) as s:
        rsp = s.client()
        go(rsp, 60000)
        check("HELLO" not in rsp.monitor("screen"), "the screen is cleared in the end")
        there = armed(rsp.monitor("screen-first HELLO"))
        equal(rsp.position(), 60000)
        rsp.ask("bc")
        equal(rsp.position(), there)
        equal(rsp.monitor("screen").splitlines()[0], "first HELLO")
        go(rsp, there - 1)
        equal(rsp.monitor("screen").splitlines()[0], "first HELL")
        equal(armed(rsp.monitor("screen-wait HELLO")), there)
        equal(armed(rsp.monitor('screen-wait --back "first HELLO"')), there)
        equal(armed(rsp.monitor("screen-wait BYE")), there + 10 * (armed(rsp.monitor("screen-first fir")) - armed(rsp.monitor("screen-first fi"))))
        contains(rsp.monitor('screen-wait "HELLO --limit" 5k'), r"'HELLO --limit' was not on the screen on that way")
        contains(rsp.monitor("screen-first nowhere"), r"'nowhere' was not on the screen, as far as history reaches")
        contains(rsp.monitor("screen-first first"), r"'first' is there from position")
        for words, text in (("--limit 5x HELLO", r"'5x': a limit is"), ('"   "', r"a text of 1 to \d+ bytes is missing"),
                            ("HELLO --limit 5k", r"--limit stands before TEXT"), ("HELLO --back", r"--back stands before TEXT"),
                            ('"HELLO" --limit 5k', r"behind \"TEXT\" there is one limit"), ('"HELLO" 5k 5k', r"one limit"),
                            ("--back --limit 5k HELLO", r"'5k': all of history is searched")):
            not_done(rsp, "screen-wait " + words, text)
        rsp.close()


def claim_the_guest_runs_on_until_a_text_is_on_the_screen():
    with Server("--icount", "shift=3,sleep=off", guest=guest()) as s:
        rsp = s.client()
        for limit, position in ("--limit 5k", 5000), ("--limit 40us", 5000):
            contains(rsp.monitor("screen-wait %s BYE" % limit), r"'BYE' was not on the screen on that way")
            equal(rsp.position(), 0)
            contains(rsp.monitor("when"), r"%d before the live edge at %d\b" % (position, position))
        there = armed(rsp.monitor('screen-wait "BYE" 1M'))
        rsp.ask("c")
        equal(rsp.position(), there)
        equal(rsp.monitor("screen").splitlines()[0], TEXT.decode())
        contains(rsp.monitor("screen-wait BYE"), r"'BYE' is there at this position")
        rsp.close()


def claim_what_came_out_of_a_port_is_found_at_its_step():
    with Server(guest=guest()) as s:
        rsp = s.client()
        go(rsp, 60000)
        shown, said = armed(rsp.monitor("screen-first HELLO")), rsp.monitor("console-find HELLO")
        contains(said, r"out of uart0: 'HELLO' is there from position")
        equal(armed(said), shown + 3)  # add, mov, out
        contains(rsp.monitor("console-find HELLOO"), r"'HELLOO' was not put out by any port")
        rsp.close()


def film(directory):
    """Position and virtual time of each picture."""
    pictures = []
    for n, name in enumerate(sorted(os.listdir(directory))):
        equal(name, "%06d.png" % n)
        with open(os.path.join(directory, name), "rb") as f:
            texts = texts_of_png(f.read())
        pictures.append((int(texts["Position"]), int(float(texts["Virtual time"][:-2]) * 1e9 + 0.5)))
    return pictures


def claim_a_film_is_made_of_positions_or_times_and_leaves_all_as_it_was():
    with tempfile.TemporaryDirectory() as d, Server("--icount", "shift=3,sleep=off", guest=guest()) as s:
        rsp = s.client()
        go(rsp, 30000)
        open(os.path.join(d, "plain"), "w").close()
        steps, times, beyond, many = (os.path.join(d, name) for name in ("steps", "times", "beyond", "many"))
        contains(rsp.monitor("screenshots 1000 21k 4k " + steps), r"steps: 6 pictures, 000000.png and so on, of positions 1000 to 21000")
        equal([p for p, _ in film(steps)], [1000, 5000, 9000, 13000, 17000, 21000])
        equal(rsp.position(), 30000)
        rsp.monitor("screenshots 20us 100us 0.02ms " + times)
        equal(film(times), [(p, 8 * p) for p in (2500, 5000, 7500, 10000, 12500)])
        rsp.monitor("screenshots 29k 50k 10k " + beyond)  # past the live edge
        equal([p for p, _ in film(beyond)], [29000, 39000, 49000])
        equal(rsp.position(), 30000)
        for words, text in (("0 1k 1k " + steps, r"000000.png: exists"), ("0 1k 0 " + d, r"'0': a picture each"),
                            ("x 1k 1k " + d, r"'x' is no position"), ("2k 1k 1k " + d, r"position 2000 is after 1000"),
                            ("0 1k 1k " + os.path.join(d, "plain"), r"plain: Not a directory"), ("0 1k 1k %s please" % d, r"there is force"), ("0 10000 1 " + many, r"10001 pictures are more than 10000: .*force")):
            not_done(rsp, "screenshots " + words, text)
        check(not os.path.exists(many), "what is refused makes no directory")
        equal(rsp.position(), 30000)
        rsp.monitor("screenshots 0 1k 1k %s force" % steps)
        equal([p for p, _ in film(steps)][:3], [0, 1000, 9000])
        rsp.close()


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
