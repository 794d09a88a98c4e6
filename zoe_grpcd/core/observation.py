"""What a probe tells of a backend and of its models."""

from dataclasses import dataclass
from enum import StrEnum

from zoe_grpcd.core.backend import Price


class LoadState(StrEnum):
    """Whether a model is in a backend's memory."""

    UNLOADED = "UNLOADED"
    LOADING = "LOADING"
    LOADED = "LOADED"
    SLEEPING = "SLEEPING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model as its server tells of it. `name` is the server's own name for it."""

    name: str
    state: LoadState = LoadState.LOADED
    context_tokens: int | None = None  # window that one request really gets
    capabilities: frozenset[str] = frozenset({"chat"})
    parameters: float | None = None  # billions
    size_bytes: int = 0  # in memory if loaded, else on disk; 0: unknown
    vram_bytes: int = 0
    load_fraction: float | None = None  # 0..1 while LOADING, where the server tells
    expire_at: float | None = None  # unix seconds at which the server will unload it
    alias: str | None = None  # a better public name than `name`, e.g. a file name without its folder
    fingerprint: str = ""  # of file and template: where it is equal, the same tokens follow; empty: not known
    digest: str = (
        ""  # of the file, where the server may have one by several names and loads it once; empty: not told
    )
    price: Price | None = None  # None: the backend does not tell
    complete: bool = False  # `capabilities` are all that it has: what its kind is taken to have is not added
    sole: bool = False  # the server has no other model and gives this one to whoever asks, whatever the name


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw. `models` None: the server was not asked or could not say; keep what is known."""

    ok: bool
    duration: float = 0.0
    loading: bool = False  # the whole server is loading its model
    sleeping: bool = False
    error: str = ""
    models: tuple[ModelStatus, ...] | None = None
    slots: int | None = None  # requests it works on at the same time; None: it does not tell
    busy: int | None = None  # slots taken now, ours included
    # (task, tokens read) of each prompt that is being read; None: it does not tell
    reading: tuple[tuple[int, int], ...] | None = None
    deferred: int | None = None  # requests that wait inside it
    kv_cache_usage: float | None = None  # 0..1
    detail: str = ""
