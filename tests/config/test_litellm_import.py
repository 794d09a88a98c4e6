"""LiteLLM proxy files, as they are found in the wild: what becomes of them, and what is said of the rest."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoe_grpcd.config import ConfigError, Loaded, imported, load

FOLDER = Path(__file__).parent / "litellm"
FILES = sorted(FOLDER.glob("*.yaml"))
RUNTIME = {"XDG_RUNTIME_DIR": "/run/user/1"}
SECRETS = ("sk-proj-one", "sk-proj-two", "sk-proj-three", "sk-header", "sk-1234", "sk-lf-literal", "hunter2")


def environment(path: Path) -> dict[str, str]:
    """Each variable that a file refers to, with a value of its kind."""
    names = re.findall(r"os\.environ/(\w+)|\$\{(\w+)\}", path.read_text() + imported(path)[0])
    found = {first or second for first, second in names} - {"OLLAMA_API_BASE"}
    values = {"PORT": "6379", "BASE": "http://127.0.0.1:1"}
    return {name: values.get(name.rpartition("_")[2], f"<{name}>") for name in found} | RUNTIME


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "litellm.yaml"


def ours(path: Path) -> dict[str, Any]:
    """What import prints, as plain values."""
    data: dict[str, Any] = yaml.safe_load(imported(path)[0])
    return data


def notes(path: Path) -> dict[str, str]:
    return {note.path: note.message for note in imported(path)[1]}


def made(file: Path, text: str) -> dict[str, Any]:
    file.write_text(text, encoding="utf-8")
    return ours(file)


def entry(model: str, **params: Any) -> str:
    """A file with one entry."""
    return yaml.safe_dump({"model_list": [{"model_name": "m", "litellm_params": {"model": model, **params}}]})


def read(path: Path, env: Mapping[str, str] | None = None) -> Loaded:
    return load(path, RUNTIME if env is None else env)


# ------------------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_import_prints_is_a_configuration(path: Path, file: Path) -> None:
    file.write_text(imported(path)[0], encoding="utf-8")
    loaded = read(file, environment(path))
    assert loaded.config.backends
    assert all("not in effect yet" in warning.message for warning in loaded.warnings)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_litellm_file_in_place_of_ours_is_what_import_makes_of_it(path: Path, file: Path) -> None:
    file.write_text(imported(path)[0], encoding="utf-8")
    env = environment(path)
    direct, by_way = read(path, env).config, read(file, env).config
    assert direct.model_dump(mode="json") == by_way.model_dump(mode="json")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_secret_is_printed(path: Path) -> None:
    text, said = imported(path)
    whole = text + "".join(map(str, said))
    assert [secret for secret in SECRETS if secret in whole] == []


def test_a_key_that_nobody_knows_is_listed_wherever_it_stands(file: Path) -> None:
    file.write_text(
        """
        model_list:
          - {model_name: m, litellm_params: {model: ollama/m, rpm: 3}, model_info: {wonder: 1}, marvel: 2}
        router_settings: {wonder: [1], fallbacks: []}
        litellm_settings: {wonder: {deep: 1}}
        general_settings: {wonder: 0}
        wonders: [1, 2]
        """
    )
    assert {path for path, message in notes(file).items() if "no counterpart" in message} == {
        "model_list[0].litellm_params.rpm",
        "model_list[0].model_info.wonder",
        "model_list[0].marvel",
        "router_settings.wonder",
        "litellm_settings.wonder",
        "general_settings.wonder",
        "wonders",
    }


# ------------------------------------------------------------------------------------------------------------ places


@pytest.mark.parametrize(
    ("model", "params", "backend", "served"),
    [
        ("ollama/llama3:8b", {"api_base": "http://h:11434/"}, {"kind": "ollama", "url": "http://h:11434"}, "llama3:8b"),
        ("ollama_chat/x", {"api_base": "http://h:1/v1"}, {"kind": "ollama", "url": "http://h:1"}, "x"),
        ("openai/qwen", {"api_base": "http://10.0.0.2:8080/v1"}, {"kind": "auto", "url": "http://10.0.0.2:8080"}, "qwen"),
        ("hosted_vllm/a/b", {"api_base": "http://gpu:8000/v1"}, {"kind": "auto", "url": "http://gpu:8000"}, "a/b"),
        ("a/b", {"api_base": "http://gpu:8000", "custom_llm_provider": "openai"}, {"kind": "auto"}, "a/b"),
        ("openai/x", {"api_base": "https://api.example.com/v1"}, {"kind": "openai", "url": "https://api.example.com/v1"}, "x"),
        ("gpt-4o", {}, {"kind": "openai", "api_key": "${OPENAI_API_KEY}"}, "gpt-4o"),
        ("claude-sonnet-4-5", {}, {"kind": "anthropic", "api_key": "${ANTHROPIC_API_KEY}"}, "claude-sonnet-4-5"),
        ("groq/x", {}, {"kind": "litellm", "litellm_params": {"model": "groq/x"}}, None),
        ("bedrock/a.b-v1:0", {"aws_region_name": "us-east-1"}, {"kind": "litellm"}, None),
        ("openai/gpt-4o", {"organization": "o"}, {"kind": "litellm"}, None),
        ("huggingface/x", {"api_base": "http://tgi:80"}, {"kind": "litellm", "local": True}, None),
    ],
)  # fmt: skip
def test_where_a_model_is(
    file: Path, model: str, params: dict[str, Any], backend: dict[str, Any], served: str | None
) -> None:
    data = made(file, entry(model, **params))
    assert {key: data["backends"][0].get(key) for key in backend} == backend
    assert data["models"][0]["deployments"][0].get("model") == served


def test_a_variable_of_the_environment_is_referred_to_as_ours_are(file: Path) -> None:
    data = made(file, entry("ollama/x", api_base="os.environ/BOX", timeout="os.environ/LIMIT"))
    assert data["backends"][0] == {
        "name": "ollama",
        "kind": "ollama",
        "url": "${BOX}",
        "first_token_timeout": "${LIMIT}s",
    }


def test_what_looks_like_a_reference_of_ours_is_none_there(file: Path) -> None:
    file.write_text(entry("ollama/x", stop=["${END}"]))
    assert read(file).config.models[0].deployments[0].params.stop == ("${END}",)


def test_sampling_goes_into_the_bundle_where_a_caller_can_overrule_it(file: Path) -> None:
    data = made(file, entry("groq/x", temperature=0.1, max_tokens=50, api_version="1", keep_alive=30))
    assert data["models"][0]["deployments"][0]["params"] == {
        "keep_alive": "30s",
        "max_output_tokens": 50,
        "temperature": 0.1,
    }
    assert data["backends"][0]["litellm_params"] == {"model": "groq/x", "api_version": "1"}


def test_a_key_of_the_file_is_used_when_the_file_is(file: Path) -> None:
    file.write_text(entry("gpt-4o", api_key="sk-proj-one"))
    backend = load(file, {"OPENAI_API_KEY": "another"}).config.backends[0]
    assert backend.api_key is not None
    assert backend.api_key.get_secret_value() == "sk-proj-one"


@pytest.mark.parametrize(
    "other", [{"api_key": "os.environ/OPENAI_API_KEY"}, {}], ids=["referred", "by default"]
)
@pytest.mark.parametrize("first", [True, False])
def test_a_key_of_the_file_is_told_from_the_one_in_the_environment(
    file: Path, other: dict[str, str], first: bool
) -> None:
    """Neither server gets the other's."""
    at_home = {"model": "openai/mine", "api_base": "http://127.0.0.1:1234/v1", "api_key": "sk-home"}
    given = [at_home, {"model": "openai/gpt-4o", **other}]
    entries = [{"model_name": f"m{n}", "litellm_params": params} for n, params in enumerate(given)]
    file.write_text(yaml.safe_dump({"model_list": entries if first else entries[::-1]}))
    loaded = read(file, RUNTIME | {"OPENAI_API_KEY": "sk-cloud"}).config
    keys = {backend.kind: backend.api_key for backend in loaded.backends}
    assert {kind: key and key.get_secret_value() for kind, key in keys.items()} == {
        "auto": "sk-home",
        "openai": "sk-cloud",
    }
    written = {backend["kind"]: backend["api_key"] for backend in ours(file)["backends"]}
    assert written["openai"] == "${OPENAI_API_KEY}" != written["auto"]


