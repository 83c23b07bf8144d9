"""What was verified, where and when: a file that `kanji-np verify --record` adds to.

A record says when it was made. It lies outside of the firmware, whose files stay as
they were exported.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from kanji_np import outputs, schema
from kanji_np.deploy.verify import HOST, Verification
from kanji_np.errors import FileFormatError, OptionError
from kanji_np.graph import Graph

KIND = "kanji-np verifications"
FORMAT = 1

#: The name of the file where a report looks for it, beside the model.
FILE = "verification.json"


@dataclass(frozen=True)
class VerificationRecord:
    """One comparison of exported C with its model.

    Parameters
    ----------
    when : str
        Date and time it ended, in UTC: "2026-03-01T12:00:00Z".
    digest : str
        Of the model, as `Graph.digest` gives it.
    target : str
    on : str
        "host", or the emulated core.
    library : str
        Whose kernels were linked.
    compiler : str
        Name and version; empty on the host.
    images : int
        How many were compared.
    bytes, differing_bytes : int
        Of the network's outputs.
    first : str
        The first difference in words; empty if there is none.
    instructions, flash_bytes, static_bytes, stack_bytes : int or None
        Measured on the emulated core; None on the host.
    """

    when: str
    digest: str
    target: str
    on: str
    library: str
    compiler: str
    images: int
    bytes: int
    differing_bytes: int
    first: str
    instructions: int | None = None
    flash_bytes: int | None = None
    static_bytes: int | None = None
    stack_bytes: int | None = None


_MEASURED = schema.nullable(schema.integer(0, None))

_FILE = schema.record({
    "kind": schema.one_of((KIND,)),
    "format": schema.version(FORMAT),
    "records": schema.array(schema.record({
        **dict.fromkeys(("when", "digest", "target", "on", "library"), schema.text),
        **dict.fromkeys(("compiler", "first"), schema.string),
        **dict.fromkeys(
            ("images", "bytes", "differing_bytes"), schema.integer(0, None)
        ),
        **dict.fromkeys(
            ("instructions", "flash_bytes", "static_bytes", "stack_bytes"), _MEASURED
        ),
    })),
})  # fmt: skip


def record_of(
    found: Verification, graph: Graph, library: str, when: datetime
) -> VerificationRecord:
    """The record of a comparison that ended at a time."""
    device = found.device
    return VerificationRecord(
        when=when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        digest=graph.digest(),
        target=str(graph.target),
        on=device.core if device else HOST,
        library=library,
        compiler=device.compiler if device else "",
        images=found.images,
        bytes=found.bytes,
        differing_bytes=found.differing_bytes,
        first="" if found.first is None else str(found.first),
        instructions=device.max_instructions if device else None,
        flash_bytes=device.flash_bytes if device else None,
        static_bytes=device.static_bytes if device else None,
        stack_bytes=device.stack_bytes if device else None,
    )


def read_records(path: str | Path) -> tuple[VerificationRecord, ...]:
    """The records of a file, in the order they were added; FileFormatError if it is
    something else."""
    facts = schema.read(path, _FILE, "not a file of `kanji-np verify --record`")
    return tuple(VerificationRecord(**each) for each in facts["records"])


def check_records(path: str | Path) -> None:
    """Before anything slow: OptionError or OSError unless records may be added."""
    outputs.check(path, _is_ours, "of `kanji-np verify --record`", "name another file")
    outputs.check_directory(Path(path).parent)


def _is_ours(path: Path) -> bool:
    try:
        read_records(path)
    except (FileFormatError, OptionError):
        return False
    return True


def add_record(path: str | Path, record: VerificationRecord) -> None:
    """Add a record to a file; it takes the place of an older one of the same model,
    place and library."""
    check_records(path)
    earlier = read_records(path) if Path(path).exists() else ()
    kind = (record.digest, record.on, record.library)
    kept = [r for r in earlier if (r.digest, r.on, r.library) != kind]
    facts = {
        "kind": KIND,
        "format": FORMAT,
        "records": [asdict(each) for each in (*kept, record)],
    }
    outputs.write(path, json.dumps(facts, indent=2).encode() + b"\n")
