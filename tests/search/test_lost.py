"""Searches whose workers, scheduler or own process are killed, and which go on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kanji_np import archive
from kanji_np.recipe import Recipe
from kanji_np.search.finish import MODEL
from kanji_np.search.journal import JOURNAL
from kanji_np.search.training import Images, Step
from kanji_np.search.workers import Lost, cluster

from .program import EPOCHS, network, search, stripes

PROGRAM = Path(__file__).with_name("program.py")
MOST_SECONDS = 60


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a search comes to that nobody disturbs, with a single process."""
    directory = tmp_path_factory.mktemp("undisturbed")
    search(directory, workers=1, tell=lambda line: None)
    return outcome(directory)


def records(directory):
    """The whole lines of a journal."""
    path = directory / JOURNAL
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]


def outcome(directory):
    """All that a search found: accuracies, bytes of models, proofs."""
    found = [
        {key: value for key, value in record.items() if key != "seconds"}
        for record in records(directory)
        if record["kind"] in ("trained", "verified")
    ]
    models = {
        str(path.relative_to(directory)): path.read_bytes()
        for folder in ("finalists", "others")
        for path in sorted((directory / folder).glob(f"*/{MODEL}"))
    }
    return sorted(map(str, found)), models


def assert_nothing_was_trained_twice(directory):
    epochs = [
        (record["rung"], record["name"], record["epoch"])
        for record in records(directory)
        if record["kind"] == "epoch"
    ]
    assert len(epochs) == EPOCHS and set(Counter(epochs).values()) == {1}


def begun(*arguments):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition, process=None):
    end = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)


def has_epochs(directory, count):
    return lambda: sum(r["kind"] == "epoch" for r in records(directory)) >= count


def children(process):
    """The workers of a search, which are Python processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            command = (path / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == process.pid and b"spawn_main" in command:
            found.append(int(path.name))
    return found


def test_a_killed_search_and_its_killed_workers_lose_nothing(tmp_path, undisturbed):
    process = begun(tmp_path)
    wait_for(has_epochs(tmp_path, 3), process)
    os.kill(children(process)[0], signal.SIGKILL)
    wait_for(has_epochs(tmp_path, 8), process)
    process.kill()
    process.communicate()
    with open(tmp_path / JOURNAL, "ab") as file:
        file.write(b'{"kind": "epoch", "ru')  # as a crash in the middle leaves it
    process = begun(tmp_path)
    output, errors = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == 0, errors
    assert_nothing_was_trained_twice(tmp_path)
    assert outcome(tmp_path) == undisturbed
    # The same again has nothing to do, and starts nobody.
    before = (tmp_path / JOURNAL).read_bytes()
    search(tmp_path, workers=1, tell=lambda line: pytest.fail(line))
    assert (tmp_path / JOURNAL).read_bytes() == before


@contextmanager
def dask(*arguments):
    """A process of Dask's."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started_scheduler():
    """A scheduler without workers, and its address."""
    port = free_port()
    quiet = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
    with dask("scheduler", *quiet) as scheduler:
        yield scheduler, f"tcp://127.0.0.1:{port}"


def started_worker(address, folder):
    return dask(
        "worker", address, "--no-nanny", "--nthreads", 1, "--no-dashboard",
        "--local-directory", folder,
    )  # fmt: skip


@contextmanager
def started_cluster(folder):
    """A scheduler, its address, and two workers."""
    with (
        started_scheduler() as (scheduler, address),
        started_worker(address, folder) as a,
        started_worker(address, folder) as b,
    ):
        yield scheduler, address, (a, b)


def test_a_killed_dask_worker_and_a_killed_scheduler_lose_nothing(
    tmp_path, undisturbed
):
    directory = tmp_path / "search"
    with started_cluster(tmp_path) as (scheduler, address, workers):
        process = begun(directory, address)
        wait_for(has_epochs(directory, 3), process)
        workers[0].kill()
        wait_for(has_epochs(directory, 8), process)
        scheduler.kill()
        output, errors = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == 1
    assert errors == (
        f"the Dask scheduler at {address} is gone; all finished epochs are in "
        f"{directory}: repeat the search to go on\n"
    )
    assert not has_epochs(directory, EPOCHS)()
    with started_cluster(tmp_path) as (_, address, _):
        process = begun(directory, address)
        output, errors = process.communicate(timeout=MOST_SECONDS)
    assert (process.returncode, errors) == (0, "")
    assert_nothing_was_trained_twice(directory)
    assert outcome(directory) == undisturbed


def test_a_cluster_without_workers_is_waited_for_aloud(tmp_path):
    """When it is begun without one, and when the last one is gone."""
    lines, workers = [], []
    step = Step(
        archive.to_bytes(*network(1).snapshot()), None, Recipe(epochs=1), is_last=True
    )
    with ExitStack() as stack, started_scheduler() as (_, address):

        def start(line):
            lines.append(line)
            workers.append(stack.enter_context(started_worker(address, tmp_path)))

        with cluster(Images(stripes(20), 0.25, 0), address, start) as crew:
            workers[0].kill()
            workers[0].wait()
            crew.submit("net", step, 0)
            outcome = crew.next()
            while isinstance(outcome[1], Lost):  # the images went with the worker
                crew.submit("net", step, 0)
                outcome = crew.next()
    name, progress = outcome
    assert (name, progress.network is None) == ("net", False)
    assert lines == [f"waiting for workers of {address}: none is connected"] * 2


def test_a_scheduler_that_does_not_answer_is_said_in_one_line(tmp_path, monkeypatch):
    from kanji_np.errors import ToolError
    from kanji_np.search import workers

    monkeypatch.setattr(workers, "PATIENCE", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ToolError, match=f"no Dask scheduler answers at {address}"):
        search(tmp_path, scheduler=address, tell=lambda line: None)
