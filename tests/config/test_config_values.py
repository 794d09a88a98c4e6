from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe_grpcd.config import units
from zoe_grpcd.config.address import host_of, is_loopback, is_private


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("10m", 600.0),
        ("500ms", 0.5),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1.5s", 1.5),
        ("1m500ms", 60.5),
        ("0", 0.0),
        (0, 0.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: Any, seconds: float) -> None:
    assert units.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("number", [30, 1.5, -1, "30", "0.5"])
def test_a_bare_number_is_told_to_add_a_unit(number: Any) -> None:
    with pytest.raises(ValueError, match="needs a unit, like 30s"):
        units.seconds(number)


@pytest.mark.parametrize(
    "text", ["", "s", "30 s", "-5s", "5x", "1s1m", "1s1s", True, None, [], "30S", "1e3s"]
)
def test_what_is_no_duration_is_told_how_one_looks(text: Any) -> None:
    with pytest.raises(ValueError, match="must be a duration like 30s"):
        units.seconds(text)


@given(st.integers(0, 10**9))
def test_a_duration_is_spelled_so_that_it_reads_back(milliseconds: int) -> None:
    assert units.seconds(units.duration_text(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 * 2**30),
        ("64MiB", 64 * 2**20),
        ("500MB", 500_000_000),
        ("1024B", 1024),
        ("1.5KiB", 1536),
        (7, 7),
    ],
)
def test_a_size_is_read_as_bytes(text: Any, size: int) -> None:
    assert units.size_bytes(text) == size


@pytest.mark.parametrize("text", ["8", "8G", "GiB", "-1MiB", "9" * 400 + "GiB", True, None, {}])
def test_what_is_no_size_is_told_how_one_looks(text: Any) -> None:
    with pytest.raises(ValueError, match="must be a size like 64MiB"):
        units.size_bytes(text)


@given(st.integers(0, 2**49))
def test_a_size_is_spelled_so_that_it_reads_back(size: int) -> None:
    assert units.size_bytes(units.size_text(size)) == size


@pytest.mark.parametrize(
    ("text", "billions"), [("7B", 7), ("500M", 0.5), ("1.5B", 1.5), ("8x7B", 56), ("1T", 1000)]
)
def test_parameters_are_read_in_billions(text: str, billions: float) -> None:
    assert units.billions(text) == pytest.approx(billions)
    assert units.billions(units.billions_text(billions)) == pytest.approx(billions)


@pytest.mark.parametrize(
    ("address", "host", "loopback"),
    [
        ("127.0.0.1:50051", "127.0.0.1", True),
        ("127.9.9.9:0", "127.9.9.9", True),
        ("localhost:1", "localhost", True),
        ("[::1]:50051", "::1", True),
        ("0.0.0.0:50051", "0.0.0.0", False),
        ("[::]:50051", "::", False),
        ("0:50051", "0", False),
        ("example.org:50051", "example.org", False),
        ("localhost.example.org:50051", "localhost.example.org", False),
    ],
)
def test_an_address_that_only_this_machine_reaches_is_known(address: str, host: str, loopback: bool) -> None:
    assert host_of(address) == host
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "address", ["50051", ":50051", "host", "host:99999", "[::1", "[:::]:1", "a b:1", "::1:5"]
)
def test_what_is_no_address_has_no_host(address: str) -> None:
    assert host_of(address) is None


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://[::1]:8080", True),
        ("http://192.168.1.5", True),
        ("http://10.0.0.5/v1", True),
        ("http://100.64.1.2", True),
        ("http://ollama:11434", True),
        ("http://nas.local", True),
        ("https://api.openai.com/v1", False),
        ("http://8.8.8.8", False),
        ("http://localhost.example.org", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_a_url_that_stays_in_house_is_known(url: str, private: bool) -> None:
    assert is_private(url) is private
