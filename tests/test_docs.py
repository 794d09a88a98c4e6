"""What the README and the pages of docs/ name exists: options, files, metrics, and whatever a link leads to."""

import re
from collections import Counter
from pathlib import Path

import pytest

from zoe_grpcd.config import Config
from zoe_grpcd.config.section import options
from zoe_grpcd.core.backend import Phase
from zoe_grpcd.kinds import KINDS

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS, *sorted((ROOT / "clients").glob("*/README.md"))]
LINK = re.compile(r'\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"')
EXPORTED = (ROOT / "zoe_grpcd" / "adapters" / "prometheus.py").read_text()
SECTIONS = ("server", "routing", "reliability", "admission", "log", "auth")


@pytest.mark.parametrize("name", ["operating.md", "observing.md"])
def test_the_metrics_and_states_that_are_named_exist(name: str) -> None:
    page = unfenced(ROOT / "docs" / name)
    names = {re.sub(r"_(?:total|bucket)$", "", metric) for metric in re.findall(r"\bzoe_[a-z_]+", page)}
    assert len(names) > 6
    assert [name for name in names if f'"{name}"' not in EXPORTED] == []
    assert set(re.findall(r'state="(\w+)"', page)) <= set(Phase)


def prose(page: Path) -> str:
    """What is to be read of a page: neither blocks nor what stands between backticks is a link or a heading."""
    return re.sub(r"`[^`\n]*`", "", unfenced(page))


def unfenced(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives the headings of a page: small letters, blanks as hyphens; equal ones are counted."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#{1,6} (.+)$", unfenced(page), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def leads_nowhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [inline or image for inline, image in LINK.findall(prose(page))]
    inside = [link for link in links if not re.match(r"https?://", link)]
    assert [link for link in inside if leads_nowhere(page, link)] == []


def test_a_link_to_a_page_or_heading_that_is_not_there_is_found() -> None:
    readme = ROOT / "README.md"
    assert leads_nowhere(readme, "docs/nowhere.md")
    assert leads_nowhere(readme, "#no-such-heading")
    assert not leads_nowhere(readme, "#status")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_the_readme_leads_to_every_page(page: Path) -> None:
    assert f"](docs/{page.name})" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=lambda page: page.stem)
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
