"""What of backends, rules, sizes and capabilities no request, no model or no backend can ever meet: allowed, and surely not meant.

Rule: as in `reach`, a warning is given only for what the file itself shows; a value that is a mistake is passed over.
"""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any

from zoe_grpcd.config.address import is_private
from zoe_grpcd.config.crosscheck import Finding, find
from zoe_grpcd.config.problem import Path
from zoe_grpcd.core.demands import TOLD
from zoe_grpcd.core.sizes import Bounds, count_bounds, size_bounds

_SELECTIONS = ("routing.rules.[].prefer", "routing.rules.[].require")
_COUNTS = {"prompt_tokens": 0.0, "batch_size": 1.0}  # of a rule's `when`, with the least that there is


def warnings(data: Any) -> Iterator[Finding]:
    """Everything of that sort."""
    for check in (_idle, _selections, _conditions, _sizes, _capabilities):
        yield from check(data)


def without_models(data: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The backends that `models` names nothing of, each with where."""
    named = [name for _, name in find(data, "models.[].deployments.[].backend")]
    for path, backend in find(data, "backends.[]"):
        if isinstance(backend, dict) and backend.get("name") not in named:
            yield path, backend


def _idle(data: Any) -> Iterator[Finding]:
    """A service that is not asked for its models, and none is named."""
    for path, backend in without_models(data):
        if backend.get("kind") == "anthropic":
            yield Finding(
                path, "serves nothing: this kind is not asked for its models, and `models` names none of it"
            )


def _selections(data: Any) -> Iterator[Finding]:
    """What a rule prefers or requires, and no backend is."""
    backends = [backend for _, backend in find(data, "backends.[]") if isinstance(backend, dict)]
    for pattern in _SELECTIONS if backends else ():
        for path, selection in find(data, pattern):
            if not isinstance(selection, dict) or not any(_of_kind(b, selection) for b in backends):
                continue  # `reach` says so
            if not any(meets(backend, selection) for backend in backends):
                effect = "nobody can serve what it is about" if path[-1] == "require" else "it has no effect"
                yield Finding(path, f"is met by none of `backends`: {effect}")


def _of_kind(backend: dict[str, Any], selection: dict[str, Any]) -> bool:
    kind = backend.get("kind") or "auto"
    return kind == "auto" or _among(kind, selection.get("kinds"))


def meets(backend: dict[str, Any], selection: dict[str, Any]) -> bool:
    """A backend of the file is one that a rule's selection is about, as far as the file tells; models are not looked at."""
    labels, own = selection.get("labels"), backend.get("labels")
    local = backend.get("local")
    return (
        _among(backend.get("name"), selection.get("backends"))
        and _of_kind(backend, selection)
        and (not isinstance(labels, dict) or labels.items() <= (own if isinstance(own, dict) else {}).items())
        and selection.get("local")
        in (None, is_private(str(backend.get("url") or "")) if local is None else local)
    )


def _among(value: Any, wanted: Any) -> bool:
    return wanted is None or value == wanted or (isinstance(wanted, list) and value in wanted)


def _conditions(data: Any) -> Iterator[Finding]:
    for key, least in _COUNTS.items():
        for path, text in find(data, f"routing.rules.[].when.{key}"):
            bounds = _bounds(text, count_bounds)
            if bounds is not None and (bounds.high < least or (bounds.high == least and bounds.below)):
                yield Finding(path, f"never holds: it is {least:g} at least")


def _sizes(data: Any) -> Iterator[Finding]:
    earlier: list[tuple[Path, Bounds]] = []
    for path, text in find(data, "routing.sizes.[].size"):
        bounds = _bounds(text, size_bounds)
        if bounds is None:
            continue
        for other, around in earlier:
            if _inside(bounds, around):
                yield Finding(
                    path, f"is never reached: routing.sizes[{other[2]}] comes first and has all these sizes"
                )
                break
        earlier.append((path, bounds))


def _inside(bounds: Bounds, around: Bounds) -> bool:
    """Every size of the one is one of the other; sizes are more than 0."""
    low = max(bounds.low, 0.0)
    begins = low > around.low or (low == around.low and (bounds.above or not around.above))
    ends = bounds.high < around.high or (bounds.high == around.high and (bounds.below or not around.below))
    return begins and ends


def _bounds(text: Any, read: Callable[[str], Bounds]) -> Bounds | None:
    try:
        return read(str(text)) if isinstance(text, str | int) else None
    except ValueError:  # reported as a mistake
        return None


def _capabilities(data: Any) -> Iterator[Finding]:
    """One that nearly has the name of one that backends tell of would be defined here, and demanded of nobody."""
    stated = {
        name for _, names in find(data, "models.[].capabilities") if isinstance(names, list) for name in names
    }
    for path, _ in find(data, "routing.capabilities.*"):
        name = str(path[-1])
        near = get_close_matches(name, sorted(TOLD), n=1, cutoff=0.8)
        if near and name not in TOLD | stated:
            yield Finding(path, f"is a capability that no backend tells of; did you mean '{near[0]}'?")
