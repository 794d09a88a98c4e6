import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from zoe_grpcd.config import Config, ConfigError, Loaded, defaults, dump, find, load, runtime_directory
from zoe_grpcd.config.backends import Strategy
from zoe_grpcd.config.not_yet import NOT_YET
from zoe_grpcd.core.strategies import STRATEGIES

Load = Callable[..., Loaded]
Mistakes = Callable[..., list[str]]

ENV = {"XDG_RUNTIME_DIR": "/run/user/1"}


def test_no_configuration_has_the_defaults_of_the_contract() -> None:
    config = defaults(ENV)
    assert config.server.listen == ("127.0.0.1:50051", "unix:/run/user/1/zoe-grpcd/grpcd.sock")
    assert config.server.admin_listen == "unix:/run/user/1/zoe-grpcd/admin.sock"
    assert config.server.metrics_listen == "127.0.0.1:9464"
    assert (config.server.drain_timeout, config.server.max_concurrent_streams) == (30.0, 512)
    assert (config.server.max_receive_bytes, config.server.max_request_time) == (32 * 2**20, 600.0)
    assert (config.backends, config.models, config.auth.keys) == ((), (), ())
    assert config.routing.strategy == "usage_based"
    weights = config.routing.weights
    assert (weights.latency, weights.success_rate, weights.cost) == (0.4, 0.4, 0.2)
    assert (config.routing.warm.prefer, config.routing.warm.check_timeout) == (True, 0.1)
    assert config.routing.long_context_tokens == 8000
    reliability = config.reliability
    assert (reliability.max_attempts, reliability.retry_delay) == (3, 0.5)
    assert (reliability.error_threshold, reliability.error_window, reliability.cooldown) == (3, 60.0, 300.0)
    assert (reliability.degraded_weight, reliability.rate_limit_cooldown) == (0.5, 60.0)
    admission = config.admission
    assert (admission.max_queue, admission.max_queue_time, admission.ageing) == (256, 30.0, 10.0)
    assert (config.cache.ttl, config.cache.max_bytes) == (600.0, 64 * 2**20)
    assert config.state.url is None
    assert (config.log.level, config.log.format, config.log.prompts) == ("info", "auto", None)
    assert config.drop_params is config.images.allow_http is False


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}", "server:\nlog:\n  level:\nbackends:\n", "\ufeff"])
def test_an_empty_value_means_the_default(loaded: Load, text: str) -> None:
    assert loaded(text).config == defaults(ENV)


def test_a_backend_needs_a_name_and_a_url_only(loaded: Load) -> None:
    (backend,) = loaded("backends: [{name: a, url: 'http://127.0.0.1:8080/'}]").config.backends
    assert (backend.kind, backend.url, backend.local, backend.api_key) == (
        "auto",
        "http://127.0.0.1:8080",
        True,
        None,
    )
    assert (backend.probe_interval, backend.probe_timeout, backend.connect_timeout) == (5.0, 2.0, 1.0)
    assert (backend.first_token_timeout, backend.idle_timeout) == (None, 30.0)
    assert (backend.weight, backend.max_in_flight, backend.labels) == (1.0, None, {})


@pytest.mark.parametrize(
    ("entry", "url", "local"),
    [
        ("kind: openai", "https://api.openai.com/v1", False),
        ("kind: anthropic", "https://api.anthropic.com", False),
        ("kind: litellm, litellm_params: {model: a/b}", None, False),
        ("kind: openai, url: 'http://10.0.0.2:8000'", "http://10.0.0.2:8000", True),
        ("kind: openai, url: 'http://10.0.0.2:8000', local: no", "http://10.0.0.2:8000", False),
        ("kind: openai, local: true", "https://api.openai.com/v1", True),
    ],
)
def test_a_backend_is_local_where_its_url_is_private(
    loaded: Load, entry: str, url: str | None, local: bool
) -> None:
    (backend,) = loaded(f"backends: [{{name: a, {entry}}}]").config.backends
    assert (backend.url, backend.local) == (url, local)


def test_a_deployment_has_the_name_of_its_model_unless_it_says_otherwise(loaded: Load) -> None:
    (model,) = loaded("""\
        backends: [{name: a, url: 'http://h'}]
        models:
          - name: m
            deployments: [{backend: a}, {backend: a, model: other, weight: 0.5}]
            size: 7B
        """).config.models
    assert [(d.model, d.weight) for d in model.deployments] == [("m", 1.0), ("other", 0.5)]
    assert (model.size, model.context_tokens, model.capabilities) == (7.0, None, None)


def test_a_bundle_holds_what_was_set_and_what_only_the_server_knows(loaded: Load) -> None:
    (model,) = loaded("""\
        backends: [{name: a, url: 'http://h'}]
        models:
          - name: m
            deployments:
              - backend: a
                params: {temperature: 0, stop: END, keep_alive: 10m, num_gpu: -1, think: false, mirostat: 2, top_p:}
        """).config.models
    assert model.deployments[0].params.given() == {
        "temperature": 0.0,
        "stop": ["END"],
        "keep_alive": "10m",
        "num_gpu": -1,
        "think": False,
        "mirostat": 2,
    }


