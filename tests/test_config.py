"""Settings: every mistake is named with its place before anything connects."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from resolver.config import DECIDED, Settings, load_settings
from resolver.core.identifiers import Kind
from resolver.core.policy import Precedence
from resolver.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("RESOLVER_") and not name.startswith("RESOLVER_TEST_"):
            monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "resolver.yaml"
    path.write_text(text)
    return path


def complaint(folder: Path, text: str) -> str:
    """What loading the text says, the folder's name left out."""
    with pytest.raises(ConfigError) as raised:
        load_settings(written(folder, text))
    return str(raised.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [b", "resolver.yaml:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("\njust words", "resolver.yaml:1: the file must hold keys and values, such as 'kafka:'"),
        ("1: x", "resolver.yaml:1: 1: there is no such key"),
        ("kafka: [1]", "resolver.yaml:1: kafka: it should hold keys and values"),
        ("http:\n  port: abc", "resolver.yaml:2: http.port: it should be a valid integer, "),
        ("delivery: twice", "resolver.yaml:1: delivery: it should be 'exactly_once' or "),
        ("inputs: raw", "resolver.yaml:1: inputs: it should be a list"),
        ("inputs: []", "resolver.yaml:1: inputs: name at least one topic"),
        ("inputs:\n- topic: a b", "resolver.yaml:2: inputs.0.topic: 'a b' is no topic name"),
        ("changelog: '..'", "resolver.yaml:1: changelog: '..' is no topic name"),
        ("\ninputs:\n- {}", "resolver.yaml:3: inputs.0.topic: it is missing"),
        ("kafka:\n  brokers: a,,b", "resolver.yaml:2: kafka.brokers: '' is no address"),
        ("kafka: {options: {a: [1]}}", "resolver.yaml:1: kafka.options.a: it should be text, "),
        ("redis: {sentinel: {hosts: []}}", "redis.sentinel.hosts: it should not be empty"),
        ("policies:\n  traits:\n    plan: frist", "resolver.yaml:3: policies.traits.plan: it "),
        (
            "policies:\n  illegal_id_patterns:\n    user: [ok, '(']",
            "resolver.yaml:3: policies.illegal_id_patterns.user.1: '(' is no regular expression",
        ),
        (
            "limits: {transaction_timeout_ms: 60000}",
            "transaction_timeout_ms (60000) must be below session_timeout_ms (45000)",
        ),
        ("changelog: x\ndead_letters: x", "topic 'x' is used twice: every role needs its own"),
        (
            "destinations:\n- {name: A, topic: x}\n- {name: a, topic: y}",
            "destinations a, a: every one needs its own name",
        ),
        (
            "kafka:\n  brokers: a\nhttp: {}\nkafka:\n  group_id: b",
            "resolver.yaml:4: kafka: it stands on line 1 already",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(
    tmp_path: Path, text: str, sentence: str
) -> None:
    """Who edits a long file at night should not have to search it."""
    assert sentence in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("kafak: {}", "kafka"),
        ("kafka: {brokrs: a}", "brokers"),
        ("destinations: [{name: A, anonymos: drop}]", "anonymous"),
        ("redis: {sentinel: {host: a}}", "hosts"),
        ("policies: {precedance: latest}", "precedence"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_nearest(
    tmp_path: Path, text: str, nearest: str
) -> None:
    """A key that is silently ignored is a setting that somebody believes in."""
    assert f"there is no such key; did you mean '{nearest}'?" in complaint(tmp_path, text)


def test_every_mistake_is_named_at_once_in_the_files_order(tmp_path: Path) -> None:
    """One run per mistake would make a long evening of a new file."""
    text = "http:\n  port: x\nlimits:\n  batch_events_max: 0\nlog:\n  level: loud\n"

    lines = complaint(tmp_path, text).splitlines()

    assert [line.split(": ")[:2] for line in lines] == [
        ["resolver.yaml:2", "http.port"],
        ["resolver.yaml:4", "limits.batch_events_max"],
        ["resolver.yaml:6", "log.level"],
    ]


@pytest.mark.parametrize("name", sorted(DECIDED))
def test_what_correctness_hangs_on_is_not_for_the_file(tmp_path: Path, name: str) -> None:
    """One line copied from a tuning guide could undo exactly-once without a sound."""
    told = complaint(tmp_path, f"kafka:\n  consumer:\n    {name}: '1'")

    assert f"resolver.yaml:3: kafka.consumer.{name}: it is not for the file: " in told


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A wrong mount or a Windows editor is found in one look."""
    (tmp_path / "latin.yaml").write_bytes(b"member: \xff\n")

    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)
    with pytest.raises(ConfigError, match=r"latin\.yaml: not UTF-8 at byte 8"):
        load_settings(tmp_path / "latin.yaml")


def test_sections_whose_lines_are_all_comments_count_as_absent(tmp_path: Path) -> None:
    """The commented example file must load however little of it is switched on."""
    path = written(tmp_path, "kafka:\n#  brokers: a\npolicies:\n")

    assert load_settings(path) == load_settings(None)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RESOLVER_HTTP__PORT", "abc", "RESOLVER_HTTP__PORT: http.port: it should be a valid"),
        ("RESOLVER_DELIVERY", "twice", "RESOLVER_DELIVERY: delivery: it should be 'exactly_once'"),
        ("RESOLVER_INPUTS", "raw", "RESOLVER_INPUTS: its value is not JSON"),
        ("RESOLVER_KAFKA", "5", "RESOLVER_KAFKA: kafka: it should hold keys and values"),
        ("RESOLVER_KAFKA__OPTIONS", "x", "RESOLVER_KAFKA__OPTIONS: its value is not JSON"),
        ("RESOLVER_KAFKA__BROKRS", "a", "there is no such setting; did you mean 'brokers'?"),
        ("RESOLVER_KAFK__BROKERS", "a", "there is no such setting; did you mean 'kafka'?"),
        ("RESOLVER_DELIVRY", "a", "there is no such setting; did you mean 'delivery'?"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    """The file is blameless then, and blaming one of its lines sends people astray."""
    monkeypatch.setenv(name, value)

    told = complaint(tmp_path, "http:\n  port: 1\n")

    assert told.startswith(f"environment variable {name}: ")
    assert sentence in told


def test_variables_of_others_with_the_same_prefix_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kubernetes sets RESOLVER_PORT and its like for a service called resolver."""
    for name in ("RESOLVER_PORT", "RESOLVER_SERVICE_HOST", "RESOLVER_PORT_9464_TCP"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:9464")

    assert load_settings(None) == Settings()


def test_flags_beat_the_environment_which_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearer to the command, the stronger; what is not overridden stays the file's."""
    path = written(tmp_path, "kafka: {brokers: f, group_id: f}\nredis: {prefix: f, url: f}\n")
    monkeypatch.setenv("RESOLVER_KAFKA__BROKERS", "e")
    monkeypatch.setenv("RESOLVER_REDIS__URL", "e")

    chosen = load_settings(path, kafka={"brokers": None}, redis={"url": "flag"})

    assert (chosen.kafka.brokers, chosen.kafka.group_id) == ("e", "f")
    assert (chosen.redis.url, chosen.redis.prefix) == ("flag", "f")


def test_a_wrong_flag_is_named_as_a_flag() -> None:
    """Neither the file nor the environment is to blame."""
    with pytest.raises(ConfigError, match=r"the flag for kafka\.brokers: 'a b' is no address"):
        load_settings(None, kafka={"brokers": "a b"})


def test_settings_cannot_be_changed_once_read() -> None:
    """A worker that runs on one set of settings and checks another is nobody's friend."""
    chosen = load_settings(None)

    with pytest.raises(ValidationError):
        chosen.changelog = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        chosen.kafka.brokers = "other"  # type: ignore[misc]


def test_policies_reach_what_reads_the_events(tmp_path: Path) -> None:
    """A policy that stays in the file resolves nobody differently."""
    path = written(
        tmp_path,
        """
policies:
  precedence: latest
  traits: {First Name: first, score: max}
  merge: {address: deep}
  clock_skew: trust
  identify_by_email_trait: always
  illegal_ids: {user: [" Robot "]}
  illegal_id_patterns: {anon: ["test-.*"]}
""",
    )

    reading = load_settings(path).reading()

    assert reading.policy.everywhere is Precedence.LATEST
    assert reading.policy.named == {"firstName": Precedence.FIRST, "score": Precedence.MAX}
    assert reading.policy.deep == {"address"}
    assert reading.trust_clocks
    assert reading.identify_by_email_always
    assert reading.illegal.forbids(Kind.USER, "robot")
    assert not reading.illegal.forbids(Kind.ANON, "robot")
    assert reading.illegal.forbids(Kind.ANON, "test-7")


def test_no_settings_at_all_are_good_settings() -> None:
    """The first minute with the resolver needs no file."""
    chosen = load_settings(None)

    assert [one.topic for one in chosen.inputs] == ["identify"]
    assert [one.topic for one in chosen.destinations] == ["resolved.profiles"]
    assert chosen.delivery == "exactly_once"
