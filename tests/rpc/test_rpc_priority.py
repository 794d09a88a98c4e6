"""How urgent a request is, and whether it is streamed, reaches the rules of the operator."""

import pytest
from rpc.specs import spec_of, violations

from zoe.inference.v1 import spec_pb2
from zoe_grpcd.core.errors import InvalidRequest
from zoe_grpcd.rpc.parse import Besides, ask_of


def urgent(priority: str = "") -> spec_pb2.InferenceSpec:
    return spec_of({"routing": {"priority": priority}} if priority else {})


@pytest.mark.parametrize(
    ("of_request", "of_metadata", "expected"),
    [
        ("", "", "normal"),
        ("", "high", "high"),
        ("", "CRITICAL", "critical"),
        ("PRIORITY_BATCH", "", "batch"),
        ("PRIORITY_LOW", "high", "low"),
    ],
)
def test_a_request_has_its_own_priority_else_that_of_its_metadata(
    of_request: str, of_metadata: str, expected: str
) -> None:
    assert ask_of(urgent(of_request), besides=Besides(priority=of_metadata)).priority == expected


def test_a_priority_that_is_none_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask_of(urgent(), besides=Besides(priority="asap"))
    (violation,) = caught.value.violations
    assert (violation.field, violation.description) == (
        "x-priority",
        "must be batch, low, normal, high or critical",
    )
    assert violations(spec_of({"routing": {"priority": 77}}))[0][0] == "spec.routing.priority"


def test_a_request_is_streamed_or_not() -> None:
    assert ask_of(urgent(), besides=Besides(stream=True)).stream
    assert not ask_of(urgent()).stream
