"""Documents that name things name what exists."""

import pytest

from schemas.errors import Reason
from tests.meta.tree import ROOT
from topics.registry import topics


def page(name):
    return (ROOT / name).read_text("utf-8")


def test_every_topic_has_its_row():
    text = page("docs/topics.md")
    for topic in topics().values():
        if topic.schema == "dead-letter":
            continue
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{topic.name}` |")]
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[4] == str(topic.partitions)
        assert cells[6] == topic.writer
        assert cells[7] == ", ".join(topic.readers)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_code_is_explained(reason):
    assert f"| {reason.value} |" in page("docs/glossary.md")


def test_decisions_are_numbered_without_a_gap():
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
