"""The pages of the documentation, and the blocks of commands and code in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)

FENCE = re.compile(
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```\n"
    r"(?:\n*<!-- not run: (?P<reason>.+?) -->)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why it is not run, if it is not."""

    language: str
    text: str
    line: int
    reason: str | None


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["text"],
            text[: found.start()].count("\n") + 2,
            found["reason"],
        )
        for found in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def lines_of(block: Block) -> list[str]:
    """The command lines of a block; those that go on in the next are one."""
    whole = re.sub(r"\\\n\s*", "", block.text)
    return [line for line in whole.splitlines() if line and not line.startswith("#")]