def test_an_unset_variable_is_a_mistake_at_its_entry(file: Path) -> None:
    file.write_text(
        "model_list:\n- model_name: m\n  litellm_params: {model: gpt-4o, api_key: os.environ/NOT_SET}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert [str(problem) for problem in caught.value.problems] == [
        f"{file}:2: backends[0].api_key: environment variable NOT_SET is not set; set it, or write ${{NOT_SET:-default}}"
    ]


# ------------------------------------------------------------------------------------------------------------ groups


def test_entries_of_one_name_share_it_by_their_rates(file: Path) -> None:
    azure = ours(FOLDER / "azure.yaml")
    assert azure["models"] == [
        {
            "name": "gpt-4o",
            "deployments": [{"backend": "azure-gpt-4o-eu"}, {"backend": "azure-gpt-4o-ca", "weight": 0.3333}],
        }
    ]
    assert azure["backends"][0]["litellm_params"]["base_model"] == "azure/gpt-4o"


def test_two_models_of_one_server_under_one_name_are_a_group(file: Path) -> None:
    data = ours(FOLDER / "one_server_two_models.yaml")
    assert [model["name"] for model in data["models"]] == ["llama3.1:8b", "qwen2.5:7b"]
    assert data["routing"]["aliases"] == {"assistant": ["llama3.1:8b", "qwen2.5:7b"]}
    assert "weight" not in data["models"][0]["deployments"][0], "which counts for a shuffle alone"
    assert (
        "simple-shuffle"
        in notes(FOLDER / "one_server_two_models.yaml")["model_list[0].litellm_params.weight"]
    )


