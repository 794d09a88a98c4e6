"""What a daemon might tell, for the screen."""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from zoe.admin.v1 import admin_service_pb2, backend_pb2, stats_pb2
from zoe.inference.v1 import decision_pb2, response_pb2
from zoe_grpcd.cli.top.picture import Picture
from zoe_grpcd.cli.top.reading import Seen, picture

NOW = 1_800_000_000.0
S = backend_pb2.Backend


def span(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))


def at(unix: float) -> Timestamp:
    return Timestamp(seconds=int(unix), nanos=round(unix % 1 * 1e9))


def model(name: str, state: str = "LOADED", **fields: Any) -> backend_pb2.ServedModel:
    return backend_pb2.ServedModel(
        model=name, load_state=backend_pb2.LoadState.Value(f"LOAD_STATE_{state}"), **fields
    )


def backend(name: str, state: str = "READY", *models: backend_pb2.ServedModel, **fields: Any) -> S:
    load = backend_pb2.BackendLoad(max_in_flight=4, **fields.pop("load", {}))
    return S(
        name=name,
        kind="llamacpp",
        endpoint=f"http://{name}.invalid",
        state=S.State.Value(f"STATE_{state}"),
        state_time=at(NOW - 90),
        models=models,
        load=load,
        **fields,
    )


def record(number: int, backend: str = "jetson", **fields: Any) -> stats_pb2.DecisionRecord:
    chosen = decision_pb2.BackendRef(backend=backend, model="llama3.2:3b")
    decision = decision_pb2.RouteDecision(
        decision_id=f"d{number}",
        chosen=chosen,
        intent="chat",
        strategy="usage_based",
        reason=decision_pb2.REASON_INTENT,
        explanation=f"llama3.2:3b @ {backend}: intent chat; best of 2",
        candidates=[
            decision_pb2.Candidate(backend=chosen, eligible=True, score=0.81),
            decision_pb2.Candidate(
                backend=decision_pb2.BackendRef(backend="attic", model="big"),
                reasons=[decision_pb2.REASON_UNHEALTHY],
            ),
        ],
    )
    known: dict[str, Any] = {
        "time": at(NOW - number),
        "request_id": f"r{number}",
        "method": "Complete",
        "decision": decision,
        "code": "OK",
        "usage": response_pb2.Usage(completion_tokens=312),
        "timings": response_pb2.Timings(time_to_first_token=span(0.18), total=span(2.5)),
    }
    return stats_pb2.DecisionRecord(**known | fields)


def stats() -> admin_service_pb2.GetStatsResponse:
    return admin_service_pb2.GetStatsResponse(
        totals=stats_pb2.RequestStats(
            requests=200,
            succeeded=98,
            failed=2,
            requests_per_second=3.4,
            tokens_per_second=183,
            time_to_first_token=stats_pb2.Quantiles(count=100, p50=span(0.2), p95=span(1.5)),
        ),
        process=stats_pb2.ProcessStats(version="0.1.0", start_time=at(NOW - 7200), rss_bytes=200 * 2**20),
    )


FLEET = (
    backend("attic", "DOWN", state_detail="connection refused"),
    backend(
        "jetson",
        "BUSY",
        model("llama3.2:3b", expire_time=at(NOW + 240)),
        model("phi", "UNLOADED"),
        load={"in_flight": 3, "foreign_in_flight": 1, "queued": 2, "tokens_per_second": 41.2},
    ),
    backend("laptop", "READY", model("qwen", "LOADING", load_fraction=0.4), load={"error_ratio": 0.2}),
)


def shown(*backends: S, decisions: int = 3, lost: str = "", **told: Any) -> Picture:
    records = tuple(record(number) for number in range(decisions))
    seen = Seen(backends or FLEET, records, lost=lost, lost_since=NOW - 12, **{"stats": stats(), **told})
    return picture(seen, NOW)
