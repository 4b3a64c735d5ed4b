"""Tasks in other processes: values, progress and events come back; deaths of either side lose nothing."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import worker_tasks
from dask_by_hand import dask_by_hand

from DLCTPMLib.common.errors import InputError
from DLCTPMLib.parallel import Task, WorkerSettings, local, open_executor, process, run_tasks
from DLCTPMLib.parallel.local import LostWorkerError
from DLCTPMLib.parallel.tasks import LEASH


def values(executor, tasks, place, *more):
    """Of every task in its order."""
    found = {number: future.result() for number, future in run_tasks(executor, tasks, place, 1, *more)}
    return [found[number] for number in range(len(tasks))]


@contextmanager
def executor_of(kind, folder):
    if kind == "processes":
        settings = WorkerSettings(jobs=2)
    else:
        pytest.importorskip("distributed")
        settings = WorkerSettings(workers=2)
    with open_executor(settings) as executor:
        yield executor


@pytest.fixture(scope="module", params=["processes", "Dask on this machine"])
def executor(request, tmp_path_factory):
    with executor_of(request.param, tmp_path_factory.mktemp("dask")) as executor:
        yield executor


def test_values_progress_and_events_come_back(executor, tmp_path):
    told, events = [], []
    tasks = [Task(worker_tasks.squared, (number,)) for number in range(7)]
    found = values(executor, tasks, tmp_path, lambda *now: told.append(now), lambda **event: events.append(event))
    assert found == [number**2 for number in range(7)]
    assert sorted(event["squared"] for event in events) == list(range(7))
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions)
    assert told[-1] == ("7 of 7 done", 1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_task_whose_process_is_killed_is_begun_again(executor, tmp_path):
    assert values(executor, [Task(worker_tasks.killed_once, (str(tmp_path / "flag"),))], tmp_path) == ["done"]


def test_an_error_of_a_task_is_its_own(executor, tmp_path):
    tasks = [Task(worker_tasks.refused, ()), Task(worker_tasks.squared, (3,))]
    done = dict(run_tasks(executor, tasks, tmp_path, 1))
    assert done[1].result() == 9
    with pytest.raises(ValueError, match="no such thing"):
        done[0].result()


def test_threads_are_those_that_were_asked_for(executor, tmp_path):
    for asked in {1, min(2, os.cpu_count())}:
        ((_, future),) = run_tasks(executor, [Task(worker_tasks.threads, ())], tmp_path, asked)
        assert future.result() == asked


def test_a_run_that_is_cancelled_ends_its_tasks(executor, tmp_path):
    def cancel(stage, fraction):
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        values(executor, [Task(worker_tasks.until_abandoned, (str(tmp_path),))], tmp_path, cancel)
    wait_for((tmp_path / "ended").exists)
    assert (tmp_path / "ended").read_text() == "AbandonedError"
    assert values(executor, [Task(worker_tasks.squared, (2,))], tmp_path) == [4]  # the worker is free again


def test_a_task_that_kills_its_process_every_time_is_given_up(tmp_path):
    with open_executor(WorkerSettings(jobs=1)) as executor:
        ((_, future),) = run_tasks(executor, [Task(worker_tasks.killed_always, ())], tmp_path, 1)
        with pytest.raises(LostWorkerError):
            future.result()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_process_that_grows_is_renewed(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "GROWN_BYTES", 6 << 20)
    with open_executor(WorkerSettings(jobs=1)) as executor:
        pids = values(executor, [Task(worker_tasks.grown, ())] * 8, tmp_path)
    assert 1 < len(set(pids)) < 8


CLIENT = """
import sys
from pathlib import Path
import worker_tasks
from DLCTPMLib.parallel import Task, WorkerSettings, open_executor, run_tasks
if __name__ == "__main__":
    folder, jobs, scheduler = sys.argv[1:]
    with open_executor(WorkerSettings(jobs=int(jobs) or None, scheduler=scheduler or None)) as executor:
        list(run_tasks(executor, [Task(worker_tasks.until_abandoned, (folder,))], Path(folder), 1))
"""


def killed_client(folder, jobs=0, scheduler=""):
    """Start a client, kill it in the middle of its task, and give the number of the task's process."""
    script = folder / "client.py"
    script.write_text(CLIENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    client = subprocess.Popen([sys.executable, str(script), str(folder), str(jobs), scheduler], env=environment)
    try:
        wait_for((folder / "pid").exists)
    finally:
        client.kill()
        client.wait()
    return int((folder / "pid").read_text())


def test_processes_end_with_a_client_that_is_killed(tmp_path):
    pid = killed_client(tmp_path, jobs=1)
    wait_for(lambda: not alive(pid))
    assert list(tmp_path.glob(f"{LEASH}*"))
    with open_executor(WorkerSettings(jobs=1)) as executor:
        assert values(executor, [Task(worker_tasks.squared, (5,))], tmp_path) == [25]
    assert not list(tmp_path.glob(f"{LEASH}*"))


def test_a_cluster_drops_the_task_of_a_killed_client_when_the_run_is_begun_again(tmp_path):
    pytest.importorskip("distributed")
    with dask_by_hand(tmp_path) as (address, (worker,)):
        assert killed_client(tmp_path, scheduler=address) == worker.pid
        with open_executor(WorkerSettings(scheduler=address)) as executor:
            assert values(executor, [Task(worker_tasks.squared, (5,))], tmp_path) == [25]
        assert (tmp_path / "ended").read_text() == "AbandonedError"


def test_a_scheduler_of_our_own_is_heard_on_this_machine_only(tmp_path):
    pytest.importorskip("distributed")
    import psutil

    with open_executor(WorkerSettings(workers=1)):
        ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
        heard = [one.laddr.ip for each in ours for one in each.net_connections() if one.status == "LISTEN"]
    assert len(heard) > 1
    assert set(heard) == {"127.0.0.1"}


def test_a_scheduler_that_is_not_there_is_one_sentence(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("DLCTPMLib.parallel.cluster.ANSWERS_S", 1)
    with pytest.raises(InputError, match=r"--scheduler tcp://127.0.0.1:9: no Dask scheduler answers"):  # noqa: SIM117
        with open_executor(WorkerSettings(scheduler="tcp://127.0.0.1:9")):
            pass


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"--workers: needs dask.distributed.*dlctpm\[cluster\]"):  # noqa: SIM117
        with open_executor(WorkerSettings(workers=2)):
            pass


def test_each_process_takes_the_gpu_of_its_number(monkeypatch):
    import torch

    from DLCTPMLib.networks.inference import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda") == torch.device("cuda")
    for number, gpu in ((0, 0), (1, 1), (2, 0)):
        monkeypatch.setenv(process.NUMBER, str(number))
        assert choose_device() == choose_device("cuda") == torch.device("cuda", gpu)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("wrong", [{"jobs": 0}, {"workers": 0}, {"jobs": 1, "workers": 1}, {"scheduler": " "}])
def test_workers_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError):
        WorkerSettings(**wrong)


def wait_for(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def alive(pid):
    with suppress(OSError):
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    return False