@pytest.mark.parametrize(
    ("strategy", "weights", "of_model"),
    [
        ("", [0.25, None], "simple_shuffle"),
        ("simple-shuffle", [0.25, None], None),
        ("latency-based-routing", [None, None], None),
    ],
)
def test_shares_are_those_of_a_shuffle(
    file: Path, strategy: str, weights: list[float | None], of_model: str | None
) -> None:
    """Which is LiteLLM's default; by our own default the larger share would get everything."""
    boxes = {"http://10.0.0.1:11434": 100, "http://10.0.0.2:11434": 400}
    content = {
        "model_list": [
            {"model_name": "m", "litellm_params": {"model": "ollama/m", "api_base": url, "rpm": rpm}}
            for url, rpm in boxes.items()
        ],
        "router_settings": {"routing_strategy": strategy} if strategy else {},
    }
    (model,) = made(file, yaml.safe_dump(content))["models"]
    assert [deployment.get("weight") for deployment in model["deployments"]] == weights
    assert model.get("strategy") == of_model


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("local-*", r"local\-(?P<model>.+)"),
        ("my/*-eu", r"my/(?P<model>.+)\-eu"),
        ("*", None),
    ],
)
def test_names_around_a_star_lead_to_the_servers_own(file: Path, name: str, pattern: str | None) -> None:
    star = entry("hosted_vllm/*", api_base="http://10.0.0.2:8000/v1").replace("name: m", f"name: '{name}'")
    found = made(file, star).get("routing", {}).get("patterns", [])
    assert [each["pattern"] for each in found] == ([pattern] if pattern else [])


def test_the_form_of_an_answer_belongs_to_the_request(file: Path) -> None:
    own = {"format": "json", "extra_body": {"min_p": 0.1, "response_format": {"type": "json_object"}}}
    data = made(file, entry("ollama/m", **own))
    assert data["models"][0]["deployments"][0]["params"] == {"min_p": 0.1}
    said = notes(file)
    assert "has no counterpart" in said["model_list[0].litellm_params.format"]
    assert "belongs to the request" in said["model_list[0].litellm_params.extra_body.response_format"]


def test_of_two_times_the_one_to_the_first_token_counts(file: Path) -> None:
    data = made(file, entry("ollama/m", timeout=300, stream_timeout=60))
    assert data["backends"][0]["first_token_timeout"] == "60s"
    assert "gives way" in notes(file)["model_list[0].litellm_params.timeout"]


def test_prices_that_differ_are_those_of_the_deployments() -> None:
    writer = ours(FOLDER / "cost.yaml")["models"][0]
    assert "cost" not in writer
    assert [d["cost"]["input_per_mtok_usd"] for d in writer["deployments"]] == [2.5, 0.3]


