"""Runs a guest whose TAP comes on its standard output, and hands it on.

The guest tells its own results, line by line, and its plan last. One that ends or hangs before its
plan leaves "Bail out!" with the end of what its kernel said: never a test that looks complete.
"""

import os
import re
import signal
import subprocess
import threading

CONSOLE_LINES = 30
TAP = re.compile(r"^((not )?ok\b|#|1\.\.\d|Bail out!)")


def signals_end():
    """From now on SIGTERM and SIGHUP end this process as SIGINT does: by way of `finally`."""
    def end(number, _frame):
        raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def relay(argv, console, timeout, **options):
    """Runs it; returns the exit status of the test. `console` is the file with the kernel's words;
    what the guest says beside TAP is added to it."""
    guest = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True, **options)

    def kill():
        try:
            os.killpg(guest.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    late = threading.Timer(timeout, kill)
    late.start()
    planned, failed = False, False
    try:
        for line in guest.stdout:
            text = line.decode(errors="replace").strip("\r\n")
            if TAP.match(text):
                print(text, flush=True)
                planned |= text.startswith(("1..", "Bail out!"))
                failed |= text.startswith(("not ok", "Bail out!"))
            else:
                with open(console, "a", encoding="utf-8") as file:
                    file.write(text + "\n")
    finally:
        late.cancel()
        kill()
        guest.wait()
    if not planned:
        for line in _end(console):
            print(f"# {line}")
        print(f"Bail out! the guest ended before its plan (status {guest.returncode}, it had "
            f"{timeout} s)", flush=True)
    return 1 if failed or not planned else 0


def _end(console):
    if not os.path.exists(console):
        return []
    with open(console, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()[-CONSOLE_LINES:]
