"""The Grafana dashboard asks for what the daemon really has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rpc.stage import Stage, failed, whole
from rpc.test_rpc_metrics import scraped

from zoe.inference.v1 import inference_service_pb2 as pb

DASHBOARD = json.loads((Path(__file__).parents[2] / "grafana" / "zoe-grpcd.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
METRIC = re.compile(r"\b((?:zoe|grpc_server|process)_[a-z0-9_]+)\b(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
WANTED = {
    "decision time": "zoe_route_decision_seconds_bucket",
    "exact matches": 'reason="EXACT_MODEL"',
    "pattern matches": 'reason="PATTERN"',
    "fallbacks": "zoe_route_fallbacks_total",
    "distribution and balance": "zoe_attempts_total",
    "cache hits": 'zoe_cache_requests_total{result="hit"}',
    "tokens per second": 'zoe_tokens_total{type="completion"}',
    "queue": "zoe_queue_depth",
    "first token": "zoe_time_to_first_token_seconds_bucket",
    "errors": "zoe_request_errors_total",
    "states": "zoe_backend_state",
    "certificates": "zoe_certificate_expires_in_seconds",
}


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


async def test_every_metric_and_label_that_it_asks_for_is_served(stage: Stage) -> None:
    await stage.inference.Complete(whole())
    await failed(stage.inference.Complete(pb.CompleteRequest()))
    labels: dict[str, set[str]] = {}
    for name, row in await scraped(stage):
        labels.setdefault(name, {"instance", "job"}).update(label for label, _ in row)
    for title, text in expressions():
        found = METRIC.findall(re.sub(r"\bby \([^)]*\)", "", text))
        assert found, title
        for name, conditions in found:
            assert name in labels, (title, name)
            assert set(LABEL.findall(conditions)) <= labels[name], (title, name)
        known = set().union(*(labels[name] for name, _ in found))
        grouped = {label.strip() for group in GROUPED.findall(text) for label in group.split(",")}
        assert grouped <= known, (title, grouped - known)


@pytest.mark.parametrize(("what", "part"), WANTED.items())
def test_it_shows_what_an_operator_looks_for(what: str, part: str) -> None:
    assert any(part in text for _, text in expressions())


def test_all_expressions_are_closed_and_all_rates_have_their_span() -> None:
    for title, text in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert text.count(opening) == text.count(closing), title
        assert len(re.findall(r"\b(?:rate|increase|changes)\(", text)) == text.count("["), title


def test_a_share_of_nothing_is_left_open_and_not_divided_by_zero() -> None:
    shares = [panel for panel in PANELS if panel["type"] == "stat" and " / " in panel["targets"][0]["expr"]]
    assert len(shares) > 4
    for panel in shares:
        assert " > 0)" in panel["targets"][0]["expr"].partition(" / ")[2], panel["title"]


def test_panels_have_titles_explanations_and_places_of_their_own() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] and panel["description"] for panel in PANELS)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
