"""What a trained network reached and how it was made, kept in JSON files.

`kanji-np train --result FILE` writes one, `kanji-np verify --result FILE` adds what it
found, `kanji-np results DIRECTORY` makes a table of them. There is no date in a file:
the same run on the same machine differs in its seconds alone.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kanji_np import __version__, checks, outputs, schema
from kanji_np.choices import PRECISIONS
from kanji_np.errors import FileFormatError, OptionError
from kanji_np.markdown import table_lines

PACKAGE = Path(__file__).parent

#: Of the files. 1 had the options in the command alone, as text.
FORMAT = 2

Value = bool | int | float | str

#: Options of `kanji-np train` and `import` that have a column of their own, or change
#: no weight.
SAID_ELSEWHERE = frozenset({
    "data", "download", "network", "channels", "batch-norm", "scheme", "weight-bits",
    "target", "core", "rounding", "library-version", "start", "ranges", "epochs",
    "precision", "fp32-epochs", "seed", "name", "directory", "resume", "result",
    "output", "plot", "board", "library", "budget", "tensorboard",
})  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """One comparison of exported C with the golden model.

    Parameters
    ----------
    on : str
        "host", or the emulated core.
    library : str
        Whose kernels were linked.
    images, differing_bytes : int
    """

    on: str
    library: str
    images: int
    differing_bytes: int


@dataclass(frozen=True)
class Result:
    """One training run.

    Parameters
    ----------
    command : str
        What was typed, for readers; absolute paths by their last part.
    options : mapping
        The options of `kanji-np train` that were given, in the order of its help, by
        their names without dashes in front: True or False of a flag, else a number or
        a text.
    source : str
        The commit of this package, or its version where it is no checkout.
    cpu : str
        The processor's model.
    threads : int
    data, network, target, scheme, ranges : str
    weight_bits : int
    precision : str
        "int8" or "fp32", as in `train.Recipe`; so are the numbers of epochs.
    fp32_epochs, epochs, seed : int
    is_begun : bool
        Whether it started with weights that had been trained before.
    seconds : float
        Of training, with the scoring of each epoch [s].
    metric : str
        "accuracy", or "AUC" of an autoencoder's anomaly scores.
    int8_score : float
        On the test images, 0..1.
    fp32_score : float or None
        If the network was trained in fp32 alone.
    digest : str
        Of the integer program, as `Graph.digest` gives it.
    proofs : tuple of Proof
    """

    command: str
    options: Mapping[str, Value]
    source: str
    cpu: str
    threads: int
    data: str
    network: str
    target: str
    scheme: str
    ranges: str
    weight_bits: int
    precision: str
    fp32_epochs: int
    is_begun: bool
    epochs: int
    seed: int
    seconds: float
    metric: str
    int8_score: float
    fp32_score: float | None
    digest: str
    proofs: tuple[Proof, ...] = ()

    def with_proof(self, proof: Proof) -> Result:
        """The result with one more proof, in place of an older one of its kind."""
        kind = (proof.on, proof.library)
        others = tuple(p for p in self.proofs if (p.on, p.library) != kind)
        return replace(self, proofs=(*others, proof))


def _value(place: str, value: Any) -> Value:
    """What an option is given: a flag, a number or a text."""
    if isinstance(value, str):
        return schema.text(place, value)
    if isinstance(value, bool):
        return value
    checks.number(place, value)
    return value


_SCORE = schema.number(0, 1)

_PROOF = schema.record({
    "on": schema.text,
    "library": schema.text,
    "images": schema.integer(),
    "differing_bytes": schema.integer(),
})  # fmt: skip

_RESULT = schema.record(
    {
        "format": schema.version(FORMAT),
        "command": schema.string,
        "options": schema.mapping(_value),
        **dict.fromkeys(
            ("source", "cpu", "data", "network", "target", "scheme", "ranges"),
            schema.text,
        ),
        "threads": schema.integer(1),
        "weight_bits": schema.integer(1, 8),
        "precision": schema.one_of(PRECISIONS),
        "fp32_epochs": schema.integer(),
        "is_begun": schema.flag,
        "epochs": schema.integer(),
        "seed": schema.integer(0, None),
        "seconds": schema.number(0, 1e12),
        "metric": schema.one_of(("accuracy", "AUC")),
        "int8_score": _SCORE,
        "fp32_score": schema.nullable(_SCORE),
        "digest": schema.text,
        "proofs": schema.array(_PROOF),
    }
)


def write_result(path: str | Path, result: Result) -> None:
    """Write a result as JSON, one line per fact."""
    facts = {"format": FORMAT, **asdict(result)}
    outputs.write(path, json.dumps(facts, indent=2).encode() + b"\n")


def check_output(path: str | Path) -> None:
    """OptionError or OSError unless a result may be written to a path."""
    outputs.check(path, _is_result, "a result of `kanji-np train`", "name another file")
    outputs.check_directory(Path(path).parent)


def _is_result(path: Path) -> bool:
    """Whether a file is a result, of this format or the one before."""
    try:
        facts = schema.read(path, schema.mapping(schema.anything), "not a result")
        return _is_former(facts) or bool(read_result(path))
    except FileFormatError:
        return False


def _is_former(facts: Mapping[str, Any]) -> bool:
    return "format" not in facts and {"command", "digest"} <= facts.keys()


def _facts(place: str, value: Any) -> dict[str, Any]:
    """What a file holds, the number of its format left out."""
    if _is_former(schema.mapping(schema.anything)(place, value)):
        raise OptionError(
            f"its format is 1, which has no `options`, and {FORMAT} is read here: "
            "repeat its `command`"
        )
    facts: dict[str, Any] = _RESULT(place, value)
    del facts["format"]
    return facts


def read_result(path: str | Path) -> Result:
    """A result from the file `write_result` made.

    Raises
    ------
    FileFormatError
        It is something else.
    """
    facts = schema.read(path, _facts, "not a file of `kanji-np train --result`")
    proofs = tuple(Proof(**proof) for proof in facts["proofs"])
    return Result(**facts | {"proofs": proofs})


def read_results(directory: str | Path) -> list[Result]:
    """The results of every `.json` file in a directory, by the files' names.

    Raises
    ------
    OptionError
        There are none, or no directory.
    FileFormatError
        One is something else.
    """
    if not Path(directory).is_dir():
        raise OptionError(f"{directory}: no such directory")
    paths = sorted(Path(directory).glob("*.json"))
    if not paths:
        raise OptionError(f"{directory} holds no .json files of results")
    return [read_result(path) for path in paths]


def results_table(results: Sequence[Result]) -> str:
    """A Markdown table; runs that differ in their seeds alone share a line.

    Networks stand in the order of data and name. Of several seeds a figure is the mean,
    with the lowest and the highest behind it. What all lines agree in stands below;
    so do the scores of networks trained with several schemes and trackers, as grids.
    """
    header = (
        "network", "data", "target", "scheme", "ranges", "weights", "trained in",
        "epochs", "other options", "seeds", "int8", "fp32", "differing bytes",
        "minutes",
    )  # fmt: skip
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for r in results:
        key = (
            r.data, r.network, r.target, r.precision, r.scheme, r.ranges,
            -r.weight_bits, r.is_begun, r.fp32_epochs, r.epochs,
            _other_options(r.options),
        )  # fmt: skip
        groups.setdefault(key, []).append(r)
    rows = []
    for key in sorted(groups):
        runs = groups[key]
        r = runs[0]
        fp32 = [run.fp32_score for run in runs if run.fp32_score is not None]
        as_text = _score_text(r)
        rows.append((
            r.network, r.data, r.target, r.scheme, r.ranges, f"{r.weight_bits} bits",
            _precision(r), str(r.epochs), _other_options(r.options), str(len(runs)),
            _spread([run.int8_score for run in runs], as_text), _spread(fp32, as_text),
            _proofs(runs),
            _spread([run.seconds / 60 for run in runs], "{:.0f}".format),
        ))  # fmt: skip
    shown, agreed = [], []
    for name, *cells in zip(header, *rows, strict=True):
        if len(cells) == 1 or len(set(cells)) > 1:
            shown.append((name, *cells))
        elif cells[0]:
            agreed.append(f"{name} {cells[0]}")
    parts = [_markdown(*zip(*shown, strict=True))]
    if agreed:
        parts.append(f"In every line: {'; '.join(agreed)}.")
    parts += _grids([groups[key] for key in sorted(groups)])
    machines = {f"{r.cpu}, {_count(r.threads, 'thread')}" for r in results}
    parts.append(f"Trained on: {'; '.join(sorted(machines))}.")
    return "\n\n".join(parts)


def _grids(groups: Sequence[Sequence[Result]]) -> list[str]:
    """Scores by scheme and tracker, of each network trained with several of both."""
    kinds: dict[str, dict[str, dict[str, str]]] = {}
    for runs in groups:
        r = runs[0]
        kind = (
            f"{r.network}, {r.data}, {r.target}, {_precision(r)}, by scheme and ranges:"
        )
        row = f"{r.scheme}, {r.weight_bits} bits, {_count(r.epochs, 'epoch')}"
        row = f"{row} {_other_options(r.options)}".strip()
        scores = _spread([run.int8_score for run in runs], _score_text(r))
        kinds.setdefault(kind, {}).setdefault(row, {})[r.ranges] = scores
    parts = []
    for kind, rows in kinds.items():
        ranges = sorted({name for row in rows.values() for name in row})
        if len(rows) > 1 and len(ranges) > 1:
            lines = [
                (name, *(row.get(column, "") for column in ranges))
                for name, row in rows.items()
            ]
            parts += [kind, _markdown(("", *ranges), *lines)]
    return parts


def _markdown(header: Sequence[str], *rows: Sequence[str]) -> str:
    return "\n".join(table_lines(header, rows, left_columns=len(header)))


def _score_text(result: Result) -> Callable[[float], str]:
    return _percent if result.metric == "accuracy" else "{:.4f} AUC".format


def _other_options(options: Mapping[str, Value]) -> str:
    """The options that no column of the table says, as they are typed."""
    return " ".join(
        _typed(name, value)
        for name, value in options.items()
        if name not in SAID_ELSEWHERE
    )


def _typed(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {str(value).removesuffix('.0')}"


def _precision(result: Result) -> str:
    text = result.precision
    if result.precision == "int8" and result.fp32_epochs:
        text = f"fp32 ({result.fp32_epochs}), then int8"
    return f"{text}, fine-tuned" if result.is_begun else text


def _percent(score: float) -> str:
    return f"{100 * score:.2f} %"


def _spread(values: Sequence[float], text: Callable[[float], str]) -> str:
    """The mean, and of several values the lowest and the highest."""
    if not values:
        return ""
    mean = text(statistics.fmean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({text(min(values))} to {text(max(values))})"


def _proofs(runs: Sequence[Result]) -> str:
    """The proofs of all runs, added up for each place and library."""
    sums: dict[tuple[str, str], list[int]] = {}
    for proof in (proof for run in runs for proof in run.proofs):
        total = sums.setdefault((proof.on, proof.library), [0, 0])
        total[0] += proof.differing_bytes
        total[1] += proof.images
    return "; ".join(
        f"{place} ({library}): {n_bytes:,} in {_count(images, 'image')}"
        for (place, library), (n_bytes, images) in sorted(sums.items())
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def source() -> str:
    """The commit this package is of, if it is in a checkout, else its version.

    "-dirty" is appended to a commit if the package has been changed since.
    """
    if (PACKAGE.parent / ".git").exists() and shutil.which("git"):
        commit = _git("describe", "--always", "--abbrev=12")
        changed = _git("diff", "--quiet", "HEAD", "--", PACKAGE.name)
        if commit.returncode == 0:
            return commit.stdout.strip() + ("-dirty" if changed.returncode else "")
    return f"kanji-np {__version__}"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def cpu_model() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def portable(argument: str) -> str:
    """An argument of a command as it may be shown elsewhere: absolute paths in it,
    also behind ":" or "=", by their last part."""
    return re.sub(r"(^|[:=])/(?:[^/]*/)*(?=[^/])", r"\1", argument)