@pytest.mark.parametrize(("value", "kept"), [("0", 0), ("-1", -1), ("1h30m", "1h30m"), ("'0'", 0)])
def test_keep_alive_is_a_duration_or_one_of_two_numbers(loaded: Load, value: str, kept: object) -> None:
    (model,) = loaded(f"""\
        backends: [{{name: a, url: 'http://h'}}]
        models: [{{name: m, deployments: [{{backend: a, params: {{keep_alive: {value}}}}}]}}]
        """).config.models
    assert model.deployments[0].params.keep_alive == kept


def test_an_intent_says_only_what_it_changes(loaded: Load) -> None:
    intents = loaded(
        "routing: {intents: {code: {temperature: 0.1, required: [code]}, vision: {enabled: off}}}"
    )
    code, vision = intents.config.routing.intents.values()
    assert code.given() == {"temperature": 0.1, "required": ["code"]}
    assert vision.given() == {"enabled": False}


def test_weights_are_normalised(loaded: Load) -> None:
    weights = loaded("routing: {weights: {latency: 3, success_rate: 1, cost: 0}}").config.routing.weights
    assert (weights.latency, weights.success_rate, weights.cost) == (0.75, 0.25, 0.0)


def test_an_alias_is_one_model_or_a_group(loaded: Load) -> None:
    aliases = loaded("routing: {aliases: {a: m, b: [m, n], c: b}}").config.routing.aliases
    assert aliases == {"a": ("m",), "b": ("m", "n"), "c": ("b",)}


def test_scalars_are_read_as_yaml_1_2_does(loaded: Load) -> None:
    config = loaded("""\
        drop_params: yes
        images: {allow_http: Off}
        routing:
          aliases: {on: no, 12:30: off, 2024-01-01: 1h}
        """).config
    assert (config.drop_params, config.images.allow_http) == (True, False)
    assert config.routing.aliases == {"on": ("no",), "12:30": ("off",), "2024-01-01": ("1h",)}


def test_anchors_and_merge_keys_work(loaded: Load) -> None:
    config = loaded("""\
        backends:
          - &local {name: a, url: 'http://h', probe_interval: 7s, labels: {x: y}}
          - {<<: *local, name: b}
          - {<<: [{weight: 2}, *local], name: c}
        """).config
    assert [(b.name, b.probe_interval, b.weight) for b in config.backends] == [
        ("a", 7.0, 1.0),
        ("b", 7.0, 1.0),
        ("c", 7.0, 2.0),
    ]


def test_listening_can_be_switched_off_but_for_inference(loaded: Load) -> None:
    server = loaded("server: {admin_listen: off, metrics_listen: off}").config.server
    assert (server.admin_listen, server.metrics_listen) == (None, None)


def test_references_are_filled_in(loaded: Load) -> None:
    config = loaded(
        """\
        server: {max_concurrent_streams: "${STREAMS}", drain_timeout: "${N}s", listen: ["127.0.0.1:${PORT:-7}"]}
        drop_params: ${DROP}
        backends:
          - {name: "${EMPTY:-d}", url: "http://${HOST}:1", labels: {raw: "$${HOST} $HOST $", y: "${YAML}"}}
        """,
        STREAMS="9",
        N="5",
        DROP="true",
        EMPTY="",
        HOST="h",
        YAML="{a: [b]}\nc: d",
    ).config
    assert (config.server.max_concurrent_streams, config.server.drain_timeout) == (9, 5.0)
    assert config.server.listen == ("127.0.0.1:7",)
    assert config.drop_params is True
    (backend,) = config.backends
    assert (backend.name, backend.url) == ("d", "http://h:1")
    assert backend.labels == {"raw": "${HOST} $HOST $", "y": "{a: [b]}\nc: d"}


