"""A small TAP writer for test scripts.

    with Tap() as tap:
        with tap.case("the clinic reaches the hospital's gateway"):
            expect(world.ping("clinic", "198.51.100.2") == 1, "no echo reply")

A case fails by any exception; `expect` raises one that says why. The plan is printed at the end and
the exit status is 0 only when no case failed. An exception between two cases counts as a failed
case, so a script that stops early never looks complete.
"""

import contextlib
import sys
import traceback


class Skip(Exception):
    """Raised inside a case that cannot run here; the text is the reason."""


class Bail(Exception):
    """Raised when nothing that follows could mean anything; ends the script as failed."""


def expect(condition, reason):
    """Fails the running case with `reason` unless the condition holds."""
    if not condition:
        raise AssertionError(reason)


class Tap:
    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.count = 0
        self.failed = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is SystemExit:
            return False
        if kind is Bail:
            self._print(f"Bail out! {_one_line(error)}")
            sys.exit(1)
        if kind is KeyboardInterrupt:
            self._result(False, "interrupted")
        elif kind:
            self._result(False, "stopped between two cases")
            self._explain(error)
        self._print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)

    @contextlib.contextmanager
    def case(self, name):
        """One test. Yields nothing; what it raises is its reason to fail."""
        try:
            yield
        except Skip as reason:
            self.skip(name, str(reason))
        except Bail:
            self._result(False, name)
            raise
        except Exception as error:
            self._result(False, name)
            self._explain(error)
        else:
            self._result(True, name)

    def skip(self, name, reason):
        """Reports a test that cannot run here; it never counts as passed."""
        self.count += 1
        self._print(f"ok {self.count} {_one_line(name)} # SKIP {_one_line(reason)}")

    def require(self, name, reason):
        """Ends the script as skipped when there is a reason (None: go on)."""
        if reason:
            self.skip(name, reason)
            self._print(f"1..{self.count}")
            sys.exit(0)

    def note(self, text):
        """Says something to the reader; not part of the result."""
        for line in str(text).splitlines():
            self._print(f"# {line}")

    def _result(self, passed, name):
        self.count += 1
        self.failed += not passed
        self._print(f"{'ok' if passed else 'not ok'} {self.count} {_one_line(name)}")

    def _explain(self, error):
        place = traceback.extract_tb(error.__traceback__)
        if place:
            self.note(f"{place[-1].filename}:{place[-1].lineno} in {place[-1].name}")
        self.note(f"{type(error).__name__}: {error}")

    def _print(self, line):
        print(line, file=self.out, flush=True)


def _one_line(text):
    # A '#' starts a directive in TAP, so a name may not contain one.
    return " ".join(str(text).replace("#", "no.").split())