def test_models_that_do_not_chat_are_left_out() -> None:
    assert notes(FOLDER / "azure.yaml")["model_list[2]"] == "is no chat model but for embedding: left out"
    assert "left out" in notes(FOLDER / "self_hosted.yaml")["model_list[4]"]


def test_a_wildcard_is_the_server_that_lists_its_models() -> None:
    data, said = ours(FOLDER / "wildcards.yaml"), notes(FOLDER / "wildcards.yaml")
    assert [(b["kind"], b.get("url")) for b in data["backends"]] == [
        ("openai", None),
        ("openai", "https://api.groq.com/openai/v1"),
        ("ollama", "http://localhost:11434"),
    ]
    assert all("left out" in said[f"model_list[{index}]"] for index in (2, 3))
    assert data["routing"]["patterns"] == [
        {"pattern": "openai/(?P<model>.+)", "backends": ["openai"]},
        {"pattern": "groq/(?P<model>.+)", "backends": ["api.groq.com"]},
        {"pattern": "local/(?P<model>.+)", "backends": ["ollama"]},
    ]


@pytest.mark.parametrize(
    "key", ["region_name", "itpm", "output_cost_per_reasoning_token", "tag_regex", "tiered_pricing"]
)
def test_what_only_litellm_understands_is_listed_and_sent_to_no_server(file: Path, key: str) -> None:
    data = made(file, entry("openai/m", api_base="http://127.0.0.1:1/v1", **{key: "eu"}))
    assert "params" not in data["models"][0]["deployments"][0]
    assert notes(file)[f"model_list[0].litellm_params.{key}"] == "has no counterpart"


# ---------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("theirs", "strategy"),
    [
        ("simple-shuffle", "simple_shuffle"),
        ("least-busy", "least_loaded"),
        ("usage-based-routing", "usage_based"),
        ("usage-based-routing-v2", "usage_based"),
        ("latency-based-routing", "fastest_response"),
        ("cost-based-routing", "lowest_cost"),
    ],
)
def test_strategies(file: Path, theirs: str, strategy: str) -> None:
    data = made(file, f"{entry('ollama/m')}\nrouter_settings: {{routing_strategy: {theirs}}}")
    assert data["routing"]["strategy"] == strategy


def steps_of(path: Path) -> dict[str, Any]:
    return {name: chain["steps"] for name, chain in ours(path)["routing"]["fallback_chains"].items()}


@pytest.mark.parametrize(
    ("settings", "attempts"), [("num_retries: 0, ", 3), ("num_retries: 4, ", 7), ("", 5)]
)
def test_a_fallback_is_tried_however_few_the_retries_are(file: Path, settings: str, attempts: int) -> None:
    """There they are those of one model; here attempts are all that a request gets."""
    router = f"router_settings: {{{settings}fallbacks: [{{m: [n, o]}}]}}"
    assert (
        made(file, f"{entry('ollama/m')}\n{router}")["routing"]["fallback_chains"]["m"]["max_attempts"]
        == attempts
    )


@pytest.mark.parametrize(
    "model", ["dall-e-3", "ollama/nomic-embed-text", "azure/my-whisper", "jina_ai/my-reranker"]
)
def test_a_model_whose_name_says_that_it_does_not_chat_is_left_out(file: Path, model: str) -> None:
    assert not made(file, entry(model))
    assert "is no chat model but for" in notes(file)["model_list[0]"]


def test_fallbacks_are_chains() -> None:
    assert steps_of(FOLDER / "home.yaml") == {
        "chat": [{"models": ["big"], "when": "context_too_long"}, {"models": ["big"]}],
        "coder": [{"models": ["chat"]}, {"models": ["big"]}],
    }
    assert steps_of(FOLDER / "anchors.yaml") == {
        "smart": [{"models": ["fast"]}],
        "default": [{"models": ["fast"]}],
    }
    assert "content_policy_fallbacks" in " ".join(notes(FOLDER / "self_hosted.yaml"))


def test_retries_and_cooldowns() -> None:
    assert ours(FOLDER / "home.yaml")["reliability"] == {
        "max_attempts": 3,
        "error_threshold": 4,
        "error_window": "60s",
        "cooldown": "30s",
    }


def test_a_setting_in_several_sections_counts_as_it_does_there() -> None:
    path = FOLDER / "router_in_general.yaml"
    assert ours(path)["reliability"] == {"max_attempts": 6}
    assert notes(path)["general_settings.num_retries"] == "is given elsewhere too, which counts"


