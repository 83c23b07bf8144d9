"""Who trains the networks of a search: processes of this machine, or a Dask cluster.

Both take steps and tell of each how it ended. A worker that ends in the middle of a
step is lost, and the search hands the step in again; it has the checkpoint.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import heapq
import logging
import multiprocessing
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from kanji_np import __version__
from kanji_np.checks import integer
from kanji_np.errors import ToolError
from kanji_np.loops.threads import MOST_THREADS
from kanji_np.search.training import Failure, Images, Progress, Step, advance

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from distributed import Client, Future

MOST_PROCESSES = 256
#: Processes by default: a core each, but each holds the images too.
USUAL_PROCESSES = min(MOST_THREADS, 8)
#: Seconds until a scheduler must have answered.
PATIENCE = 10.0
#: Seconds between two looks at the scheduler.
LOOK = 0.5

#: What a call raises that is not answered in time; before Python 3.11 they differ.
LATE = (TimeoutError, asyncio.TimeoutError)
#: What a call raises if the other side is gone, or what it needs is gone with it.
GONE = (
    OSError,
    RuntimeError,
    concurrent.futures.CancelledError,
    asyncio.CancelledError,
    *LATE,
)


@dataclass(frozen=True)
class Lost:
    """The worker that had a step ended before it was done."""


Outcome = Progress | Failure | Lost


class Workers(Protocol):
    """Whoever trains."""

    def submit(self, name: str, step: Step, place: int) -> None:
        """Hand in a step.

        Parameters
        ----------
        name : str
            Of the network, of which no other step is under way.
        step : Step
        place : int
            Of several steps the one with the lowest place is begun first.
        """

    def next(self) -> tuple[str, Outcome]:
        """Wait for a step to end: the name of its network, and how it ended."""


@contextmanager
def processes(images: Images, count: int) -> Iterator[Workers]:
    """So many processes of this machine, which share its cores."""
    workers = Processes(images, integer("workers", count, 1, MOST_PROCESSES))
    try:
        yield workers
    finally:
        workers.close()


@dataclass
class _Slot:
    """A place for a process; there is none in it until there is work."""

    process: SpawnProcess | None = None
    pipe: Connection | None = None
    name: str | None = None


class Processes:
    """Processes of this machine. Those that end are replaced.

    Each is spawned, not forked: threads of compiled loops do not survive a fork.
    """

    def __init__(self, images: Images, count: int) -> None:
        self.images = images
        self.slots = [_Slot() for _ in range(count)]
        self.waiting: list[tuple[int, str, Step]] = []

    def submit(self, name: str, step: Step, place: int) -> None:
        """See `Workers.submit`."""
        heapq.heappush(self.waiting, (place, name, step))

    def next(self) -> tuple[str, Outcome]:
        """See `Workers.next`."""
        for slot in self.slots:
            if slot.name is None and self.waiting:
                self._begin(slot, heapq.heappop(self.waiting))
        busy = {slot.pipe: slot for slot in self.slots if slot.name is not None}
        pipe = wait([pipe for pipe in busy if pipe is not None])[0]
        slot = busy[pipe]  # type: ignore[index]
        name, slot.name = slot.name, None
        assert name is not None
        try:
            outcome = slot.pipe.recv()  # type: ignore[union-attr]
        except (EOFError, OSError):
            self._end(slot)
            return name, Lost()
        if isinstance(outcome, _Trouble):
            raise outcome.error
        return name, outcome

    def _begin(self, slot: _Slot, job: tuple[int, str, Step]) -> None:
        """Give a step to the process of a slot."""
        _, slot.name, step = job
        busy = sum(other.name is not None for other in self.slots)
        jobs = min(len(self.slots), busy + len(self.waiting))
        try:
            if slot.process is None or not slot.process.is_alive():
                self._start(slot)
            assert slot.pipe is not None
            slot.pipe.send((step, max(1, MOST_THREADS // jobs)))
        except OSError:  # it has just ended; `next` finds so
            pass

    def _start(self, slot: _Slot) -> None:
        self._end(slot)
        context = multiprocessing.get_context("spawn")
        slot.pipe, other = context.Pipe()
        slot.process = context.Process(target=_serve, args=(other,), daemon=True)
        slot.process.start()
        other.close()  # so that the pipe ends with the process
        slot.pipe.send(self.images)

    def _end(self, slot: _Slot) -> None:
        if slot.process is not None:
            slot.process.kill()
            slot.process.join()
            slot.process.close()
        if slot.pipe is not None:
            slot.pipe.close()
        slot.process = slot.pipe = None

    def close(self) -> None:
        """End all processes, whatever they do."""
        for slot in self.slots:
            self._end(slot)


@dataclass(frozen=True)
class _Trouble:
    """An error that ends the search."""

    error: Exception


def _serve(pipe: Connection) -> None:
    """What a process does: steps, until the one who sends them is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search
    with suppress(EOFError, OSError):
        images = pipe.recv()
        while True:
            step, threads = pipe.recv()
            try:
                outcome: object = advance(step, images, threads)
            except Exception as error:
                outcome = _Trouble(error)
            pipe.send(outcome)


