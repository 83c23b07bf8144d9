"""Training: settings, the run, its files, what it says, and the loop around them."""

from kanji_np.train.callbacks import Callback, TensorBoard
from kanji_np.train.checkpoint import check_run
from kanji_np.train.history import EpochRecord, History, read_history
from kanji_np.train.loop import fit
from kanji_np.train.run import Loss

__all__ = [
    "Callback",
    "EpochRecord",
    "History",
    "Loss",
    "TensorBoard",
    "check_run",
    "fit",
    "read_history",
]
