"""Keys, and what each may use: identified, let in, held, settled, and kept over a restart."""

import json
import logging
from typing import Any

import pytest
from fakes import Clock, an_ask

from zoe_grpcd.access import Access, Caller, Credential, Visit, digest_of
from zoe_grpcd.access.caller import Clocks
from zoe_grpcd.adapters.store_memory import MemoryStore
from zoe_grpcd.core.answer import Usage
from zoe_grpcd.core.ask import Ask
from zoe_grpcd.core.budget import DAY
from zoe_grpcd.core.errors import Exhausted, PermissionDenied, Unauthenticated
from zoe_grpcd.core.licence import Grant

KEY, OTHER = "zoe-s3cret-one", "zoe-s3cret-two"
NOON = 20_000 * DAY + DAY / 2


class House:
    """Access with clocks that pass when a test says so."""

    def __init__(self, store: MemoryStore | None = None, *, local: bool = True, unix: float = NOON) -> None:
        self.store = store or MemoryStore()
        self.clock, self.wall = Clock(), Clock(unix)
        self.access = Access(self.store, local=local, clocks=Clocks(self.clock, self.wall))

    def grant(self, **what: Any) -> Caller:
        """One key, which may do this."""
        self.access.change([Credential(digest_of(KEY), Grant("app", **what))])
        return self.access.identify(f"Bearer {KEY}")

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.wall.advance(seconds)


def begun(caller: Caller, ask: Ask | None = None, *, sends: bool = True) -> Visit:
    visit = Visit(caller)
    visit.begin(ask or an_ask(), sends=sends)
    return visit


def refused(caller: Caller, ask: Ask | None = None, *, sends: bool = True) -> Exhausted:
    with pytest.raises(Exhausted) as caught:
        begun(caller, ask, sends=sends)
    return caught.value


# --------------------------------------------------------------------------------------------------------------- keys


