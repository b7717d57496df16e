# SPDX-License-Identifier: Apache-2.0
"""Campaigns of small tasks, in processes of this machine and on a Dask cluster of two of them."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from prunus.golden.engines import load_config
from prunus.sim.campaigns import campaign, workers
from prunus.sim.campaigns.campaign import CampaignError, Options, Task, TaskError, run
from prunus.sim.simulators.cache import ROOT

HERE, ONE, TWO = (Options(workers=count) for count in (0, 1, 2))


@dataclass(frozen=True)
class Draw:
    count: int
    seed: int


@pytest.fixture(autouse=True)
def build(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNUS_BUILD", str(tmp_path / "build"))
    return tmp_path / "build" / "campaigns"


# -- what tasks do, in their workers --------------------------------------------------------------
def _note(log: Path, text: str) -> None:
    with open(log, "a") as file:
        file.write(f"{text}\n")


def draw(log: Path, wanted: Draw) -> dict:
    """Random numbers; those of even seeds take longer than the next."""
    _note(log, str(wanted.seed))
    time.sleep(0.0 if wanted.seed % 2 else 0.2)
    rng = np.random.default_rng(wanted.seed)
    return {"seed": wanted.seed, "numbers": tuple(rng.random(wanted.count).tolist())}


def die_at_first(log: Path, name: str, times: int) -> str:
    """Kill the process that does it, so many times."""
    _note(log, name)
    if log.read_text().split().count(name) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def differ(seed: int) -> int:
    if seed == 2:
        raise TaskError("out[0, 0] must be 1, not 2", {"seed": seed})
    return seed


def crash() -> None:
    raise KeyError("a fault of the program")


def wait_for(log: Path, seed: int) -> dict:
    """Note whose process it is, and give time to kill it."""
    with open(log, "a") as file:
        file.write(f"{seed} {os.getpid()}\n")
    time.sleep(0.3)
    return {"seed": seed, "number": np.random.default_rng(seed).random()}


def draws(log: Path, count: int = 6) -> list[Task]:
    return [Task(f"seed {seed}", draw, (log, Draw(3, seed))) for seed in range(count)]


def _log(tmp_path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


# -- this machine ---------------------------------------------------------------------------------
def test_results_are_those_of_one_worker_in_the_order_of_the_tasks(tmp_path):
    log = _log(tmp_path)
    seen = [[(r.task.name, r.value, r.failure)
             for r in run("draws", draws(log), Options(workers=count, fresh=True))]
            for count in (0, 1, 2)]
    assert seen[0] == seen[1] == seen[2]
    assert [name for name, _, _ in seen[0]] == [f"seed {seed}" for seed in range(6)]
    assert seen[0][4][1]["numbers"] == np.random.default_rng(4).random(3).tolist()


def test_a_worker_that_dies_costs_its_task_once_more(tmp_path):
    """Neither those that others do, nor those after it; it fails if it dies again and again."""
    log = _log(tmp_path)
    tasks = [Task("mortal", die_at_first, (log, "mortal", 1)), *draws(log, 3),
             Task("deadly", die_at_first, (log, "deadly", 99)), Task("last", differ, (7,))]
    results = list(run("deaths", tasks, TWO))
    assert [r.failure for r in results] == ["", "", "", "", "its worker died 3 times", ""]
    assert (results[0].value, results[4].value, results[5].value) == ("mortal", None, 7)
    names = log.read_text().split()
    assert {name: names.count(name) for name in set(names)} == {
        "mortal": 2, "deadly": 1 + workers.AGAIN, "0": 1, "1": 1, "2": 1}


def test_finished_tasks_are_kept(tmp_path, build):
    log = _log(tmp_path)
    first = list(run("kept", draws(log, 3), ONE))
    assert list(run("kept", draws(log, 3), HERE)) == first      # its seconds, too
    assert log.read_text().split() == ["0", "1", "2"]
    longer = [Task("seed 1", draw, (log, Draw(4, 1))), *draws(log, 4)]
    assert [len(r.value["numbers"]) for r in run("kept", longer, HERE)] == [4, 3, 3, 3, 3]
    assert log.read_text().split()[3:] == ["1", "3"]
    assert len(list(build.glob("kept/*"))) == 5
    list(run("kept", draws(log, 3), Options(workers=0, fresh=True)))
    assert log.read_text().split()[5:] == ["0", "1", "2"]


def test_a_change_of_sources_begins_anew(tmp_path, monkeypatch):
    log = _log(tmp_path)
    list(run("kept", draws(log, 1), HERE))
    workers._at_first.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(workers, "PACKAGES", ("amaranth",))
        list(run("kept", draws(log, 1), HERE))
        assert log.read_text().split() == ["0", "0"]
        with pytest.raises(CampaignError, match="a worker has other sources or packages"):
            list(run("kept", draws(log, 2), ONE))
    workers._at_first.cache_clear()


def test_a_task_may_name_what_it_needs(tmp_path, monkeypatch):
    for name in ("a/x.py", "a/deep/y.toml", "b/z.py", "b/other.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(workers, "ROOT", tmp_path)
    task = Task("seed 1", differ, (1,), needs=("a", "b/z.py"))
    found = []
    for name in ("none.py", "b/other.py", "a/deep/y.toml", "b/z.py"):
        (tmp_path / name).write_text("changed")
        workers._at_first.cache_clear()
        found.append(workers.sources(task))
    workers._at_first.cache_clear()
    assert found[0] == found[1] and len(set(found)) == 3


def test_sources_that_change_meanwhile_end_it(monkeypatch, build):
    task = Task("seed 1", differ, (1,))
    workers.sources(task)
    monkeypatch.setattr(workers, "_sources", lambda room: "others")
    with pytest.raises(CampaignError, match="sources were changed while the campaign ran"):
        list(run("changed", [task], HERE))
    assert not build.exists()


@pytest.mark.parametrize("damage", [b"", b'{"value": {"see', b"[1]", b'{"value": 1}', b"\xff"])
def test_what_is_damaged_is_done_again(tmp_path, build, damage):
    log = _log(tmp_path)
    first = list(run("kept", draws(log, 2), HERE))
    files = sorted(build.glob("kept/*"))
    files[0].write_bytes(damage)
    assert [r.value for r in run("kept", draws(log, 2), HERE)] == [r.value for r in first]
    assert len(log.read_text().split()) == 3
    assert sorted(build.glob("kept/*")) == files


def test_a_failure_is_a_result_and_not_kept(build):
    tasks = [Task(f"seed {seed}", differ, (seed,)) for seed in (1, 2, 3)]
    results = list(run("failures", tasks, ONE))
    assert [(r.value, r.failure) for r in results] == [
        (1, ""), ({"seed": 2}, "out[0, 0] must be 1, not 2"), (3, "")]
    assert len(list(build.glob("failures/*"))) == 2


@pytest.mark.parametrize("options", [HERE, ONE])
def test_a_fault_of_the_program_comes_out_and_what_was_finished_is_kept(tmp_path, build, options):
    with pytest.raises(KeyError, match="a fault of the program"):
        list(run("faults", [*draws(_log(tmp_path), 2), Task("fault", crash)], options))
    assert len(list(build.glob("faults/*"))) == 2


def test_a_campaign_that_is_left_ends_its_workers(tmp_path):
    log = _log(tmp_path)
    begin = time.monotonic()
    results = run("left", [*draws(log, 2), Task("long", time.sleep, (60,))], TWO)
    assert next(results).value["seed"] == 0
    results.close()
    assert time.monotonic() - begin < 30


def test_arguments_have_digests_of_their_own(tmp_path):
    """Arrays, configurations, paths; the same whenever they are made."""
    def file(*arguments):
        return campaign._file(tmp_path, Task("a", differ, arguments))

    tiny, codes = load_config("hdp_tiny"), np.arange(6)
    various = [file(), file(1), file("1"), file(codes), file(codes.reshape(2, 3)),
               file(codes.astype(np.int32)), file(tiny), file(load_config("leopard_tiny")),
               file(tiny.model_copy(update={"cores": 2})), file(Draw(1, 2)), file(Draw(2, 1)),
               file(Path("a")), file(Path("b"))]
    assert len(set(various)) == len(various)
    assert file(tiny, codes) == file(load_config("hdp_tiny"), np.arange(6))
    with pytest.raises(TypeError, match="arguments of tasks must not be of set"):
        file({1})


def test_options(capsys):
    parser = argparse.ArgumentParser()
    campaign.add_options(parser)
    assert campaign.options_of(parser.parse_args([])) == Options()
    given = parser.parse_args(["--workers", "2", "--fresh"])
    assert campaign.options_of(given) == Options(workers=2, fresh=True)
    with pytest.raises(CampaignError, match="--workers must be at least 0, not -1"):
        Options(workers=-1)
    with pytest.raises(CampaignError, match="--workers and --scheduler contradict each other"):
        Options(workers=1, scheduler="tcp://host:1")


def test_commands_end_in_a_line(capsys):
    def stop(arguments):
        raise arguments[0]

    main = campaign.command(stop)
    assert main([CampaignError("no scheduler")]) == 2
    assert main([KeyboardInterrupt()]) == 130
    assert capsys.readouterr().err.splitlines() == [
        "error: no scheduler",
        "interrupted: what is finished is kept, and the same command goes on from there"]


INTERRUPTED = """
import sys
from pathlib import Path
from prunus.sim.campaigns.campaign import Options, Task, command, run
from tests.sim.campaigns.test_campaign import Draw, draw, wait_for