def test_aliases(file: Path) -> None:
    assert ours(FOLDER / "home.yaml")["routing"]["aliases"] == {"gpt-4o-mini": ["chat"]}
    assert ours(FOLDER / "credentials.yaml")["routing"]["aliases"] == {"small": ["My-Small-Model"]}


def test_a_redis_in_parts_is_an_address_with_a_reference_to_its_password() -> None:
    assert (
        ours(FOLDER / "azure.yaml")["state"]["url"]
        == "redis://:${REDIS_PASSWORD}@${REDIS_HOST}:${REDIS_PORT}"
    )
    assert ours(FOLDER / "router_in_general.yaml")["cache"] == {
        "url": "redis://:${REDIS_PASSWORD}@redis.home:6379",
        "ttl": "600s",
    }


def test_a_master_key_is_a_key_that_may_do_everything() -> None:
    path = FOLDER / "azure.yaml"
    (key,) = read(path, environment(path)).config.auth.everyone
    assert (key.name, key.models, key.priority, key.admin) == ("master", ("*",), "critical", True)
    assert ours(path)["auth"]["keys"][0]["key"] == "${LITELLM_MASTER_KEY}"


# ---------------------------------------------------------------------------------------------------------- mistakes


def test_what_is_no_litellm_file_is_refused(file: Path) -> None:
    file.write_text("backends: []\n")
    with pytest.raises(ConfigError, match="is no LiteLLM proxy file"):
        imported(file)


def test_every_mistake_is_reported_at_its_line(file: Path) -> None:
    file.write_text("model_list:\n- litellm_params: {model: a/b}\n- model_name: x\n- 3\n")
    expected = [(2, "model_list[0]"), (3, "model_list[1]"), (4, "model_list[2]")]
    for act in (imported, read):
        with pytest.raises(ConfigError) as caught:
            act(file)
        assert [
            (p.line, p.path) for p in caught.value.problems if p.path.startswith("model_list")
        ] == expected


def test_a_value_that_ours_cannot_be_is_a_mistake_at_its_entry(file: Path) -> None:
    file.write_text(entry("ollama/x", temperature=9))
    with pytest.raises(ConfigError, match="temperature: must be at most 2, not 9") as caught:
        load(file, {})
    assert caught.value.problems[0].line == 2


# Any value where LiteLLM has keys: what is not understood is listed or a mistake, and never a crash.
WORDS = st.sampled_from(
    ["a", "ollama/x", "openai/y", "os.environ/X", "http://h:1", "gpt-4o", "*", "simple-shuffle", "", "${"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10**7)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def mapping(keys: str, values: st.SearchStrategy[Any] = VALUES) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys.split()), values, max_size=5)


PARAMS = mapping(
    "model api_base base_url api_key custom_llm_provider temperature max_tokens stop num_ctx keep_alive weight rpm tpm timeout"
    " stream_timeout max_parallel_requests tags extra_headers extra_body organization input_cost_per_token"
    " litellm_credential_name other"
)
ENTRIES = st.fixed_dictionaries(
    {"model_name": WORDS, "litellm_params": PARAMS | VALUES},
    optional={
        "model_info": mapping("mode id base_model max_tokens max_input_tokens supports_vision") | VALUES
    },
)
MODEL_LISTS = st.lists(ENTRIES | VALUES, max_size=3) | VALUES
SECTIONS = {
    "router_settings": mapping(
        "routing_strategy num_retries timeout cooldown_time allowed_fails fallbacks default_fallbacks model_group_alias"
        " context_window_fallbacks redis_host redis_port redis_password redis_url default_litellm_params stream_timeout retry_after"
    )
    | VALUES,
    "litellm_settings": mapping(
        "drop_params cache cache_params fallbacks model_alias_map set_verbose json_logs request_timeout"
    ),
    "general_settings": mapping("master_key database_url routing_strategy"),
    "environment_variables": VALUES,
    "credential_list": VALUES,
}


@given(data=st.fixed_dictionaries({"model_list": MODEL_LISTS}, optional=SECTIONS))
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_in_such_a_file_is_a_crash(data: dict[str, Any], file: Path) -> None:
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    for act in (imported, read):
        with suppress(ConfigError):
            act(file)
