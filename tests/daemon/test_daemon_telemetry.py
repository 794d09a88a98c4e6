"""What a daemon in front of a real server shows of itself: metrics, statistics, its log, and traces."""

import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families as families
from serving import entry, serving
from waiting import wait_until

from zoe.inference.v1 import inference_service_pb2 as pb
from zoe_client import build_spec

PROMPT = "tell me of the river and the clock"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(ThreadingHTTPServer):
    """An OTLP collector on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.names: dict[str, str] = {}  # span -> trace

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.names |= {span.name: span.trace_id.hex() for span in scope.spans}
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Nobody wants to read it."""


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


def test_one_answer_is_in_the_metrics_the_statistics_the_log_and_a_trace(
    llama_server: Any, quick_gguf: Any, collector: Collector
) -> None:
    server = llama_server(quick_gguf, alias="quick")
    sections: dict[str, Any] = {
        "server": {"metrics_listen": "127.0.0.1:0"},
        "telemetry": {"otlp_endpoint": collector.url},
        "backends": [entry("box", server)],
    }
    with serving(**sections) as daemon:
        request = pb.CompleteRequest(spec=build_spec(PROMPT, {"model": "quick", "max_output_tokens": 4}))
        metadata = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)
        answer = daemon.client().inference.Complete(request, timeout=30, metadata=metadata)

        (url,) = re.findall(r"status page on (http://[0-9.:]+/)", daemon.log)
        with urllib.request.urlopen(f"{url}metrics", timeout=30) as response:
            samples = {
                (s.name, *sorted(s.labels.values())): s.value
                for family in families(response.read().decode())
                for s in family.samples
            }
        argv = [sys.executable, "-m", "zoe_grpcd", "stats", "--admin-target", daemon.admin_target]
        told = json.loads(subprocess.check_output([*argv, "--json"], timeout=60))
        text = subprocess.check_output(argv, timeout=60, text=True)
        wait_until(lambda: "zoe_grpcd.calls" in daemon.log)
        log = daemon.log
        lines = [json.loads(line) for line in log.splitlines() if "zoe_grpcd.calls" in line]

    tokens = answer.usage.completion_tokens
    assert tokens > 0
    assert samples["zoe_tokens_total", "box", "completion", "quick"] == tokens
    assert samples["zoe_backend_state", "READY", "box"] == 1
    assert samples["zoe_model_loaded", "box", "quick"] == 1
    assert told["totals"]["completionTokens"] == str(tokens)
    assert told["backends"][0]["name"] == "box"
    assert int(told["process"]["rssBytes"]) > 50_000_000
    assert "quick" in text
    (line,) = lines
    assert (line["backend"], line["completion_tokens"], line["code"]) == ("box", tokens, "OK")
    assert PROMPT not in log
    assert collector.names == {
        "zoe.inference.v1.InferenceService/Complete": TRACE,
        "chat quick": TRACE,
    }