@command
def main(log):
    tasks = [Task("one", draw, (log, Draw(1, 1))), *(Task(str(n), wait_for, (log, n))
                                                     for n in range(99))]
    list(run("interrupted", tasks, Options(workers=1)))

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
"""


def test_an_interrupt_ends_it_cleanly(tmp_path, build):
    script, log = tmp_path / "script.py", _log(tmp_path)
    script.write_text(INTERRUPTED)
    process = subprocess.Popen([sys.executable, script, log], stderr=subprocess.PIPE, text=True,
                               start_new_session=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    while len(log.read_text().split()) < 2 and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)       # as a terminal does
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert said == f"{campaign.STOPPED}\n"
    assert list(build.glob("interrupted/*.json"))


# -- a cluster ------------------------------------------------------------------------------------
def test_the_scheduler_is_asked_also_if_nothing_is_left_to_do(monkeypatch, build):
    def no_answer(address):
        raise CampaignError(f"scheduler {address!r} does not answer")

    tasks = [Task("a", differ, (1,))]
    list(run("all-kept", tasks, Options(workers=0)))
    monkeypatch.setattr(campaign, "answers", no_answer)
    with pytest.raises(CampaignError, match="'tcp://127.0.0.1:1' does not answer"):
        list(run("all-kept", tasks, Options(scheduler="tcp://127.0.0.1:1")))


def test_distributed_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CampaignError, match=r"--scheduler needs the Python package 'distributed': "
                                            r"(make dev|pip install -e '\.\[cluster\]')$"):
        list(run("missing", [Task("a", differ, (1,))], Options(scheduler="tcp://127.0.0.1:1")))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "carrier-pigeon://a", "nobody.invalid:1",
                                     "nonsense"])
def test_no_scheduler(monkeypatch, address):
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "CONNECT_S", 0.5)
    with pytest.raises(CampaignError, match=f"^scheduler '{address}' does not answer: .+$"):
        list(run("missing", [Task("a", differ, (1,))], Options(scheduler=address)))


def test_something_else_listens_at_the_address(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(CampaignError, match=f"^scheduler '{address}' does not answer: .+$"):
            list(run("missing", [Task("a", differ, (1,))], Options(scheduler=address)))


def test_a_cluster_gives_the_same_though_a_worker_is_killed(tmp_path, build):
    distributed = pytest.importorskip("distributed")
    log = _log(tmp_path)
    tasks = [Task(f"seed {seed}", wait_for, (log, seed)) for seed in range(10)]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True,
                                  dashboard_address=":0", silence_logs=50) as machines:
        options = Options(scheduler=machines.scheduler_address)
        results = run("cluster", tasks, options)
        got = [next(results), next(results)]
        victim = int(log.read_text().split()[-1])
        os.kill(victim, signal.SIGKILL)
        got += results
        again = list(run("cluster", tasks, options))
    begun = [line.split() for line in log.read_text().splitlines()]
    assert len({process for _, process in begun}) >= 2
    assert len(begun) > len(tasks), "a task was begun once more"
    assert again == got and all(not r.failure for r in got)
    local = run("here", tasks, HERE)
    assert [(r.task, r.value) for r in local] == [(r.task, r.value) for r in got]
