"""docs/adding-a-kind.md is followed to the letter, in a copy of the package, and what comes of it serves requests."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from serving import PROBES, Daemon, config_of, environment, short_folder
from waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-a-kind.md").read_text(encoding="utf-8")
STEP = re.compile(r"^`([\w./-]+)`(?:, after `([^`\n]+)`)?:\n\n```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
STATUS = {"version": "1.0", "birds": [{"name": "polly", "memory": 512}], "perches": 3, "talking": 0}


def followed(folder: Path) -> dict[str, str]:
    """Does each step in a copy of the package; the files that it names, as they are then."""
    shutil.copytree(ROOT / "zoe_grpcd", folder / "zoe_grpcd", ignore=shutil.ignore_patterns("__pycache__"))
    files = {}
    for path, anchor, lines in STEP.findall(PAGE):
        file, block = folder / path, lines
        if anchor:
            before = file.read_text(encoding="utf-8")
            assert before.count(f"{anchor}\n") == 1, f"{path} has no line {anchor!r}"
            block = before.replace(f"{anchor}\n", f"{anchor}\n{lines}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block, encoding="utf-8")
        files[path] = block
    return files


@contextmanager
def parrot(answer: bytes) -> Iterator[str]:
    """The server that the page makes up, with one recorded answer; its url."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/status"
            self._send(200 if found else 404, json.dumps(STATUS if found else {}).encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(200, answer)

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Not on the screen."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_kind_that_was_added_as_the_page_says_serves_requests(tmp_path: Path) -> None:
    files = followed(tmp_path)
    ruff = "-m ruff check --isolated --select I zoe_grpcd/kinds.py".split()  # the order of its imports
    subprocess.run([sys.executable, *ruff], check=True, cwd=tmp_path)
    recording = files["tests/adapters/recordings/parrot-text.sse"].encode()
    with parrot(recording) as url, short_folder() as folder:
        config = config_of(folder, backends=[{"name": "bird", "kind": "parrot", "url": url, **PROBES}])
        daemon = Daemon(folder, config, environment())
        daemon.argv = ["env", "-C", str(tmp_path), *daemon.argv]  # where Python finds the copy first
        with daemon:
            wait_until(lambda: daemon.state("bird") == "READY")
            bird = daemon.backends()["bird"]
            assert (bird.kind, bird.state_detail, bird.load.max_in_flight) == ("parrot", "parrot 1.0", 3)
            assert [(model.model, model.context_tokens) for model in bird.models] == [("polly", 512)]
            answer = daemon.client().complete("Hello", model="polly")
            assert answer.text == "Polly wants a token"
            assert answer.usage.estimated
