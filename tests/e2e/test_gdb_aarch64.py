"""What test_gdb.py claims, for aarch64 guests."""
import harness
import test_gdb

if __name__ == "__main__":
    harness.main(test_gdb, (harness.AARCH64,), ("live", "replay", "checkpoints"), brief="yes")
