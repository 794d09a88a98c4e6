"""When certificates end: read from their files, told in time, and known to be over once new ones are there."""

import logging
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority, Pair, install

from zoe_grpcd.rpc.certificates import DAY, Certificates
from zoe_grpcd.tls import Files, ends_of


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), days=60)


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.server()


@pytest.fixture
def files(tmp_path: Path, pair: Pair, authority: Authority) -> Files:
    """The daemon's own copies, which a test may replace."""
    own = Pair(tmp_path / "server.pem", tmp_path / "server.key")
    install(pair, own)
    return Files(own.cert, own.key, authority.file)


class Calendar:
    """A clock that stands so many days before a certificate ends."""

    def __init__(self, end: datetime, days: float) -> None:
        self._end = end
        self.days = days

    def __call__(self) -> float:
        return (self._end - timedelta(days=self.days)).timestamp()


def as_openssl_says(path: Path) -> datetime:
    asked = ["openssl", "x509", "-in", str(path), "-noout", "-enddate"]
    told = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout
    return datetime.strptime(told.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


@pytest.mark.parametrize("days", [1, 60, 12_000])  # the last one is written with four digits for the year
def test_the_end_is_that_which_openssl_says(tmp_path: Path, days: int) -> None:
    authority = Authority(tmp_path, days=days)
    pair = authority.server()
    found = ends_of(Files(pair.cert, pair.key, authority.file))
    assert found == {
        "cert_file": as_openssl_says(pair.cert),
        "client_ca_file": as_openssl_says(authority.file),
    }


def test_of_several_in_a_file_the_first_that_ends_counts(tmp_path: Path) -> None:
    long, short = Authority(tmp_path, "long", days=90), Authority(tmp_path, "short", days=10)
    both = tmp_path / "both.pem"
    both.write_text(f"# two of them\n{long.file.read_text()}\n{short.file.read_text()}")
    pair = long.server()
    assert ends_of(Files(pair.cert, pair.key, both))["client_ca_file"] == as_openssl_says(short.file)


def test_three_weeks_before_the_end_the_log_warns_at_the_start_and_at_each_look(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    calendar = Calendar(as_openssl_says(files.cert_file), days=21.5)
    certificates = Certificates(files, calendar)
    certificates.look()
    assert (caplog.messages, certificates.ending()) == ([], [])
    calendar.days = 20.6
    certificates.look()
    certificates.look()
    warning = "server.tls.cert_file ends in 21 days; put a new one in its place"
    assert [line for line in caplog.messages if "cert_file" in line] == [warning] * 2
    caplog.clear()
    Certificates(files, calendar)
    assert warning in caplog.messages
    for days, words in ((1.5, "ends in 36 hours"), (0.0, "has ended"), (-3.0, "has ended")):
        calendar.days = days
        assert certificates.ending()[0] == f"server.tls.cert_file {words}"


def test_who_asks_for_the_time_that_is_left_gets_it_for_each_file(files: Files) -> None:
    certificates = Certificates(files, Calendar(as_openssl_says(files.cert_file), days=10))
    left = certificates.left()
    assert left["cert_file"] == 10 * DAY
    assert left["client_ca_file"] == pytest.approx(10 * DAY, abs=300)


def test_a_new_certificate_puts_an_end_to_the_warnings(
    files: Files, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    calendar = Calendar(as_openssl_says(files.cert_file), days=5)
    plain = Files(files.cert_file, files.key_file)
    certificates = Certificates(plain, calendar)
    assert len(caplog.messages) == 1
    install(Authority(tmp_path / "new", days=120).server(), Pair(plain.cert_file, plain.key_file))
    certificates.look()
    assert caplog.messages[1:] == ["server.tls: new certificates are in use"]
    certificates.look()
    assert (len(caplog.messages), certificates.ending()) == (2, [])
