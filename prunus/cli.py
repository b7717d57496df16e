# SPDX-License-Identifier: Apache-2.0
"""The command ``prunus``: what it has to say of errors, whatever they are."""

import sys

from .console import guarded

__all__ = ["main"]


@guarded()
def _run(arguments: list[str] | None = None) -> int:
    from .app import run  # slow to import, and Ctrl-C may come meanwhile

    return run(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; errors a user can mend are one line on stderr and exit code 2."""
    sys.exit(_run(arguments))


if __name__ == "__main__":
    main()
