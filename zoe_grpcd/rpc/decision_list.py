"""ListDecisions: which entries of the decision log are asked for, page by page, and how they read as messages.

A page token is the number of the last entry that was returned, so that a page is not moved by what arrives meanwhile.
"""

import asyncio
from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from zoe.admin.v1 import admin_service_pb2 as pb
from zoe.admin.v1 import stats_pb2
from zoe_grpcd.core.errors import InvalidRequest, Violation
from zoe_grpcd.decisions import DecisionLog, Entry
from zoe_grpcd.rpc import encode
from zoe_grpcd.rpc.admin_encode import timestamp

PAGE, LARGEST_PAGE = 50, 500
LONGEST_TOKEN = 19  # digits of the largest number that there will be
# Entries that are looked at before others may run: this many take 5 ms at most.
AT_A_TIME = 50


async def listed(log: DecisionLog, request: pb.ListDecisionsRequest) -> pb.ListDecisionsResponse:
    """One page, newest first. Raises InvalidRequest for a token that is none. Lets others run in between."""
    size = min(request.page_size or PAGE, LARGEST_PAGE)
    response = pb.ListDecisionsResponse()
    last, matches = 0, _filter_of(request)
    for looked_at, entry in enumerate(log.newest_first(_before(request.page_token))):
        if looked_at % AT_A_TIME == 0:
            await asyncio.sleep(0)
        if not matches(entry):
            continue
        if len(response.decisions) == size:
            response.next_page_token = str(last)
            break
        put_entry(response.decisions.add(), entry)
        last = entry.number
    return response


def _before(token: str) -> int | None:
    if not token:
        return None
    if not (token.isascii() and token.isdigit() and len(token) <= LONGEST_TOKEN):
        violation = Violation("page_token", "must be the next_page_token of an answer, or empty")
        raise InvalidRequest("there is no such page", violations=(violation,))
    return int(token)


def _filter_of(request: pb.ListDecisionsRequest) -> Callable[[Entry], bool]:
    """Whether an entry is asked for: all filters that are set have to hold."""
    wanted = {name: value for name in _SAME if (value := getattr(request, name))}
    holds: list[Callable[[Entry], bool]] = []
    if request.failed_only:
        holds.append(lambda entry: entry.failed)
    if request.HasField("start_time"):
        start = _moment("start_time", request.start_time)
        holds.append(lambda entry: entry.arrived >= start)
    if request.HasField("end_time"):
        end = _moment("end_time", request.end_time)
        holds.append(lambda entry: entry.arrived < end)

    def matches(entry: Entry) -> bool:
        same = all(getattr(entry, name) == value for name, value in wanted.items())
        return same and all(hold(entry) for hold in holds)

    return matches


def _moment(field: str, given: Timestamp) -> float:
    """In unix seconds."""
    try:
        return given.ToNanoseconds() / 1e9
    except ValueError:  # of the years 1 to 9999, with nanoseconds of 0 to 999,999,999
        violation = Violation(field, "must be a valid Timestamp")
        raise InvalidRequest("there is no such time", violations=(violation,)) from None


_SAME = ("decision_id", "request_id", "backend", "model", "intent", "key_name", "error_reason")
"""Filters that ask for one value of the entry's attribute of the same name."""


def put_entry(into: stats_pb2.DecisionRecord, entry: Entry) -> None:
    """An entry of the log."""
    into.time.CopyFrom(timestamp(entry.arrived))
    into.request_id = entry.request_id
    into.key_name = entry.key_name
    into.method = entry.method
    if (decision := entry.decision()) is not None:
        encode.put_decision(into.decision, decision)
    for attempt in entry.attempts():
        encode.put_attempt(into.attempts.add(), attempt)
    into.code = entry.code
    into.error_reason = entry.error_reason
    if (end := entry.completion()) is not None:
        into.finish_reason = encode.finish_reason(end.finish)
        encode.put_usage(into.usage, end.usage, end.cost_usd)
        encode.put_timings(into.timings, end.timings)
        into.response_id = entry.request_id