@contextmanager
def cluster(
    images: Images, address: str, tell: Callable[[str], None]
) -> Iterator[Workers]:
    """The workers of a Dask scheduler, which may come and go.

    Parameters
    ----------
    images : Images
    address : str
        Of the scheduler, such as tcp://10.0.0.1:8786.
    tell : (str) -> None
        Is told a line when no worker is connected and all wait for one.

    Raises
    ------
    ToolError
        Dask is not installed, the scheduler does not answer, or a worker has another
        version of this package, or none.
    """
    try:
        import distributed
    except ImportError:
        raise ToolError(
            "a search on a cluster needs Dask: pip install 'kanji-np[cluster]'"
        ) from None
    with _quiet():
        try:
            client = distributed.Client(
                address, timeout=PATIENCE, set_as_default=False, name="kanji-np"
            )
        except (OSError, ValueError, *LATE) as error:
            reason = " ".join(str(error).split())
            raise ToolError(
                f"no Dask scheduler answers at {address} ({reason}): start one with "
                "`dask scheduler`"
            ) from None
        try:
            yield Cluster(images, address, client, tell)
        finally:
            with suppress(OSError, *LATE):
                client.close(timeout=1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Inside, Dask writes no lines of its own: the search tells of lost workers.

    It warns of each step of more than 10 MB, too.
    """
    known = [*logging.root.manager.loggerDict]
    loggers = [
        logging.getLogger(name)
        for name in known
        if name.partition(".")[0] == "distributed"
    ]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            yield
    finally:
        for logger, was_disabled in zip(loggers, before, strict=True):
            logger.disabled = was_disabled


@dataclass
class Cluster:
    """The workers of a Dask cluster, which may come and go."""

    images: Images
    address: str
    client: Client
    tell: Callable[[str], None]
    is_waiting: bool = False
    held: Future | None = None
    done: SimpleQueue[tuple[str, Future]] = field(default_factory=SimpleQueue)
    under_way: dict[str, Future] = field(default_factory=dict)
    steps: int = 0

    def __post_init__(self) -> None:
        self._wait_for_workers()
        try:
            versions = self.client.run(version)
        except Exception as error:
            raise ToolError(
                f"a Dask worker at {self.address} cannot run this package: "
                f"{' '.join(str(error).split())}"
            ) from None
        for worker, theirs in versions.items():
            if theirs != __version__:
                raise ToolError(
                    f"the Dask worker {worker} has kanji-np {theirs}, not {__version__}"
                )

    def submit(self, name: str, step: Step, place: int) -> None:
        """See `Workers.submit`."""
        try:
            self._submit(name, step, place)
        except GONE as error:
            raise self._gone() from error

    def _submit(self, name: str, step: Step, place: int) -> None:
        while self.held is None or self.held.status != "finished":
            self._wait_for_workers()
            with suppress(*LATE):  # it was lost again
                self.held = self.client.scatter(self.images, broadcast=True, hash=False)
        self.steps += 1
        future = self.client.submit(
            advance_beside, step, self.held, self._slots(), pure=False, priority=-place,
            key=f"{self.client.id}-{name}-{self.steps}",
        )  # fmt: skip
        self.under_way[name] = future
        future.add_done_callback(lambda done: self.done.put((name, done)))

    def next(self) -> tuple[str, Outcome]:
        """See `Workers.next`.

        Raises
        ------
        ToolError
            The scheduler is gone.
        """
        while True:
            try:
                name, future = self.done.get(timeout=LOOK)
            except Empty:
                self._has_workers()
                continue
            if self.under_way.get(name) is future:
                del self.under_way[name]
                return name, self._outcome(future)

    def _outcome(self, future: Future) -> Outcome:
        """What came of a step."""
        from distributed import KilledWorker

        try:
            outcome: Outcome = future.result(timeout=PATIENCE)
            return outcome
        except KilledWorker:  # the scheduler has tried others
            return Failure("each worker that trained it ended")
        except (
            OSError,
            concurrent.futures.CancelledError,
            *LATE,
        ):  # with the scheduler, or with the images
            self._connected()
            return Lost()
        finally:
            future.release()

    def _wait_for_workers(self) -> None:
        """Wait until there is one."""
        while not self._has_workers():
            time.sleep(LOOK)

    def _has_workers(self) -> bool:
        """Whether a worker is connected; the first time that none is, a line says so.

        ToolError if the scheduler is gone.
        """
        has_workers = bool(self._connected())
        if not has_workers and not self.is_waiting:
            self.tell(f"waiting for workers of {self.address}: none is connected")
        self.is_waiting = not has_workers
        return has_workers

    def _connected(self) -> dict[str, int]:
        """As `_slots`; ToolError if the scheduler is gone."""
        try:
            if self.client.status == "running":
                return self._slots()
        except GONE as error:
            raise self._gone() from error
        raise self._gone()

    def _gone(self) -> ToolError:
        return ToolError(f"the Dask scheduler at {self.address} is gone")

    def _slots(self) -> dict[str, int]:
        """How many steps at once each machine of the cluster is given."""
        counts: Counter[str] = Counter()
        for worker, threads in self.client.nthreads().items():
            counts[_host(worker)] += threads
        return dict(counts)


def version() -> str:
    """Of the package that a worker has."""
    return __version__


def _host(address: str) -> str:
    """The machine of an address such as tcp://10.0.0.1:8786."""
    return address.rpartition(":")[0]


def advance_beside(
    step: Step, images: Images, slots: dict[str, int]
) -> Progress | Failure:
    """`advance` on a Dask worker, which shares the cores of its machine with others."""
    from distributed import get_worker

    beside = slots.get(_host(get_worker().address), 1)
    return advance(step, images, max(1, MOST_THREADS // beside))
