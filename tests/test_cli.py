"""The command line: help, exit codes, and one clear sentence for whatever is wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from resolver import __version__, wiring
from resolver.cli import BROKEN, OK, SOME_BAD, UNREACHABLE, USAGE, app
from resolver.config import load_settings
from resolver.errors import ConfigError

VERBS = [
    "run",
    "resolve",
    "send",
    "tail",
    "show",
    "demo",
    "version",
    "topics",
    "topics create",
    "dlq",
    "dlq list",
    "dlq replay",
    "config",
    "config check",
    "explain",
    "destinations",
    "destinations list",
    "destinations show",
    "backfill",
]
NOBODY = "127.0.0.1:1"
"""Port 1: nothing listens there."""
GOOD = b'{"userId": "u", "traits": {"n": 1}, "timestamp": "2024-01-01T00:00:00Z"}\n'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no settings around it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for name in os.environ:
        if name.startswith("RESOLVER_") and not name.startswith("RESOLVER_TEST_"):
            monkeypatch.delenv(name)


class Ended(NamedTuple):
    """What a command printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str


def resolver(*arguments: str, given: bytes = b"") -> Ended:
    """Runs the command in this process; no traceback, whatever was asked."""
    result = CliRunner().invoke(app, arguments, input=given)
    assert "Traceback" not in result.stdout + result.stderr
    return Ended(result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_of_every_verb_shows_an_example(verb: str) -> None:
    """An example is what a newcomer copies; the rest is read later."""
    result = resolver(*verb.split(), "--help")

    assert result.exit_code == OK
    example = re.search(r"Examples?: +(.*)", result.stdout)
    assert example is not None
    assert f"resolver {verb}".strip() in example[1]


def test_help_lists_the_exit_codes() -> None:
    """Scripts branch on them."""
    output = resolver("--help").stdout

    assert "Exit codes" in output
    assert all(re.search(rf"{code}: ", output) for code in range(BROKEN + 1))


def test_the_version_is_told_by_verb_and_by_option() -> None:
    """Everybody tries one of the two first."""
    assert resolver("version").stdout == resolver("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["run", "--bogus"],
        ["run", "--workers", "0"],
        ["run", "--workers", "many"],
        ["tail"],
        ["show"],
        ["topics", "create", "--partitions", "0"],
        ["run", "-c", "none.yaml"],
        ["run", "-c", "."],
        ["resolve", "none.jsonl"],
        ["resolve", "."],
        ["resolve", "--destination", "!"],
        ["send", "none.jsonl"],
        ["tail", "nobody"],
        ["tail", "profiles", "--brokers", ""],
        ["show", "u", "--redis", "http://127.0.0.1"],
        ["show", "u", "--redis", "redis://127.0.0.1:port"],
        ["dlq", "replay", "--fault", "typo"],
        ["backfill", "!"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2_and_a_sentence(arguments: list[str]) -> None:
    """A mistyped command is answered at once, and in words."""
    result = resolver(*arguments)

    assert result.exit_code == USAGE
    assert result.stderr.strip()
    assert not result.stdout


@pytest.mark.parametrize(
    "verb", ["run", "resolve", "send", "show u", "tail profiles", "dlq list", "backfill x"]
)
def test_every_verb_names_a_mistake_in_the_settings(tmp_path: Path, verb: str) -> None:
    """Whichever verb is first used, the file is what is wrong."""
    (tmp_path / "resolver.yaml").write_text("\nkafka: {brokrs: a}\n")

    result = resolver(*verb.split())

    assert result.exit_code == USAGE
    assert result.stderr == (
        "resolver.yaml:2: kafka.brokrs: there is no such key; did you mean 'brokers'?\n"
    )


@pytest.mark.parametrize("section", ["options", "consumer", "producer"])
def test_a_setting_that_kafkas_client_refuses_is_named(tmp_path: Path, section: str) -> None:
    """Inside the worker it would look like a broker that is away, for ever."""
    (tmp_path / "resolver.yaml").write_text(f"kafka: {{{section}: {{no.such: 1}}}}\n")

    with pytest.raises(ConfigError, match=r"kafka\.\w+: No such .*no\.such"):
        wiring.check_clients(load_settings(tmp_path / "resolver.yaml"))


def test_resolve_reads_files_and_standard_input_alike(tmp_path: Path) -> None:
    """A pipe and a file are the same events."""
    (tmp_path / "a.jsonl").write_bytes(GOOD)

    from_file = resolver("resolve", "a.jsonl")
    from_pipe = resolver("resolve", given=GOOD)
    from_dash = resolver("resolve", "-", given=GOOD)

    assert from_file.exit_code == OK
    assert from_file.stdout == from_pipe.stdout == from_dash.stdout
    assert json.loads(from_file.stdout)["traits"] == {"n": 1}
    assert from_file.stderr == "1 lines: 1 resolved, 0 skipped, 0 bad\n"


def test_resolve_names_bad_lines_and_exits_with_code_1(tmp_path: Path) -> None:
    """The exit code is how a script learns that something was left out."""
    (tmp_path / "a.jsonl").write_bytes(GOOD + b"{no\n" + b'{"type": "track"}\n\n')
    (tmp_path / "b.jsonl").write_bytes(b"7\n")

    result = resolver("resolve", "a.jsonl", "b.jsonl")

    assert result.exit_code == SOME_BAD
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.splitlines() == [
        "a.jsonl:2: undecodable: the value is not JSON",
        "b.jsonl:1: not_an_event: the value is no JSON object",
        "4 lines: 1 resolved, 1 skipped, 2 bad",
    ]


def test_resolve_folds_as_a_destination_sees_it() -> None:
    """What may be sent where is decided before it is sent."""
    withheld = b'{"userId": "u", "integrations": {"All": false}}\n'

    assert resolver("resolve", "--destination", "Mixpanel", given=withheld).stdout == ""
    assert resolver("resolve", "--destination", "Salesforce", given=GOOD).stdout == ""
    assert resolver("resolve", "--destination", "Mixpanel", given=GOOD).stdout


@pytest.mark.parametrize(
    "given",
    [b"\x00", b"\xff\xfe", b"[" * 100_000, b'{"userId":' * 5_000, b"1e999", b'"\\ud800"', b"\n\n"],
    ids=lambda given: repr(given[:12]),
)
def test_no_bytes_at_all_end_in_a_traceback(given: bytes) -> None:
    """Whatever somebody pipes in by mistake is answered like any other bad line."""
    assert resolver("resolve", given=given).exit_code in (OK, SOME_BAD)


def test_output_that_nobody_reads_to_its_end_is_no_mistake(tmp_path: Path) -> None:
    """``| head -1`` is how people look at things."""
    many = b"".join(GOOD.replace(b'"u"', b'"u%d"' % number) for number in range(5_000))
    (tmp_path / "a.jsonl").write_bytes(many)
    command = [sys.executable, "-m", "resolver", "resolve", "a.jsonl"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()

    assert process.returncode == OK
    assert b"Error" not in told


def test_nothing_is_coloured_where_no_terminal_is(tmp_path: Path) -> None:
    """Escape codes in a log file or a pipe are noise."""
    (tmp_path / "resolver.yaml").write_text("kafka: {brokrs: a}\n")

    assert "\x1b" not in resolver("resolve").stderr
    assert "\x1b" not in resolver("config", "check").stderr


def test_an_unreachable_redis_is_named_with_what_to_do() -> None:
    """The address and the next step, without the password."""
    (Path.cwd() / "resolver.yaml").write_text(f"redis: {{url: 'redis://me:secret@{NOBODY}/2'}}\n")

    for verb in (["show", "u"], ["run"], ["run", "--workers", "2"], ["backfill", "profiles"]):
        result = resolver(*verb)

        assert result.exit_code == UNREACHABLE
        assert result.stderr.startswith(f"Redis at redis://{NOBODY}/2 does not answer (")
        assert result.stderr.endswith("): is it running, and is redis.url (or --redis) right?\n")
        assert "secret" not in result.stdout + result.stderr


def test_an_unreachable_kafka_ends_each_verb_in_one_sentence() -> None:
    """Ten seconds, one line, code 3: nobody reads past a screen of client logs."""
    verbs = ["topics create", "tail profiles", "dlq list", "send -"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "resolver", *verb.split(), "--brokers", NOBODY],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for verb in verbs
    ]

    for process in processes:
        printed, told = process.communicate(timeout=30)

        assert process.returncode == UNREACHABLE
        assert printed == ""
        assert re.fullmatch(
            rf"Kafka at {NOBODY} does not answer \(Connect to .* failed: Connection refused\):"
            r" is it running, and is kafka\.brokers \(or --brokers\) right\?\n",
            told,
        )