def test_a_file_reference_is_a_credential_or_a_file_beside_the_configuration(
    loaded: Load, tmp_path: Path
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "cloud").write_text("from-systemd\n")
    (tmp_path / "cloud").write_text("from-folder\r\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "key").write_text("from-sub\n\n")
    text = """\
        backends:
          - {name: a, kind: openai, api_key: "${file:cloud}"}
          - {name: b, kind: openai, api_key: "${file:sub/key}"}
          - {name: c, kind: openai, api_key: "${file:%s}"}
        """ % (tmp_path / "cloud")
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    keys = [b.api_key and b.api_key.get_secret_value() for b in loaded(text, **env).config.backends]
    assert keys == ["from-systemd", "from-sub", "from-folder"]
    keys = [b.api_key and b.api_key.get_secret_value() for b in loaded(text).config.backends]
    assert keys == ["from-folder", "from-sub", "from-folder"]


def test_a_credential_name_does_not_lead_out_of_its_folder(mistakes: Mistakes, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (found,) = mistakes("log: {level: '${file:..}'}", CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert "there is no file for ${file:..}" in found


def test_the_configuration_is_frozen(loaded: Load) -> None:
    config = loaded("").config
    with pytest.raises(ValidationError, match="frozen"):
        config.log.level = "debug"


def test_what_was_loaded_tells_its_source(loaded: Load, tmp_path: Path) -> None:
    result = loaded("log: {level: debug}")
    assert result.source == tmp_path / "config.yaml"
    assert result.sha256 == hashlib.sha256(b"log: {level: debug}").hexdigest()
    assert result.warnings == ()


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("cache: {ttl: 1m}", "1: cache: is not in effect yet: no answer is kept"),
        (
            "state: {url: 'redis://h'}",
            "1: state.url: is not in effect yet: state is kept in a file, and nothing is shared with other daemons",
        ),
        (
            "server: {listen: ['0.0.0.0:50051', '127.0.0.1:1', 'unix:/a']}\nauth: {keys: [{name: a, key: b}]}",
            "1: server.listen[0]: is reached by others without TLS, so that keys and prompts can be read on the way",
        ),
        (
            "routing: {intents: {sumarize: {temperature: 0}}}",
            "so that only callers choose it; did you mean 'summarize'?",
        ),
        (
            (
                "backends: [{name: a, url: 'http://h'}]\n"
                "models: [{name: m, deployments: [{backend: a, params: {temprature: 1}}]}]"
            ),
            (
                "2: models[0].deployments[0].params.temprature: is not known here and goes to the server as it is;"
                " did you mean 'temperature'?"
            ),
        ),
    ],
)
def test_what_is_not_acted_on_is_a_warning(loaded: Load, text: str, warning: str) -> None:
    (problem,) = loaded(text).warnings
    assert warning in f"{problem.line}: {problem.path}: {problem.message}"


@pytest.mark.parametrize(
    "text",
    [
        "routing: {strategy: weighted, classifier: keywords, rules: []}",
        "routing: {intents: {code: {strategy: round_robin}}}",
        "state: {url: memory://}",
        "state: {url: 'sqlite:///srv/zoe/state.db'}",
        "cache: {}",
    ],
)
def test_what_changes_nothing_is_no_warning(loaded: Load, text: str) -> None:
    assert loaded(text).warnings == ()


def test_every_strategy_can_be_configured() -> None:
    assert get_args(Strategy) == tuple(STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_is_set_for_all_or_for_a_model_an_intent_or_a_capability(
    loaded: Load, strategy: str
) -> None:
    config = loaded(
        f"routing: {{strategy: {strategy}, intents: {{code: {{strategy: {strategy}}}}},"
        f" capabilities: {{tools: {{strategy: {strategy}}}}}}}\n"
        f"models: [{{name: m, strategy: {strategy}}}]"
    ).config
    intent, capability = config.routing.intents["code"], config.routing.capabilities["tools"]
    found = (config.routing.strategy, intent.strategy, capability.strategy, config.models[0].strategy)
    assert found == (strategy,) * 4


def test_everything_that_is_not_in_effect_yet_names_an_option_that_exists() -> None:
    from zoe_grpcd.config.section import options

    known = {path.replace(".[]", "[]") for path, _, _ in options(Config)}
    assert {key.split("=")[0].rstrip("^").replace(".[]", "[]") for key in NOT_YET} <= known


def test_the_file_is_the_argument_else_the_environments_else_the_users(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert find({}, None) is None
    assert find(home, None) is None
    usual = tmp_path / ".config" / "zoe-grpcd" / "config.yaml"
    usual.parent.mkdir(parents=True)
    usual.touch()
    assert find(home, None) == usual
    assert find(home | {"XDG_CONFIG_HOME": str(tmp_path / "none")}, None) is None
    assert find({"XDG_CONFIG_HOME": str(tmp_path / ".config")}, None) == usual
    assert find(home | {"ZOE_GRPCD_CONFIG": "/a/b.yaml"}, None) == Path("/a/b.yaml")
    assert find(home | {"ZOE_GRPCD_CONFIG": "/a/b.yaml"}, "c.yaml") == Path("c.yaml")


def test_a_named_file_that_does_not_exist_is_an_error_and_not_a_default(tmp_path: Path) -> None:
    file = find({"ZOE_GRPCD_CONFIG": str(tmp_path / "gone.yaml")}, None)
    assert file is not None
    with pytest.raises(ConfigError):
        load(file, {})


def test_sockets_go_where_only_their_owner_can_write(tmp_path: Path) -> None:
    assert runtime_directory({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7")
    elsewhere = runtime_directory({"HOME": str(tmp_path)})
    assert elsewhere == tmp_path / ".cache" or elsewhere.parent == Path("/run/user")


def test_the_effective_configuration_reads_back_as_the_same(loaded: Load) -> None:
    config = loaded("""\
        server: {metrics_listen: off, drain_timeout: 1500ms}
        backends: [{name: a, url: 'http://h', first_token_timeout: 90s}]
        models: [{name: m, size: 500M, deployments: [{backend: a, params: {stop: [x], extra: {y: 1}}}]}]
        routing: {aliases: {on: m}, weights: {latency: 1}, intents: {code: {temperature: 0.5}}}
        """).config
    again = loaded(dump(config)).config
    assert again.model_dump() == config.model_dump()
    assert dump(again) == dump(config)
