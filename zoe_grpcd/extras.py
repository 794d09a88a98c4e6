"""The parts that a daemon may do without. Each is built if the configuration asks for it, else None.

The one rule: what only some installations have is imported where it is asked for.
"""

from typing import TYPE_CHECKING

from zoe_grpcd import __version__
from zoe_grpcd.config import Config
from zoe_grpcd.recording.recorder import Recorder
from zoe_grpcd.rpc.certificates import Certificates
from zoe_grpcd.rpc.guard import Gate
from zoe_grpcd.settings import Settings
from zoe_grpcd.tls import Files

if TYPE_CHECKING:
    from zoe_grpcd.adapters.embeddings import Embeddings
    from zoe_grpcd.adapters.otel import Tracer


def certificates_of(config: Config) -> Certificates | None:
    """TLS."""
    given = config.server.tls
    return Certificates(Files(given.cert_file, given.key_file, given.client_ca_file)) if given else None


def tracer_of(config: Config, gate: Gate) -> "Tracer | None":
    """Traces of every request, from the gate on."""
    if config.telemetry.otlp_endpoint is None:
        return None
    from zoe_grpcd.adapters.otel import Tracer

    tracer = Tracer(config.telemetry.otlp_endpoint, __version__)
    gate.traces = tracer.begin
    gate.log.listeners.append(tracer.export)
    return tracer


def recorder_of(config: Config, settings: Settings) -> Recorder | None:
    """Decisions in a file, so that they can be replayed."""
    if config.log.decisions is None:
        return None
    return Recorder(config.log.decisions, config.log.decisions_max_bytes, settings.deployments)


def embeddings_of(config: Config, settings: Settings) -> "Embeddings | None":
    """Intents by meaning; not opened yet."""
    if config.routing.classifier != "embeddings":
        return None
    from zoe_grpcd.adapters.embeddings import Embeddings

    return Embeddings(settings.intents)
