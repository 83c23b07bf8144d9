"""Runs that nobody disturbed, and runs that were stopped."""

import pytest

from kanji_np.loops.threads import limited
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL
from kanji_np.train.run import Run

from .runs import Stopped, trained


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Quicker on networks this small; that it changes no byte is tested too."""
    with limited(1):
        yield


@pytest.fixture(scope="package")
def model_bytes(tmp_path_factory):
    """model.npz of a run that nobody disturbed."""
    directory = tmp_path_factory.mktemp("undisturbed")
    trained(directory=directory)
    return (directory / MODEL).read_bytes()


@pytest.fixture
def stop_before(monkeypatch):
    """Trainings end with an exception where a given epoch would begin; 0: never."""

    train = Run.one_epoch

    def stop_before(epoch):
        def one_epoch(run, report):
            if run.epoch == epoch - 1:
                raise Stopped
            return train(run, report)

        monkeypatch.setattr(Run, "one_epoch", one_epoch)

    return stop_before


@pytest.fixture
def run_directory(tmp_path, stop_before):
    """A run of two epochs of three, as if it had been stopped there."""
    stop_before(3)
    with pytest.raises(Stopped):
        trained(directory=tmp_path)
    stop_before(0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [CHECKPOINT, HISTORY]
    return tmp_path
