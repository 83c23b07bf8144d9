"""Files sorted into one folder a class, of training and test set or of one set."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from kanji_np.checks import listed
from kanji_np.data.labels import check_names
from kanji_np.data.notes import note
from kanji_np.errors import DataError

PICTURES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".ppm", ".pgm", ".pbm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
SOUNDS = (".wav", ".wave")
TABLES, TEXTS = (".csv", ".tsv"), (".txt",)
#: Kinds of files, and what messages call them. Of several kinds in one directory the
#: first is read, and others are notes beside it; only pictures and sounds exclude each
#: other.
KINDS = {
    "images": PICTURES,
    "WAV files": SOUNDS,
    "CSV files": TABLES,
    "text files": TEXTS,
}
#: Data by their suffix that nothing here reads: a note counts them.
UNREAD = (
    ".heic", ".heif", ".avif", ".svg", ".psd", ".raw", ".dng", ".cr2", ".nef", ".mp3",
    ".flac", ".ogg", ".m4a", ".aac", ".aif", ".aiff", ".mp4", ".mov", ".avi", ".npy",
    ".npz", ".parquet", ".xls", ".xlsx", ".json", ".zip",
)  # fmt: skip
#: Folders that systems and programs leave behind, beside those that begin with a dot.
LITTER = ("__MACOSX", "@eaDir", "__pycache__", "$RECYCLE.BIN")


@dataclass(frozen=True)
class Listing:
    """The files of one set.

    Parameters
    ----------
    folder : path
    files : list of path
        In the order of classes, and of their names in each.
    labels : list of int
    classes : tuple of str
    """

    folder: Path
    files: list[Path]
    labels: list[int]
    classes: tuple[str, ...]


def listings(root: Path, kind: str) -> list[Listing]:
    """The files of one kind in `root/{train,test}/CLASS` or in `root/CLASS`.

    Parameters
    ----------
    root : path
    kind : str
        Of KINDS.

    Returns
    -------
    list of Listing
        Training and test set, or one. Both have the classes of the training set.

    Raises
    ------
    DataError
        There is no such directory, no class folder, no file, or a class is not there to
        train on.

    Warns
    -----
    DataWarning
        A class has no files, or there are files that are not read.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such directory")
    folders = set_folders(root)
    found = [_class_folders(folder, kind) for folder in folders]
    files = [
        {name: _files(entry, kind) for name, entry in classes.items()}
        for classes in found
    ]
    empty = [
        str(classes[name])
        for classes, by_name in zip(found, files, strict=True)
        for name in classes
        if not by_name[name]
    ]
    names = tuple(name for name in found[0] if files[0][name])
    if not names:
        raise DataError(f"{empty[0]}: holds no {kind}{_instead(Path(empty[0]))}")
    for name in found[-1]:
        if name not in names and files[-1][name]:
            raise DataError(f"{found[-1][name]}: no such class in {folders[0]}")
    if not any(files[-1].values()):
        raise DataError(f"{folders[-1]}: holds no {kind}")
    if empty:
        note(f"{root}: no {kind} in {listed(empty)}: left out")
    _note_unread(root, [entry for classes in found for entry in classes.values()])
    return [
        Listing(
            folder,
            [file for name in names for file in by_name.get(name, ())],
            [k for k, name in enumerate(names) for _ in by_name.get(name, ())],
            names,
        )
        for folder, by_name in zip(folders, files, strict=True)
    ]


def kind_of(root: Path) -> str:
    """What kind of files the class folders of a directory hold, "images" if none.

    Raises
    ------
    DataError
        They hold both pictures and sounds.
    """
    first: dict[str, Path] = {}
    for folder in set_folders(root):
        for entry in _folders(folder):
            for file in _entries(entry):
                for kind, suffixes in KINDS.items():
                    if file.suffix.lower() in suffixes:
                        first.setdefault(kind, file)
    if "images" in first and "WAV files" in first:
        raise DataError(
            f"{root}: holds images ({first['images'].relative_to(root)}) and WAV files "
            f"({first['WAV files'].relative_to(root)}); keep those of one kind"
        )
    return next((kind for kind in KINDS if kind in first), "images")


def set_folders(root: Path) -> list[Path]:
    """`root/train` and `root/test`, or `root` alone.

    Raises
    ------
    DataError
        One of train and test is there alone, with folders of classes.
    """
    if (root / "train").is_dir() and (root / "test").is_dir():
        return [root / "train", root / "test"]
    for there, missing, others in (
        ("train", "test", ("val", "valid", "validation")),
        ("test", "train", ()),
    ):
        folder = root / there
        if folder.is_dir() and _are_sets(folder):
            instead = [name for name in others if (root / name).is_dir()]
            rename = f": rename {instead[0]} to be scored on it" if instead else ""
            raise DataError(
                f"{root}: holds {there} with folders of classes, but no {missing} "
                f"beside it{rename}"
            )
    return [root]


def _are_sets(folder: Path) -> bool:
    """Whether a folder is a set of classes, and not a class itself."""
    read = {suffix for suffixes in KINDS.values() for suffix in suffixes}
    has_files = any(entry.suffix.lower() in read for entry in _entries(folder))
    return not has_files and bool(_folders(folder))


def _entries(folder: Path) -> list[Path]:
    """What is in a folder and no program hides, in the order of names."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name not in LITTER
    )


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _class_folders(folder: Path, kind: str) -> dict[str, Path]:
    """The folders of classes by their names, in the order of these.

    Letters with accents may be written in two ways; systems differ in which they use.
    """
    found: dict[str, Path] = {}
    for entry in _folders(folder):
        check_names([entry.name], str(folder))
        name = unicodedata.normalize("NFC", entry.name)
        if name in found:
            raise DataError(f"{entry}: there are two classes of this name")
        found[name] = entry
    if not found:
        flat = any(_suffixed(_entries(folder), kind))
        raise DataError(
            f"{folder}: holds {kind}, but no class folders; put those of each class "
            "into a folder of its own"
            if flat
            else f"{folder}: holds no class folders"
        )
    return dict(sorted(found.items()))


def _files(folder: Path, kind: str) -> list[Path]:
    return list(_suffixed(_entries(folder), kind))


def _suffixed(entries: Collection[Path], kind: str) -> Iterator[Path]:
    return (entry for entry in entries if entry.suffix.lower() in KINDS[kind])


def _instead(folder: Path) -> str:
    """What a folder holds instead of files that are read."""
    inside = _folders(folder)
    if inside:
        return f", but the folder {inside[0].name}; classes have no folders in them"
    return _counted([entry for entry in _entries(folder) if entry.suffix])


def _counted(files: list[Path]) -> str:
    counts = Counter(file.suffix.lower() for file in files)
    text = listed(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    return f", but {text}, which is not read" if counts else ""


def _note_unread(root: Path, folders: list[Path]) -> None:
    """Say what is passed over that may be meant to be read."""
    unread = [
        file
        for folder in folders
        for file in _entries(folder)
        if file.suffix.lower() in UNREAD or file.is_dir()
    ]
    if unread:
        inside = [file for file in unread if file.is_dir()]
        counts = Counter(file.suffix.lower() for file in unread if file not in inside)
        texts = [f"{count} {suffix}" for suffix, count in sorted(counts.items())]
        texts += [f"folders in classes ({inside[0].name})"] if inside else []
        note(f"{root}: passed over, as they are not read: {listed(texts)}")
