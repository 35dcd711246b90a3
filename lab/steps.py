"""What persons do, counted while it is done: nobody types a number.

    steps = Steps()
    with steps.theme("gateway"):
        steps.write("clinic", path, text)                  # a file written or changed by hand
        steps.command("clinic", ["nft", "-f", path], run)  # a command entered: run() runs it
    steps.carry("clinic", "hospital", path, there)          # a key or file taken to another place

Each is one step. A place is where somebody sits: a site, the provider, the maker. A file belongs to
the place where it was written or where a command made it; when another place's command names it, it
has to be taken there first, and that is a step, too, counted here without being asked.
"""

import contextlib
import difflib
import os
import pathlib
import shutil
from dataclasses import dataclass

WRITTEN, CARRIED, ENTERED = "files written", "carried", "commands"
KEY_MARK = b"-----BEGIN "  # how keys, certificates and requests for them begin


@dataclass(frozen=True)
class Step:
    kind: str  # WRITTEN, CARRIED or ENTERED
    theme: str
    place: str
    text: str
    lines: int = 0  # written by hand
    key: bool = False  # what was carried is a key or a certificate


class Steps:
    def __init__(self):
        self.all = []
        self.at = {}  # which places have a file
        self._theme = ""

    @contextlib.contextmanager
    def theme(self, name):
        before, self._theme = self._theme, name
        try:
            yield self
        finally:
            self._theme = before

    # Doing

    def write(self, place, path, text):
        """A person writes a file, or changes it: then only lines that are new or other ones count,
        and a file that stays the same is no step."""
        path = pathlib.Path(path)
        old = path.read_text().splitlines() if path.exists() else []
        new = text.splitlines()
        if old == new:
            return
        # A line taken out is work as one put in is; a changed one is both, and counts once.
        difference = [line[0] for line in difflib.ndiff(old, new)]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.made(place, path)
        self._add(WRITTEN, place, path.name, lines=max(difference.count("+"),
            difference.count("-")))

    def command(self, place, argv, run):
        """A person at this place enters a command. Returns what run() returns."""
        paths = [path for word in argv for path in _paths(word)]
        for path in paths:
            if path.is_file():
                self.need(place, path)
        before = set(_files(paths))
        answer = run()
        self._add(ENTERED, place, " ".join(pathlib.Path(str(word)).name for word in argv))
        for path in set(_files(paths)) - before:
            self.made(place, path)
        return answer

    def carry(self, source, target, path, there=None, key=None):
        """A file is taken from one place to another; `there` is where the copy lies."""
        path = pathlib.Path(path)
        if there:
            pathlib.Path(there).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, there)
            self.made(target, there)
        self.at.setdefault(path, {source}).add(target)
        self._add(CARRIED, target, f"{path.name} from {source}",
            key=path.read_bytes().startswith(KEY_MARK) if key is None else key)

    def need(self, place, path, key=None):
        """The place needs a file. One that is elsewhere is carried; one that nobody made by a step
        (a program of the system) is everywhere."""
        places = self.at.get(pathlib.Path(path))
        if places and place not in places:
            self.carry(sorted(places)[0], place, path, key=key)

    def made(self, place, path):
        self.at[pathlib.Path(path)] = {place}

    # Counting

    def take(self):
        """The steps since the last take()."""
        taken, self.all = self.all, []
        return taken

    def _add(self, kind, place, text, lines=0, key=False):
        self.all.append(Step(kind, self._theme, place, text, lines, key))


def _paths(word):
    """The file that a word of a command line names, also behind USE=."""
    text = os.fspath(word) if isinstance(word, (str, os.PathLike)) else str(word)
    return [pathlib.Path(part) for part in (text, text.partition("=")[2]) if part.startswith("/")]


def _files(paths):
    """The files among the paths, and those in the folders among them."""
    return [file for path in paths for file in (path, *(path.rglob("*") if path.is_dir() else ()))
        if file.is_file()]


def lines(steps):
    return sum(step.lines for step in steps)


def keys_moved(steps):
    return sum(step.key for step in steps)


def of(steps, themes):
    return [step for step in steps if step.theme in themes]


def table(steps, column):
    """For people: a row for each theme or place (`column`), with the kinds of steps."""
    rows = {}
    for step in steps:
        row = rows.setdefault(getattr(step, column), {})
        row[step.kind] = row.get(step.kind, 0) + 1
        row["lines"] = row.get("lines", 0) + step.lines
    print(f"  {column:22} {'steps':>6} {WRITTEN:>14} {'lines':>6} {CARRIED:>8} {ENTERED:>9}")
    for name, row in rows.items():
        total = sum(row.get(kind, 0) for kind in (WRITTEN, CARRIED, ENTERED))
        print(f"  {name:22} {total:6} {row.get(WRITTEN, 0):14} {row['lines']:6} "
            f"{row.get(CARRIED, 0):8} {row.get(ENTERED, 0):9}", flush=True)
