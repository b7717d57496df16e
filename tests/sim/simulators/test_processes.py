# SPDX-License-Identifier: Apache-2.0
"""Programs end with whoever started them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from prunus.sim.simulators.processes import child, end

# A program that starts another and tells its number.
FAMILY = ["sh", "-c", "sleep 100 & echo $!; wait"]


def _ends(pid: int) -> bool:
    """Within some seconds; what has ended may wait for a parent that never looks."""
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")


def test_all_end_with_the_block():
    with pytest.raises(KeyboardInterrupt), child(FAMILY, stdout=subprocess.PIPE) as process:
        grandchild = int(process.stdout.readline())
        raise KeyboardInterrupt
    process.stdout.close()
    assert process.returncode == -signal.SIGKILL
    assert _ends(grandchild)


def test_one_that_ended_is_left_alone():
    with child(["sh", "-c", "exit 3"]) as process:
        assert process.wait() == 3
        end(process)
    assert process.returncode == 3


def test_all_end_with_a_process_that_is_killed():
    script = ("import subprocess, sys, time\n"
              "from prunus.sim.simulators.processes import child\n"
              f"with child({FAMILY!r}, stdout=sys.stdout): time.sleep(100)\n")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        grandchild = int(parent.stdout.readline())
        assert not _ends_at_once(grandchild)
        parent.kill()
        assert _ends(grandchild)


def _ends_at_once(pid: int) -> bool:
    time.sleep(0.3)
    return not os.path.exists(f"/proc/{pid}")
