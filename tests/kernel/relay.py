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
LINE = re.compile(r"^((not )?ok\b|#|1\.\.\d|Bail out!)")


def relay(argv, console, timeout, **options):
    """Runs it; returns the exit status of the test. `console` is the file with the kernel's words; what
    the guest says beside TAP is added to it."""
    guest = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, **options)

    def end(number=signal.SIGTERM, _frame=None):
        try:
            os.killpg(guest.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if _frame:
            raise SystemExit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    late = threading.Timer(timeout, end)
    late.start()
    planned, failed = False, False
    try:
        for line in guest.stdout:
            text = line.decode(errors="replace").strip("\r\n")
            if LINE.match(text):
                print(text, flush=True)
                planned |= text.startswith(("1..", "Bail out!"))
                failed |= text.startswith(("not ok", "Bail out!"))
            else:
                with open(console, "a", encoding="utf-8") as file:
                    file.write(text + "\n")
        guest.wait()
    finally:
        late.cancel()
        end()
        guest.wait()
    if not planned:
        if os.path.exists(console):
            with open(console, encoding="utf-8", errors="replace") as file:
                for line in file.read().splitlines()[-CONSOLE_LINES:]:
                    print(f"# {line}")
        print(f"Bail out! the guest ended before its plan (status {guest.returncode}, at most "
            f"{timeout} s)", flush=True)
        return 1
    return 1 if failed else 0
