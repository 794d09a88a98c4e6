from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import Authority

from zoe_grpcd.config import ConfigError, load

Mistakes = Callable[..., list[str]]

OLLAMA = "backends: [{name: o, kind: ollama, url: 'http://127.0.0.1:11434'}]\n"

TABLE = [
    # what is wrong with a key
    ("sever: {}", ["1: sever: is not known here; did you mean 'server'?"]),
    ("log:\n  levl: info", ["2: log.levl: is not known here; did you mean 'level'?"]),
    ("log: {x: 1}", ["1: log.x: is not known here; known are level, format, prompts"]),
    ("sever:", ["1: sever: is not known here; did you mean 'server'?"]),
    (
        "log:\n  level: info\n  level: debug",
        ["3: log.level: is given twice, first on line 2; keep one of them"],
    ),
    ("? [a]\n: 1", ["1: has a key that is not plain text"]),
    (
        "routing:\n  intents:\n    gossip: {keyword: [x]}",
        ["3: routing.intents.gossip.keyword: is not known here; did you mean 'keywords'?"],
    ),
    # what is wrong with a value
    (
        "log: {level: inf}",
        ["1: log.level: must be one of debug, info, warning, error, not 'inf'; did you mean 'info'?"],
    ),
    ("log: {level: INFO}", ["not 'INFO'; did you mean 'info'?"]),
    (
        "log: {prompts: ../said.jsonl}",
        ["1: log.prompts: must be never, or the absolute path of a file NAME.jsonl"],
    ),
    ("log: {prompts: off}", ["1: log.prompts: must be"]),
    (
        "log: {prompts: always}",
        [
            "1: log.prompts: must be never, or the absolute path of a file NAME.jsonl, or one below the state folder, not 'always'"
        ],
    ),
    ("server: 5", ["1: server: has to be a mapping, not a number"]),
    ("- a", ["1: has to be a mapping, not a list"]),
    ("just text", ["1: has to be a mapping, not text"]),
    ("backends: {o: 1}", ["1: backends: has to be a list, not a mapping"]),
    ("backends: [o]", ["1: backends[0]: has to be a mapping, not text"]),
    ("backends:\n-", ["2: backends[0]: has to be a mapping, not empty"]),
    (
        "server: {max_concurrent_streams: lots}",
        ["1: server.max_concurrent_streams: must be a whole number, not 'lots'"],
    ),
    (
        "server: {max_concurrent_streams: 1.5}",
        ["1: server.max_concurrent_streams: must be a whole number, not 1.5"],
    ),
    (
        "server: {max_concurrent_streams: true}",
        ["1: server.max_concurrent_streams: must be a whole number, not true"],
    ),
    ("server: {max_concurrent_streams: 0}", ["1: server.max_concurrent_streams: must be at least 1, not 0"]),
    ("server: {drain_timeout: 30}", ["1: server.drain_timeout: needs a unit, like 30s, 500ms or 1h30m"]),
    (
        "server: {max_request_time: soon}",
        ["1: server.max_request_time: must be a duration like 30s, 500ms or 1h30m, not 'soon'"],
    ),
    ("server: {max_request_time: 0}", ["1: server.max_request_time: must be more than 0, not 0"]),
    (
        "server: {max_receive_bytes: 32 MB!}",
        ["1: server.max_receive_bytes: must be a size like 64MiB, 500MB or 8GiB"],
    ),
    ("server: {listen: []}", ["1: server.listen: must not be empty"]),
    ("server: {listen: '127.0.0.1:1'}", ["1: server.listen: has to be a list, not text"]),
    (
        "server:\n  listen:\n  - 127.0.0.1:50051\n  - 127.0.0.1",
        [
            "4: server.listen[1]: must be host:port like 127.0.0.1:50051, or unix:/path/to/socket, not '127.0.0.1'"
        ],
    ),
    (
        "server: {admin_listen: 'unix:here'}",
        [
            (
                "1: server.admin_listen: must be an absolute path after unix:, like unix:/run/zoe-grpcd/grpcd.sock,"
                " not 'unix:here'"
            )
        ],
    ),
    ("drop_params: maybe", ["1: drop_params: must be true or false, not 'maybe'"]),
    ("drop_params: 1", ["1: drop_params: must be true or false, not 1"]),
    ("routing: {weights: {latency: -1}}", ["1: routing.weights.latency: must be at least 0, not -1"]),
    ("routing: {weights: {latency: .nan}}", ["1: routing.weights.latency: must be a number, not '.nan'"]),
    (
        "routing: {weights: {latency: 0, success_rate: 0, cost: 0}}",
        ["1: routing.weights: must not all be 0, or nothing would decide"],
    ),
    (
        "routing: {strategy: usage}",
        [
            (
                "1: routing.strategy: must be one of usage_based, round_robin, weighted, least_loaded, fastest_response,"
                " most_capacity, lowest_cost, simple_shuffle, not 'usage'; did you mean 'usage_based'?"
            )
        ],
    ),
    ("routing: {aliases: {a: 5}}", ["1: routing.aliases.a: has to be a list, not a number"]),
    (
        "routing: {fallback_chains: {default: [{kinds: nobody}]}}",
        [
            (
                "1: routing.fallback_chains.default[0].kinds: must be one of llamacpp, llama-cpp-python, ollama, vllm, openai, "
                "anthropic, triton, litellm, not 'nobody'"
            )
        ],
    ),
    ("routing: {aliases: {a: []}}", ["1: routing.aliases.a: must not be empty"]),
    (
        "routing: {aliases: {'a b': c}}",
        ['1: routing.aliases."a b": the name must be of 1 to 200 characters without blanks'],
    ),
    (
        "routing: {intents: {w: {patterns: ['(']}}}",
        [
            "1: routing.intents.w.patterns[0]: must be a regular expression, not '(': missing ), unterminated subpattern"
        ],
    ),
    ("routing: {intents: {chat: {favours: none}}}", ["must be one of latency, quality, context, not 'none'"]),
    (
        "routing: {intents: {chat: {enabled: false}}}",
        ["1: routing.intents.chat.enabled: must be true; chat is what"],
    ),
    ("routing: {intents: {w: {keywords: ['']}}}", ["1: routing.intents.w.keywords[0]: must not be empty"]),
    (
        "routing: {intents: {w: {keywords: ['{nope}']}}}",
        ["must be a word or a phrase like `turn on .. light|lights`, not '{nope}': "],
    ),
    # a backend
    (
        "backends:\n- kind: ollama",
        ["2: backends[0].name: is missing", "2: backends[0].url: is missing; kind ollama"],
    ),
    (
        "backends: [{name: x}]",
        ["1: backends[0].url: is missing; kind auto needs one, like http://127.0.0.1:8080"],
    ),
    (
        "backends:\n- {name: x, url: 'localhost:11434'}",
        ["2: backends[0].url: must be a URL that begins with http:// or https://, not 'localhost:11434'"],
    ),
    (
        "backends: [{name: x, url: 'http://'}]",
        ["must be a URL with a host, like http://127.0.0.1:8080, not 'http://'"],
    ),
    ("backends: [{name: x, url: 'http://h:99999'}]", ["must be a URL with a port of 0 to 65535"]),
    ("backends: [{name: x, url: 'http://h?a=1'}]", ["must be a URL without ? and #, not 'http://h?a=1'"]),
    (
        "backends: [{name: x, url: 'http://me:pw@h'}]",
        ["1: backends[0].url: must be a URL without user and password; put a key into api_key"],
    ),
    (
        "backends:\n- {name: x, url: 'http://h'}\n- {name: x, url: 'http://i'}",
        ["3: backends[1].name: is the name of an earlier entry too; each needs its own"],
    ),
    (
        "backends: [{name: x, kind: litellm}]",
        ["1: backends[0].litellm_params: is missing; kind litellm needs at least {model: provider/name}"],
    ),
    (
        "backends: [{name: x, url: 'http://h', litellm_params: {model: a/b}}]",
        ["1: backends[0].litellm_params: is for kind litellm only"],
    ),
    ("backends: [{name: x, url: 'http://h', api_key: [a]}]", ["1: backends[0].api_key: must be text"]),
    # a model
    (
        OLLAMA + "models:\n- name: m\n  deployments:\n  - backend: oo",
        ["5: models[0].deployments[0].backend: must be the name of one of `backends`, not 'oo'"],
    ),
    (
        "models: [{name: m, deployments: [{backend: o}]}]",
        ["must be the name of one of `backends`, not 'o'; `backends` has none"],
    ),
    (
        "models: [{name: m}, {name: m}]",
        ["1: models[1].name: is the name of an earlier entry too; each needs its own"],
    ),
    (
        "models: [{name: auto}]",
        ["1: models[0].name: is taken: it asks the daemon to choose; use another name"],
    ),
    (
        "models: [{name: m, size: 7}]",
        ["1: models[0].size: must be a number of parameters like 7B, 1.5B or 500M, not 7"],
    ),
    ("models: [{name: m, quality: {chat: 1.5}}]", ["1: models[0].quality.chat: must be at most 1, not 1.5"]),
    (
        OLLAMA + "models: [{name: m, deployments: [{backend: o, params: {format: json}}]}]",
        ["2: models[0].deployments[0].params.format: has no place in a bundle: it belongs to the request"],
    ),
    (
        OLLAMA
        + "models: [{name: m, deployments: [{backend: o, params: {temperature: 3, num_ctx: 0, api_key: k}}]}]",
        [
            "2: models[0].deployments[0].params.api_key: has no place in a bundle",
            "2: models[0].deployments[0].params.num_ctx: must be at least 1, not 0",
            "2: models[0].deployments[0].params.temperature: must be at most 2, not 3",
        ],
    ),
    # what does not fit together
    (
        "routing:\n  aliases:\n    a: b\n    b: [c, a]",
        [
            "3: routing.aliases.a: stands for itself in the end; it has to lead to a model",
            "4: routing.aliases.b: stands for itself in the end; it has to lead to a model",
        ],
    ),
    (
        "models: [{name: m}]\nrouting: {aliases: {m: n}}",
        ["2: routing.aliases.m: is the name of one of `models` too, which comes first; use another name"],
    ),
    (
        OLLAMA + "routing: {rules: [{prefer: {backends: [zz]}, require: {local: true}}, {}]}",
        [
            "2: routing.rules[0]: needs prefer, require or fallback, and not both of prefer and require",
            "2: routing.rules[0].prefer.backends[0]: must be the name of one of `backends`, not 'zz'",
            "2: routing.rules[1]: needs prefer, require or fallback, and not both",
        ],
    ),
    (
        "server: {listen: ['0.0.0.0:50051', '127.0.0.1:1', '[::]:2']}",
        [
            (
                "1: server.listen[0]: must be a loopback address like 127.0.0.1:50051, or a unix socket, not '0.0.0.0:50051'"
                "; without auth.keys, anyone who reaches it could use your models and your cloud keys"
            ),
            "1: server.listen[2]: must be a loopback address",
        ],
    ),
    *(
        (
            f"server: {{admin_listen: '{address}'}}\nauth: {{keys: [{keys}]}}",
            [
                (
                    "1: server.admin_listen: must be a unix socket, or there has to be a key with admin: true in auth.keys,"
                    f" not '{address}'; anyone on this machine reaches a port"
                )
            ],
        )
        for address in ("myhost:50052", "127.0.0.1:1", "[::1]:0")
        for keys in ("", "{name: a, key: b}", "{name: a, key: b, admin: false}")
    ),
    # keys
    (
        "auth: {keys: [{name: a, key: 'a b'}, {name: b, key: é}, {name: c, key_sha256: abc}, {name: d, key: ''}]}",
        [
            "1: auth.keys[0].key: must be of visible ASCII characters without blanks, since metadata carries no others",
            "1: auth.keys[1].key: must be of visible ASCII characters without blanks",
            "1: auth.keys[2].key_sha256: must be a SHA-256, which is 64 hexadecimal digits",
            "1: auth.keys[3].key: must not be empty",
        ],
    ),
    (
        "auth: {keys: [{name: a, key_sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}]}",
        ["1: auth.keys[0].key_sha256: must be the SHA-256 of a key; this is that of an empty text"],
    ),
    (
        "auth: {keys: [{name: a, key: same}, {name: b, key: same}]}",
        ["1: auth.keys: must not have the same key twice, as a and b"],
    ),
    (
        "auth: {keys: [{name: a, key: b, rpm: 0, tpm: -1, max_concurrent: x, daily_budget_usd: -1, cost_weight: 2}]}",
        [
            "1: auth.keys[0].cost_weight: must be at most 1, not 2",
            "1: auth.keys[0].daily_budget_usd: must be at least 0, not -1",
            "1: auth.keys[0].max_concurrent: must be a whole number, not 'x'",
            "1: auth.keys[0].rpm: must be at least 1, not 0",
            "1: auth.keys[0].tpm: must be at least 1, not -1",
        ],
    ),
    (
        "server: {metrics_listen: '0.0.0.0:9464'}",
        ["1: server.metrics_listen: must be a loopback address like 127.0.0.1:50051, or a unix socket"],
    ),
    # references
    (
        "log:\n  level: ${LEVEL}",
        ["2: log.level: environment variable LEVEL is not set; set it, or write ${LEVEL:-default}"],
    ),
    (
        "log: {level: '${LEVEL'}",
        ["1: log.level: must hold ${VAR}, ${VAR:-default} or ${file:NAME} after '${'"],
    ),
    ("log: {level: '${1}'}", ["1: log.level: must hold ${VAR}, ${VAR:-default} or ${file:NAME} after '${'"]),
    (
        "log: {level: '${A}${B}'}",
        ["environment variable A is not set; set it, or write ${A:-default}; environment"],
    ),
    ("log: {level: '${file:nope}'}", ["1: log.level: there is no file for ${file:nope}; looked at "]),
    (
        "backends: [{name: '${N}', url: 'http://h'}]",
        ["1: backends[0].name: environment variable N is not set"],
    ),
    ("backends: [{name: x, url: '${U}'}]", ["1: backends[0].url: environment variable U is not set"]),
    (
        "reliability: {first_token_least: 20m}",
        ["1: reliability.first_token_least: first_token_least must be at most first_token_most"],
    ),
    # YAML itself
    ("log: {level: info", ["is not YAML: expected ',' or '}', but got '<stream end>'"]),
    ("log:\n  level: info\n format: json", ["3: : is not YAML: "]),
    ("log:\n\tlevel: info", ["2: : is not YAML: found character '\\t' that cannot start any token"]),
    ("backends: [{name: a, api_key: ${KEY}}]", ["inside [...] and {...}, put ${...} in quotes"]),
    ("a: 1\n---\nb: 2", ["2: : is not YAML: but found another document"]),
    ("log: *nowhere", ["1: : is not YAML: found undefined alias"]),
    ("log: \x01", ["1: : holds a character that YAML does not allow"]),
    ("log: &a {level: *a}", ["1: log.level: holds itself through a YAML alias"]),
    ("log: {level: !!python/name:os.system ''}", ["1: log.level: has a YAML tag that has no meaning here"]),
    ("log: !x {}", ["1: log: has a YAML tag that has no meaning here; leave it out"]),
    ("log: {<<: 5}", ["1: log: must have a mapping, or a list of mappings, behind <<"]),
    ("[" * 3000, [": is nested too deeply"]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=[repr(text)[:60] for text, _ in TABLE])
def test_a_mistake_is_reported_at_its_line_and_path(
    mistakes: Mistakes, text: str, expected: list[str]
) -> None:
    found = [line.replace(": : has", ": has") for line in mistakes(text)]
    assert len(found) == len(expected), found
    for line, part in zip(found, expected, strict=True):
        assert part in line


def test_all_mistakes_come_at_once_and_in_the_order_of_the_file(mistakes: Mistakes) -> None:
    found = mistakes("""\
        server:
          drain_timeout: 30
          listen: [0.0.0.0:1]
        backends:
          - {name: a, kind: ollma, url: 'http://h'}
          - {name: a, url: 'http://i', api_key: '${NOPE}', api_key: x}
        models:
          - {name: m, deployments: [{backend: b}], sise: 7B}
        routing: {aliases: {x: x}}
        cache: {url: 'ftp://x'}
        auth: {keys: [{name: k}]}
        """)
    assert [line.split(": ")[:2] for line in found] == [
        ["2", "server.drain_timeout"],
        ["5", "backends[0].kind"],
        ["6", "backends[1].api_key"],
        ["6", "backends[1].api_key"],
        ["6", "backends[1].name"],
        ["8", "models[0].deployments[0].backend"],
        ["8", "models[0].sise"],
        ["9", "routing.aliases.x"],
        ["10", "cache.url"],
        ["11", "auth.keys[0]"],
    ]


def test_an_error_reads_as_file_line_path_and_message(tmp_path: Path) -> None:
    file = tmp_path / "zoe.yaml"
    file.write_text("log:\n  level: loud\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value) == f"{file}:2: log.level: must be one of debug, info, warning, error, not 'loud'"


def test_a_file_that_cannot_be_read_is_an_error_without_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml: can't be read: No such file or directory$"):
        load(tmp_path / "nope.yaml", {})
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(tmp_path, {})


def test_a_file_that_is_not_utf8_is_an_error_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"log:\n  level: \xff\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:2: must be UTF-8 text"):
        load(tmp_path / "c.yaml", {})


def test_aliases_that_multiply_are_stopped(mistakes: Mistakes) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    assert "holds more than 50000 values" in mistakes(bomb)[0]


def test_each_mistake_in_the_files_of_tls_is_told(mistakes: Mistakes, tmp_path: Path) -> None:
    other = Authority(tmp_path).pair
    (tmp_path / "none").write_text("no certificate")
    text = "server:\n  tls:\n    cert_file: {}\n    key_file: {}\n    client_ca_file: {}\n"
    assert mistakes(text.format("none", other.key, "nowhere")) == [
        "3: server.tls.cert_file: must be certificates in PEM, not 'none'",
        "5: server.tls.client_ca_file: must be a file that can be read, not 'nowhere': No such file or directory",
    ]
