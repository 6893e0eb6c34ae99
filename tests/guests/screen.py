"""What the tests of whole guests share: running to what the screen or the console says,
typing, and going back step by step."""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
from harness import Failed, check, equal  # noqa: E402

KEYS = {" ": "spc", "\n": "ret", "-": "minus", "/": "slash", "=": "equal", ".": "dot"}


def run_to(rsp, position):
    """Forward to exactly that position (or the guest's end)."""
    rsp.monitor("replay_break %d" % position)
    reply = rsp.ask("c")
    rsp.monitor("replay_delete_break %d" % position)
    return reply


def screen(rsp):
    """The screen's text; empty while it shows graphics."""
    try:
        return rsp.monitor("screen")
    except Exception as e:
        if "graphics" in str(e) or "nobody has set up" in str(e):
            return ""
        raise


def run_until_screen(rsp, pattern, slice_steps, slices):
    """Run on, a slice of so many steps at a time, until the screen shows `pattern`. Gives back the screen."""
    for _ in range(slices):
        text = screen(rsp)
        if re.search(pattern, text, re.M):
            return text
        run_to(rsp, rsp.position() + slice_steps)
    raise Failed("no %r on the screen:\n%s" % (pattern, screen(rsp)))


def run_until_output(server, rsp, pattern, slice_steps, slices):
    """The same for what comes out of the first serial port."""
    for _ in range(slices):
        if re.search(pattern, server.output):
            return
        run_to(rsp, rsp.position() + slice_steps)
    server.wait_output(pattern, 2)


def press(rsp, text):
    """Type on the keyboard, each key at a live position of its own and for a millisecond; a busy guest has time for it."""
    for c in text:
        rsp.monitor("sendkey %s 1" % KEYS.get(c, c))
        run_to(rsp, rsp.position() + 3000000)


def state(rsp):
    return rsp.position(), rsp.registers(), re.search(r"[0-9a-f]{16}", rsp.monitor("info hash")).group(0)


def there_and_back(rsp, steps=20):
    """Step back, and forward again: every state is met again."""
    rsp.ask("bs")  # from wherever it is to a boundary between instructions
    states = [state(rsp)]
    for _ in range(steps):
        rsp.ask("bs")
        states.append(state(rsp))
    check(len(set(s[2] for s in states)) > steps // 2, "the states do not differ")
    for expected in reversed(states[:-1]):
        rsp.ask("s")
        equal(state(rsp), expected, "a state stepped to again")
    for expected in states[1:]:
        rsp.ask("bs")
        equal(state(rsp), expected, "a state stepped back to")


def picture(rsp, path):
    """(width, height, pixel(x, y)) of a screendump."""
    rsp.monitor("screendump %s force" % path)
    with open(path, "rb") as f:
        data = f.read()
    match = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
    width, height, at = int(match.group(1)), int(match.group(2)), match.end()
    equal(len(data), at + 3 * width * height)
    return width, height, lambda x, y: tuple(data[at + 3 * (y * width + x):at + 3 * (y * width + x) + 3])
