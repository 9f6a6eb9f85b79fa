"""The command line and the settings: what is wrong is said with the variable's name and the remedy."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from cardpool import __version__, cli, errors, settings, views

RUNNER = CliRunner()


def test_flags_win_over_the_environment() -> None:
    """A flag that was not given (None) leaves the variable's value."""
    environ = {"CARDPOOL_HTTP_PORT": "9", "CARDPOOL_LOG_LEVEL": "DEBUG", "CARDPOOL_LEADER_ELECTION": "false"}

    made = settings.load({"http_port": "0", "log_level": None}, environ)

    assert (made.http_port, made.log_level, made.leader_election) == (0, "DEBUG", False)


def test_an_empty_variable_is_no_value() -> None:
    """A chart may set a variable to nothing."""
    assert settings.Settings().http_port == settings.load({}, {"CARDPOOL_HTTP_PORT": ""}).http_port


@pytest.mark.parametrize("command", ["run", "crds", "version", "explain", "plan", "top"])
def test_every_command_tells_of_itself(command: str) -> None:
    """No text for people is taken for markup: a bracket in it is shown."""
    shown = RUNNER.invoke(cli.cli, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})

    assert (shown.exit_code, shown.exception) == (0, None)
    assert command != "plan" or "PODSxCARDS[@PROFILE][/LEVEL]" in shown.output


WRONG = {
    "not a number": ({"CARDPOOL_HTTP_PORT": "http"}, "CARDPOOL_HTTP_PORT"),
    "out of range": ({"CARDPOOL_DEBOUNCE_SECONDS": "60"}, "CARDPOOL_DEBOUNCE_SECONDS"),
    "not one of": ({"CARDPOOL_LOG_FORMAT": "xml"}, "CARDPOOL_LOG_FORMAT"),
    "lease times": ({"CARDPOOL_LEASE_SECONDS": "10"}, "CARDPOOL_RENEW_SECONDS"),
}


@pytest.mark.parametrize(("environ", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_settings_name_the_variable(environ: dict[str, str], said: str) -> None:
    """SettingsError says which variable is wrong and what it means."""
    with pytest.raises(errors.SettingsError, match=said):
        settings.load({}, environ)


def test_run_refuses_wrong_settings() -> None:
    """Wrong settings are exit code 2 and one line."""
    result = RUNNER.invoke(cli.cli, ["run", "--http-port", "70000"])

    assert result.exit_code == 2
    assert "CARDPOOL_HTTP_PORT (--http-port) is '70000'" in result.stderr


def test_run_prints_its_settings() -> None:
    """--print-settings shows every setting and starts nothing."""
    result = RUNNER.invoke(cli.cli, ["run", "--print-settings", "--identity", "me"])

    assert ("me", set(settings.Settings.model_fields)) == (
        json.loads(result.stdout)["identity"],
        set(json.loads(result.stdout)),
    )


def test_an_unusable_kubeconfig_is_said(tmp_path) -> None:
    """A kubeconfig that is not there is exit code 2, without a traceback."""
    result = RUNNER.invoke(cli.cli, ["explain", "llm", "--kubeconfig", str(tmp_path / "none")])

    assert (result.exit_code, result.stderr.startswith("cardpool: ")) == (2, True)


def test_version() -> None:
    """The version as text and as JSON."""
    assert __version__ == RUNNER.invoke(cli.cli, ["version"]).stdout.strip()
    assert {"version": __version__} == json.loads(RUNNER.invoke(cli.cli, ["version", "-o", "json"]).stdout)


def test_crds_are_printed_and_written(tmp_path, monkeypatch) -> None:
    """The printed stream and the files hold the same manifests."""
    monkeypatch.setattr(cli.api_crds, "render", lambda: {"b.yaml": "kind: B\n", "a.yaml": "kind: A\n"})

    printed = list(yaml.safe_load_all(RUNNER.invoke(cli.cli, ["crds"]).stdout))
    RUNNER.invoke(cli.cli, ["crds", "--write", str(tmp_path / "new")])
    written = [yaml.safe_load(path.read_text()) for path in sorted((tmp_path / "new").iterdir())]

    assert [{"kind": "A"}, {"kind": "B"}] == printed == written


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    """A condition."""
    return {"type": kind, "status": status, "reason": reason, "message": f"{reason} it is"}


WHY = {
    "waiting": (
        [condition("Accepted", "True", "Accepted"), condition("PodsScheduled", "False", "InsufficientCards")],
        "InsufficientCards",
    ),
    "stalled goes first": (
        [condition("PodsScheduled", "False", "Pending"), condition("Stalled", "True", "CheckpointVanished")],
        "CheckpointVanished",
    ),
    "running": (
        [condition("PodsScheduled", "True", "PodsScheduled"), condition("Running", "True", "Running")],
        "Running",
    ),
    "not seen yet": ([], ""),
}


@pytest.mark.parametrize(("conditions", "expected"), WHY.values(), ids=WHY.keys())
def test_why_picks_the_telling_condition(conditions: list[dict[str, str]], expected: str) -> None:
    """Explain leads with the reason that a person needs."""
    assert expected == views.why(conditions)["reason"]
