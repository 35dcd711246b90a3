"""Exports of the ledger: fetched with the command line, checked with it and with the second verifier.

    directory = ledger_fetch(stage, world.path("export"))
    ledger_check(stage, directory)          # LabError unless both verifiers say it is whole
"""

import json
import subprocess
import sys

from lab.world import REPOSITORY, LabError, wait_for


def ledger_fetch(stage, directory):
    """Fetches what the newest checkpoint covers; waits until that is everything there is now."""
    newest = json.loads(stage.center.public("GET", "/health")[1])["records"]
    wait_for(lambda: checkpoint_size(stage) >= newest, 10, "a checkpoint covers the ledger", 0.05)
    stage.sekisho("ledger", "fetch", str(directory))
    return directory


def checkpoint_size(stage):
    status, note = stage.center.public("GET", "/ledger/checkpoint")
    return int(note.split(b"\n")[1]) if status == 200 else 0


def verify(stage, directory, *older):
    """What `sekisho ledger verify` says: (whole, set of faults)."""
    argv = ["ledger", "verify", str(directory), "--key", str(stage.pki.checkpoint_key_file())]
    for path in older:
        argv += ["--older", str(path)]
    done = stage.pki.run(*argv, check=False)
    if done.returncode not in (0, 1, 3) or not done.stdout.strip():
        raise LabError(f"ledger verify ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    answer = json.loads(done.stdout)
    return done.returncode == 0, {item["fault"] for item in answer.get("findings", [])}


def verify_again(stage, directory, *older):
    """The same by dev/verify_ledger.py, which shares no code with it."""
    argv = [sys.executable, str(REPOSITORY / "dev" / "verify_ledger.py")]
    for path in older:
        argv += ["--known", str(path)]
    argv += [stage.pki.checkpoint_key_file().read_text().strip(), str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    if done.returncode not in (0, 1) or not lines:
        raise LabError(f"verify_ledger.py: {done.stderr.strip()[-400:]}")
    return done.returncode == 0, {line[1] for line in lines[:-1]}


def ledger_check(stage, directory):
    """Fetches and verifies by both; returns a line about it."""
    ledger_fetch(stage, directory)
    for check in (verify, verify_again):
        whole, faults = check(stage, directory)
        if not whole:
            raise LabError(f"{check.__name__}: the ledger is not whole: {sorted(faults)}")
    return f"{checkpoint_size(stage)} records, whole by both verifiers"