def test_a_key_is_found_by_its_digest_and_the_scheme_in_any_case() -> None:
    house = House()
    house.access.change(
        [Credential(digest_of(KEY), Grant("app")), Credential(digest_of(OTHER), Grant("other"))]
    )
    assert house.access.identify(f"Bearer {KEY}").name == "app"
    assert house.access.identify(f"bearer  {OTHER} ").name == "other"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "CREDENTIALS_MISSING"),
        ("Bearer", "CREDENTIALS_INVALID"),
        ("Bearer ", "CREDENTIALS_INVALID"),
        ("Bearer nonsense", "CREDENTIALS_INVALID"),
        (KEY, "CREDENTIALS_INVALID"),
        (f"Basic {KEY}", "CREDENTIALS_INVALID"),
        (f"Bearer {KEY}x", "CREDENTIALS_INVALID"),
        (f"Bearer {digest_of(KEY).hex()}", "CREDENTIALS_INVALID"),
        ("Bearer \udc80", "CREDENTIALS_INVALID"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(authorization: str, reason: str) -> None:
    house = House()
    house.grant()
    with pytest.raises(Unauthenticated) as caught:
        house.access.identify(authorization)
    assert caught.value.reason == reason
    assert "s3cret" not in caught.value.message + str(caught.value.metadata)


def test_the_log_hears_of_strangers_and_is_not_filled_by_them(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.grant()
    for _ in range(100):
        with pytest.raises(Unauthenticated):
            house.access.identify("Bearer zoe-s3cret-guess", "ipv4:192.0.2.7:1")
        house.advance(1.0)
    assert [record.getMessage() for record in caplog.records] == [
        "calls with a key that is not known: 1, the last one from ipv4:192.0.2.7:1",
        "calls with a key that is not known: 60, the last one from ipv4:192.0.2.7:1",
    ]


def test_a_key_that_was_taken_away_is_not_valid_any_more() -> None:
    house = House()
    house.grant()
    house.access.change([Credential(digest_of(OTHER), Grant("other"))])
    with pytest.raises(Unauthenticated):
        house.access.identify(f"Bearer {KEY}")


@pytest.mark.parametrize(("local", "asked"), [(True, False), (False, True)])
def test_without_keys_none_is_asked_for_unless_other_machines_reach_the_daemon(
    local: bool, asked: bool
) -> None:
    house = House(local=local)
    house.access.change([])
    assert bool(house.access) is asked


def test_only_a_key_for_admins_may_administrate() -> None:
    house = House()
    house.grant()
    with pytest.raises(PermissionDenied, match="'app' may not use the admin service"):
        house.access.administrator(f"Bearer {KEY}")
    house.grant(admin=True)
    assert house.access.administrator(f"Bearer {KEY}").name == "app"


# ------------------------------------------------------------------------------------------------------------- limits


def test_the_third_of_two_requests_a_minute_is_told_when_to_come_back_and_is_let_in_then() -> None:
    house = House()
    caller = house.grant(rpm=2)
    begun(caller).close()
    house.advance(10.0)
    begun(caller).close()
    error = refused(caller)
    assert (error.reason, error.retry_after) == ("RATE_LIMITED", 50.0)
    assert error.metadata == {"key": "app", "limit": "rpm"}
    assert "2 requests a minute" in error.message
    house.advance(50.0)
    begun(caller).close()


def test_a_refused_call_has_used_nothing() -> None:
    house = House()
    caller = house.grant(rpm=1)
    begun(caller).close()
    for _ in range(5):
        house.advance(10.0)
        refused(caller)
    house.advance(10.0)
    begun(caller).close()


def test_a_route_obeys_the_limits_and_uses_nothing_of_them() -> None:
    caller = House().grant(rpm=1, max_concurrent=1)
    for _ in range(3):
        begun(caller, sends=False).close()
    running = begun(caller)
    assert refused(caller, sends=False).metadata["limit"] == "max_concurrent"
    running.close()
    assert refused(caller, sends=False).metadata["limit"] == "rpm"


def test_no_more_calls_run_at_a_time_than_allowed_and_the_wait_is_learned_from_those_before() -> None:
    house = House()
    caller = house.grant(max_concurrent=2)
    first, _second = begun(caller), begun(caller)
    house.advance(30.0)
    error = refused(caller)
    assert (error.reason, error.metadata["limit"]) == ("RATE_LIMITED", "max_concurrent")
    first.close()
    begun(caller)
    waits = refused(caller).retry_after
    assert waits is not None
    assert error.retry_after is not None
    assert waits > error.retry_after


def test_tokens_are_held_as_expected_and_settled_as_used() -> None:
    house = House()
    caller = house.grant(tpm=1000)
    ask = an_ask("x" * 360, options={"max_output_tokens": 700})
    running = begun(caller, ask)
    assert refused(caller, ask).metadata["limit"] == "tpm"
    running.spent(Usage(50, 100), 0.0)
    running.close()
    second = begun(caller, ask)
    second.spent(Usage(100, 800), 0.0)
    second.close()
    house.advance(20.0)
    assert refused(caller, ask).retry_after == 40.0


def test_a_call_that_ends_twice_or_never_began_settles_once_or_nothing() -> None:
    caller = House().grant(max_concurrent=1)
    visit = begun(caller)
    visit.close()
    visit.close()
    Visit(caller).close()
    begun(caller)
    refused(caller)


def test_new_limits_count_from_now_on_and_what_was_used_counts_on() -> None:
    house = House()
    caller = house.grant(rpm=5)
    for _ in range(3):
        begun(caller).close()
    assert house.grant(rpm=3) is caller
    refused(caller)
    house.grant()
    begun(caller).close()


# -------------------------------------------------------------------------------------------------------------- money


def test_money_is_held_while_a_call_runs_and_what_it_cost_is_gone() -> None:
    caller = House().grant(daily_budget_usd=1.0)
    first, second = begun(caller), begun(caller)
    first.reserve(0.6)
    assert first.left() == pytest.approx(1.0)
    assert second.left() == pytest.approx(0.4)
    first.spent(Usage(10, 10), 0.25)
    assert second.left() == pytest.approx(0.75)
    first.close()
    second.close()
    assert begun(caller).left() == pytest.approx(0.75)


def test_what_an_attempt_cost_that_was_lost_counts_beside_the_next_one() -> None:
    caller = House().grant(daily_budget_usd=1.0)
    visit = begun(caller)
    visit.reserve(0.5)
    visit.spent(Usage(10, 10), 0.2)
    visit.reserve(0.4)
    assert begun(caller).left() == pytest.approx(0.4)
    visit.spent(Usage(10, 10), 0.1)
    visit.close()
    assert begun(caller).left() == pytest.approx(0.7)


def test_two_attempts_at_once_are_held_for_both_as_far_as_there_is_money() -> None:
    caller = House().grant(daily_budget_usd=1.0)
    visit = begun(caller)
    assert visit.reserve(0.5)
    assert not visit.reserve(0.6, beside=True)
    assert visit.reserve(0.25, beside=True)
    assert begun(caller).left() == 0.25
    visit.spent(Usage(1, 1), 0.125)
    assert begun(caller).left() == 0.875


def test_an_attempt_that_brought_nothing_costs_nothing() -> None:
    caller = House().grant(daily_budget_usd=1.0)
    visit = begun(caller)
    visit.reserve(0.5)
    visit.reserve(0.3)
    visit.close()
    assert begun(caller).left() == pytest.approx(1.0)


def test_who_has_no_money_left_is_told_to_come_back_at_midnight_utc() -> None:
    error = House(unix=NOON + 0.5).grant(daily_budget_usd=2.5).broke()
    assert (error.reason, error.retry_after) == ("BUDGET_EXCEEDED", DAY / 2)
    assert error.metadata == {"key": "app", "limit": "daily_budget_usd"}
    assert "2.5 USD" in error.message
    assert "00:00 UTC" in error.message


def test_the_operator_is_warned_once_a_day_over_restarts_too(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            visit = begun(House(store).grant(daily_budget_usd=1.0))
            visit.spent(Usage(1, 1), 0.85)
            visit.close()
    assert [r.getMessage() for r in caplog.records] == [
        "key app has spent 0.85 of its 1.00 USD of today (UTC)"
    ]


def test_a_budget_survives_a_restart_and_what_ran_when_the_daemon_died_counts_as_it_was_held() -> None:
    store = MemoryStore()
    caller = House(store).grant(daily_budget_usd=1.0)
    done, dying = begun(caller), begun(caller)
    done.reserve(0.5)
    done.spent(Usage(1, 1), 0.25)
    done.close()
    dying.reserve(0.125)
    assert begun(House(store).grant(daily_budget_usd=1.0)).left() == 0.625
    assert begun(House(store, unix=NOON + DAY).grant(daily_budget_usd=1.0)).left() == 1.0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"day": 1}', '{"day": "x", "spent_usd": 1}', "null"])
def test_a_budget_that_cannot_be_read_counts_from_nothing_and_the_operator_is_told(
    caplog: pytest.LogCaptureFixture, text: str
) -> None:
    store = MemoryStore()
    store.put("budget", "app", text)
    assert begun(House(store).grant(daily_budget_usd=1.0)).left() == 1.0
    assert "app" in caplog.text


def test_a_budget_counts_on_when_its_limit_changes_or_is_away_for_a_while() -> None:
    house = House()
    for limit in (1.0, None, 2.0):
        caller = house.grant(daily_budget_usd=limit)
        visit = begun(caller)
        visit.spent(Usage(1, 1), 0.25)
        visit.close()
    assert begun(house.grant(daily_budget_usd=2.0)).left() == 1.25


def test_nothing_that_is_kept_has_a_key_or_its_digest_in_it() -> None:
    house = House()
    visit = begun(house.grant(daily_budget_usd=1.0))
    visit.reserve(0.5)
    visit.close()
    kept = json.dumps(house.store.read("budget"))
    assert "app" in kept
    assert KEY not in kept
    assert digest_of(KEY).hex() not in kept
