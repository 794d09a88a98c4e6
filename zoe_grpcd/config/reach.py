"""What of the section `routing` can never be reached, or leads nowhere: allowed, and surely not meant.

Rule: a warning is given only for what the file itself shows. What backends turn out to serve is not known here, so two
patterns are compared by names that each of them is made for (`samples`), and by the names in the file.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import product
from operator import and_
from typing import Any, get_args

from zoe_grpcd.config.crosscheck import Finding, find
from zoe_grpcd.config.deadends import meets, without_models
from zoe_grpcd.config.problem import Path
from zoe_grpcd.config.routing import Kind
from zoe_grpcd.pricelist import bare

# Places of names of models and aliases; in these, and there alone, a name may be that of a chain, too.
_FALLBACKS = ("routing.patterns.[].fallback", "routing.rules.[].fallback")
_MAY_MATCH = (  # a name there may be one that only a pattern knows
    "routing.aliases.*",
    "routing.default_model",
    "routing.intents.*.model",
    "routing.capabilities.*.preferred_models",
    "routing.fallback_chains.*.[].models",
    "routing.fallback_chains.*.steps.[].models",
    *_FALLBACKS,
)
_NAMES = (
    *_MAY_MATCH,
    "routing.rules.[].prefer.models",
    "routing.rules.[].require.models",
)
_KINDS = (
    "routing.patterns.[].kinds",
    "routing.sizes.[].kinds",
    "routing.rules.[].prefer.kinds",
    "routing.rules.[].require.kinds",
    "routing.fallback_chains.*.[].kinds",
    "routing.fallback_chains.*.steps.[].kinds",
)
_TELLS_NO_MODELS = {
    "anthropic",
    "litellm",
}  # kinds that serve what the file says, and nothing that would be found out
# What stands for a part of a pattern that may be anything, to make names that it is for.
_ANYTHING = ("", "x", "-7b", "3.1:8b-instruct-q4_K_M")
_WILD = re.compile(r"(?<!\\)(\.\*\??|\.\+\??|\[[^\]]*\][*+?]?|\\d\+?|\\w[+*]?)")
_META = re.compile(r"(?<!\\)[.*+?\[\](){}|^$]")


def warnings(data: Any) -> Iterator[Finding]:
    """Everything of that sort."""
    for check in (_shell_style, _patterns, _named_exactly, _rules, _kinds, _names, _chains):
        yield from check(data)


def samples(pattern: str, anything: tuple[str, ...] = _ANYTHING) -> list[str]:
    """Names that a pattern is made for; none where it is too intricate to tell. `anything` is put for `.*`."""
    found: list[str] = []
    plain = re.sub(r"^\(\?[a-z]+\)", "", pattern).removeprefix("^").removesuffix("$")
    plain = re.sub(r"\(\?P<\w+>", "(?:", plain)
    for branch in _branches(plain):
        parts = _WILD.split(branch)
        fillings = [
            _filling(part, anything) if i % 2 else (re.sub(r"\\(.)", r"\1", part),)
            for i, part in enumerate(parts)
        ]
        found += ["".join(name) for name in product(*fillings[:9])]
    matches = re.compile(pattern).fullmatch
    return list(dict.fromkeys(name for name in found if name and matches(name)))


def _branches(pattern: str) -> list[str]:
    """`(llama|qwen).*` -> `llama.*`, `qwen.*`; one group of alternatives is enough for names of models."""
    if match := re.fullmatch(r"((?:[^()|\\]|\\.)*)\((?:\?:)?([^()]*)\)((?:[^()|\\]|\\.)*)", pattern):
        return [f"{match[1]}{choice}{match[3]}" for choice in match[2].split("|")]
    return pattern.split("|")


def _crossed(one: str, other: str) -> Iterator[str]:
    """Names with what is particular of both: `gpt-4-mini` of `gpt-4.*` and `.*-mini`."""
    for text, filling in ((one, other), (other, one)):
        yield from samples(text, tuple(samples(filling, ("", "x"))[:4]))


def _filling(wild: str, anything: tuple[str, ...]) -> tuple[str, ...]:
    if wild.startswith("\\d"):
        return ("7", "70")
    if wild.startswith("["):
        return (re.sub(r"[\[\]^\\]", "", wild)[:1],)
    return tuple(filter(None, anything)) if "+" in wild else anything


def _usable(data: Any) -> list[tuple[Path, str, re.Pattern[str]]]:
    """The patterns that are regular expressions."""
    usable = []
    for path, text in find(data, "routing.patterns.[].pattern"):
        if isinstance(text, str):
            try:
                usable.append((path, text, re.compile(text)))
            except (re.error, OverflowError, RecursionError):  # reported as a mistake
                continue
    return usable


def _shell_style(data: Any) -> Iterator[Finding]:
    for path, text, _ in _usable(data):
        if re.search(r"(?<![.\])}\\])[*]", text) and not re.search(r"\\[dws][*]", text):
            meant = re.sub(r"(?<![.\])}\\])[*]", ".*", text)
            yield Finding(
                path, f"is a regular expression, in which * repeats what is before it; perhaps {meant}"
            )


def _patterns(data: Any) -> Iterator[Finding]:
    usable = _usable(data)
    known = [name for _, name in _known(data)]
    for number, (path, text, own) in enumerate(usable):
        names = [*samples(text), *filter(own.fullmatch, known)]
        for earlier, expression, other in usable[:number]:
            taken = [name for name in names if other.fullmatch(name)]
            first = f"routing.patterns[{earlier[2]}]"
            if names and len(taken) == len(names):
                yield Finding(path, f"is never reached: {first} comes first and matches all these names")
                break
            shared = filter(other.fullmatch, [*samples(expression), *_crossed(text, expression)])
            if both := [*taken, *filter(own.fullmatch, shared)]:
                yield Finding(path, f"overlaps with {first}, which comes first: both match {both[0]!r}")


def _named_exactly(data: Any) -> Iterator[Finding]:
    known = {name: section for section, name in _known(data)}
    for path, text, _ in _usable(data):
        name = re.sub(r"\\(.)", r"\1", text)
        if not _META.search(text) and name in known:
            yield Finding(path, f"is never reached: {known[name]} has that name, and comes first")


def _known(data: Any) -> Iterator[tuple[str, str]]:
    """The names that the file defines, each with where."""
    for _, name in find(data, "models.[].name"):
        if isinstance(name, str):
            yield "one of `models`", name
    for path, _ in find(data, "routing.aliases.*"):
        yield "an alias", str(path[-1])
    for _, backend in without_models(data):
        params = backend.get("litellm_params")
        if isinstance(params, dict) and isinstance(params.get("model"), str):
            yield f"backend {backend.get('name')!r}", bare(params["model"])


# --------------------------------------------------------------------------------------------------------------- rules


def _rules(data: Any) -> Iterator[Finding]:
    rules = [(path, rule) for path, rule in find(data, "routing.rules.[]") if isinstance(rule, dict)]
    backends = [backend for _, backend in find(data, "backends.[]") if isinstance(backend, dict)]
    for number, (path, rule) in enumerate(rules):
        wish = "require" if rule.get("require") else "prefer"
        for earlier, other in rules[:number] if rule.get(wish) else ():
            if _covers(other.get("when"), rule.get("when")) and (
                _disjoint(other.get("require"), rule[wish])
                or _met_apart(backends, other.get("require"), rule[wish])
            ):
                effect = "nobody can serve what it is about" if wish == "require" else "it has no effect"
                yield Finding(
                    (*path, wish),
                    f"contradicts routing.rules[{earlier[2]}], which always holds with it: {effect}",
                )


def _covers(general: Any, special: Any) -> bool:
    """Whatever the special conditions hold for, the general ones hold for too."""
    general, special = general or {}, special or {}
    if not isinstance(general, dict) or not isinstance(special, dict):
        return False
    return all(key in special and _includes(value, special[key]) for key, value in general.items())


def _includes(general: Any, special: Any) -> bool:
    if isinstance(general, dict) and isinstance(special, dict):
        return general.items() <= special.items()
    if isinstance(general, bool) or isinstance(special, bool):
        return general is special
    return _texts(special) <= _texts(general)


def _disjoint(demand: Any, wish: Any) -> bool:
    """No deployment is both."""
    if not isinstance(demand, dict) or not isinstance(wish, dict):
        return False
    lists = (key for key in ("backends", "kinds", "models") if demand.get(key) and wish.get(key))
    if any(not _texts(demand[key]) & _texts(wish[key]) for key in lists):
        return True
    here, there = demand.get("labels") or {}, wish.get("labels") or {}
    if any(here[key] != there[key] for key in here.keys() & there.keys()):
        return True
    return None not in (demand.get("local"), wish.get("local")) and demand["local"] is not wish["local"]


def _met_apart(backends: list[dict[str, Any]], demand: Any, wish: Any) -> bool:
    """Each is met by some backend, and none meets both."""
    if not isinstance(demand, dict) or not isinstance(wish, dict):
        return False
    first, second = ([meets(backend, selection) for backend in backends] for selection in (demand, wish))
    return any(first) and any(second) and not any(map(and_, first, second))


def _texts(value: Any) -> set[str]:
    return {str(entry) for entry in value} if isinstance(value, list) else {str(value)}


# --------------------------------------------------------------------------------------------------------------- names


def _kinds(data: Any) -> Iterator[Finding]:
    kinds = _kinds_of_backends(data)
    for pattern in _KINDS if kinds else ():
        for path, value in find(data, pattern):
            for kind in sorted(_texts(value) & set(get_args(Kind)) - kinds):
                yield Finding(path, f"leads nowhere with {kind}: no backend is of that kind")


def _kinds_of_backends(data: Any) -> set[str]:
    """The kinds that there are; none if some are found out at run time."""
    kinds = {str(b.get("kind") or "auto") for _, b in find(data, "backends.[]") if isinstance(b, dict)}
    return set() if "auto" in kinds else kinds


def _names(data: Any) -> Iterator[Finding]:
    """A name that nothing in the file defines: wrong if nothing can turn up by itself, doubtful if it is nearly another."""
    models = [name for _, name in _known(data)]
    chains = [str(path[-1]) for path, _ in find(data, "routing.fallback_chains.*")]
    kinds = _kinds_of_backends(data)
    closed = bool(kinds) and kinds <= _TELLS_NO_MODELS
    for place in _NAMES:
        defined = [*models, *chains] if place in _FALLBACKS else models
        for path, value in find(data, place):
            for name in sorted(_texts(value) - set(defined)) if value else ():
                hint = _typo(name, defined)
                if (closed or hint) and not _is_matched(data, name, place):
                    yield Finding(path, f"names {name!r}, which nothing in this file serves{hint}")


def unstated(data: Any) -> list[str]:
    """The names in `routing` that nothing in the file serves: right only if a backend turns out to have them."""
    models = {name for _, name in _known(data)}
    models |= {name for _, value in find(data, "models.[].deployments.[].model") for name in _texts(value)}
    chains = {str(path[-1]) for path, _ in find(data, "routing.fallback_chains.*")}

    def is_defined(name: str, place: str) -> bool:
        return name in models or _is_matched(data, name, place) or (place in _FALLBACKS and name in chains)

    named = ((place, value) for place in _NAMES for _, value in find(data, place) if value)
    return sorted({name for place, value in named for name in _texts(value) if not is_defined(name, place)})


def _is_matched(data: Any, name: str, place: str) -> bool:
    """A pattern leads to somebody from there."""
    return place in _MAY_MATCH and any(own.fullmatch(name) for _, _, own in _usable(data))


def _chains(data: Any) -> Iterator[Finding]:
    """A chain of no name that anybody has or calls; capabilities are too many to know."""
    called = {name for pattern in _FALLBACKS for _, value in find(data, pattern) for name in _texts(value)}
    defined = [name for _, name in _known(data)]
    for path, _ in find(data, "routing.fallback_chains.*"):
        name = str(path[-1])
        hint = _typo(name, ["default", *defined])
        if hint and name not in {"default", *called, *defined}:
            yield Finding(path, f"is a chain that nothing calls by its name{hint}")


def _typo(name: str, defined: list[str]) -> str:
    """`; did you mean 'x'?` for what is nearly a defined name; one with other digits is another model."""
    digits = re.findall(r"[0-9]+", name)
    near = [other for other in defined if re.findall(r"[0-9]+", other) == digits]
    found = get_close_matches(name, near, n=1, cutoff=0.85)
    return f"; did you mean '{found[0]}'?" if found else ""
