# SPDX-License-Identifier: Apache-2.0
"""Says what a machine lacks, before a long build fails: ``python doctor.py base|sim``.

Runs before anything is installed and on any Python 3, so it uses nothing newer than both.
"""

import os
import shutil
import sys

__all__ = ["missing"]


def missing(need):
    """What ``base`` (make verilog) or ``sim`` (make sim, too) lacks, one text for each."""
    version = "%d.%d" % sys.version_info[:2]    # noqa: UP031 - no f-string before Python 3.6
    texts = []
    if sys.version_info < (3, 11):      # noqa: UP036 - older ones shall reach this line
        texts.append("Python 3.11 or newer is needed, " + sys.executable + " is " + version
                     + "; give another one with: make PYTHON=python3.11")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        texts.append("Python's venv module is missing (Debian, Ubuntu: apt-get install "
                     "python3-venv)")
    if not os.access(".", os.W_OK | os.X_OK):
        texts.append("this folder cannot be written, and make puts .venv and build into it; copy "
                     "it, or install it elsewhere: pip install " + os.getcwd())
    if need == "sim":
        if not shutil.which("g++"):
            texts.append("g++ is missing, Verilator's models are compiled with it "
                         "(Debian, Ubuntu: apt-get install g++)")
        try:
            from find_libpython import find_libpython
        except ImportError:
            texts.append("cocotb is not installed (make dev)")
        else:
            if find_libpython() is None:
                texts.append("the shared library of Python " + version + " is missing, cocotb "
                             "loads it (Debian, Ubuntu: apt-get install libpython" + version
                             + "; pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install)")
    return texts


if __name__ == "__main__":
    found = missing(sys.argv[1] if len(sys.argv) > 1 else "sim")
    for text in found:
        sys.stderr.write("error: " + text + "\n")
    sys.exit(2 if found else 0)
