"""What the pages of docs/ name exists."""

import re
from pathlib import Path

import pytest

from zoe_grpcd.config import Config
from zoe_grpcd.config.section import options
from zoe_grpcd.core.domain import Phase
from zoe_grpcd.kinds import KINDS

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
EXPORTED = (ROOT / "zoe_grpcd" / "adapters" / "prometheus.py").read_text()
SECTIONS = ("server", "routing", "reliability", "admission", "log", "auth")


def test_the_alerts_are_about_metrics_and_states_that_there_are() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    names = {re.sub(r"_(?:total|bucket)$", "", name) for name in re.findall(r"\bzoe_[a-z_]+", page)}
    assert len(names) > 6
    assert [name for name in names if f'"{name}"' not in EXPORTED] == []
    assert set(re.findall(r'state="(\w+)"', page)) <= set(Phase)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    known = {path.replace("[]", "") for path, _, _ in options(Config)}
    named = re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_.]+)`", text)
    assert [name for name in named if name not in known] == []
    files = re.findall(r"\b((?:clients|tests|protos|docs)/[\w/.-]+\.\w+)", text)
    made = set(re.findall(r"^`([\w/.-]+)`:$", text, re.MULTILINE))  # by the reader, as the page says
    assert [name for name in files if name not in made and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("proto", ["admin/v1/backend.proto", "inference/v1/decision.proto"])
def test_the_protos_name_every_kind_of_server(proto: str) -> None:
    (named,) = re.findall(r"Kind of server: ([^.]+)\.", (ROOT / "protos" / "zoe" / proto).read_text())
    assert set(named.split(", ")) == set(KINDS)


@pytest.mark.parametrize("figures", ["benchmarks/results.md", "benchmarks/chaos/results.md"])
def test_the_figures_of_the_readme_are_those_that_were_measured(figures: str) -> None:
    lines = (ROOT / figures).read_text().splitlines()
    table = "\n".join(line for line in lines if line.startswith("|"))
    assert (ROOT / "README.md").read_text().count(table) == 1
