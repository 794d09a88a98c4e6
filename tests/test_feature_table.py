"""The README's table of kinds is what tests on real servers have recorded, and nothing else."""

from pathlib import Path

from featuretable import FEATURES, recorded, table

from zoe_grpcd.kinds import KINDS

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_has_the_table_that_was_recorded() -> None:
    begin, end = "<!-- kinds: from tests/data/kinds.json -->\n", "\n<!-- end of kinds -->"
    shown = README.read_text().partition(begin)[2].partition(end)[0]
    assert shown == table()


def test_what_was_recorded_is_whole() -> None:
    assert recorded().keys() <= KINDS.keys()
    assert all(set(seen) == {"version", *FEATURES} for seen in recorded().values())
