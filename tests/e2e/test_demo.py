"""The main job: the bugs of the example guests are found by going backwards."""
import os
import subprocess
import sys

import harness
from harness import BUILD, HINDCAST, SOURCE, STORE, check, contains, patience

RECORDS = os.path.join(BUILD, "examples", "long-record", "i386", "records.elf")
NOTES = os.path.join(BUILD, "examples", "lost-block", "i386", "notes.elf")


def demo(example, guest):
    """What is shown by the demo of an example with a guest, which must end well."""
    result = subprocess.run(["sh", os.path.join(SOURCE, "examples", example, "demo"), HINDCAST, guest],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience(120))
    text = result.stdout.decode("utf-8", "replace")
    check(result.returncode == 0, text)
    return text


def on_virt(guest):
    """The guest of the same name for the virt board; None: there is no compiler for it here."""
    there = os.path.join(os.path.dirname(os.path.dirname(guest)), "aarch64", os.path.basename(guest))
    if not os.path.exists(there):
        print("no compiler for aarch64: left out")
        return None
    return there


def claim_the_demo_ends_on_the_culprits_line():
    text = demo("stale-pointer", STORE)
    contains(text, r"store: tick 1000: .* audit passed")
    contains(text, r"session_timeout \(arg=")


def claim_it_does_in_64_bits_too():
    store = os.path.join(BUILD, "examples", "stale-pointer", "x86_64", "store.elf")
    if os.path.exists(store):
        contains(demo("stale-pointer", store), r"store: tick 1000: .* audit passed")


def claim_it_does_on_the_virt_board_too():
    store = on_virt(STORE)
    if store:
        contains(demo("stale-pointer", store), r"store: tick 1000: .* audit passed")


def claim_the_demo_of_a_wrong_block_goes_from_memory_to_the_disk_and_back():
    for guest in NOTES, on_virt(NOTES):
        if guest:
            contains(demo("lost-block", guest), r"notes: 50 pages, audit passed")


def claim_the_demo_of_a_packet_goes_from_the_spoilt_record_to_the_wire():
    for guest in RECORDS, on_virt(RECORDS):
        if guest:
            contains(demo("long-record", guest), r"records: 16 stored, audit passed")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])
