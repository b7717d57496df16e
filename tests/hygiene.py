# SPDX-License-Identifier: Apache-2.0
"""What every file of the repository keeps, beside the style of Python: ``python -m tests.hygiene``.

Line ends are those of Unix, no line ends in a space, a file ends with one line end, is no larger
than a mebibyte, has no mark of a merge in it, and Python names its licence in the first line.
Without arguments it reads all files that git knows.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["faults", "main"]

LARGEST = 1 << 20
LICENCE = b"# SPDX-License-Identifier: Apache-2.0"
MADE = (".svg",)            # as matplotlib writes them


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a file, one text for each."""
    raw = path.read_bytes()
    if len(raw) > LARGEST:
        yield f"has {len(raw)} bytes, at most {LARGEST} are allowed"
    if b"\0" in raw or path.suffix in MADE:
        return
    for n, line in enumerate(raw.splitlines(keepends=True), 1):
        if line.endswith(b"\r\n"):
            yield f"line {n} ends with a carriage return"
        elif re.search(rb"[ \t]$", line):
            yield f"line {n} ends with a space"
        if re.match(rb"(<{7}|>{7}) ", line):
            yield f"line {n} is the mark of a merge"
    if raw and (not raw.endswith(b"\n") or raw.endswith(b"\n\n")):
        yield "must end with one line end"
    if path.suffix == ".py" and LICENCE not in raw.splitlines()[:2]:
        yield f"must begin with {LICENCE.decode()}"


def main(names: Sequence[str]) -> int:
    if not names:
        listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True,
                                check=True).stdout
        names = [name for name in listed.split("\0") if name]
    found = [f"{name}: {text}" for name in names if Path(name).is_file()
             for text in faults(Path(name))]
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
