"""The image's recipe against the repository: what it copies is there, and who runs in it is whom the chart names.

Nothing is built here; that the steps work was tried by hand, one after the other, under a read-only root.
"""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from cardpool import cli, settings

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "operator" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINES = [
    (word, rest)
    for line in DOCKERFILE.read_text().splitlines()
    if line and not line.startswith("#")
    for word, _, rest in [line.partition(" ")]
]
COPIED = [source for word, rest in LINES if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]]


def values(instruction: str) -> list[str]:
    """What stands behind an instruction, in order."""
    return [rest for word, rest in LINES if word == instruction]


def pins(path: Path) -> set[tuple[str, str]]:
    """Names and versions of a lock file, which may have one for each Python."""
    return set(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("source", COPIED)
def test_what_is_copied_is_there_and_reaches_the_build(source: str) -> None:
    """A missing source fails the build; one that the ignore file drops is missing as well."""
    ignore = (ROOT / "operator" / "Dockerfile.dockerignore").read_text().split()
    kept = [line.removeprefix("!") for line in ignore if line.startswith("!")]

    assert (ROOT / source).exists()
    assert ignore[0] == "*"
    assert source in kept
    assert not any(fnmatch(source, line) for line in ignore[1:] if not line.startswith("!"))


def test_what_the_package_is_built_from_is_copied() -> None:
    """Setuptools reads the readme and the licence that pyproject.toml names."""
    assert {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "operator/cardpool"} <= set(COPIED)


def test_the_base_is_pinned_and_both_stages_have_the_same() -> None:
    """The virtual environment of the first stage links to the interpreter of the second."""
    bases = {rest.split()[0] for rest in values("FROM")}

    (base,) = bases
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-[a-z]+", base)
    assert found is not None
    assert PROJECT["requires-python"] == f">={found[1]}"


def test_it_runs_as_the_chart_s_user_and_as_nobody_with_a_name() -> None:
    """Numeric, so that runAsNonRoot can be judged; with HOME, since the user has no entry to take it from."""
    deployment = (ROOT / "helm" / "cardpool" / "templates" / "deployment.yaml").read_text()
    user, group = (int(one) for one in values("USER")[-1].split(":"))
    home = re.search(r"\bHOME=(\S+)", values("ENV")[-1])

    assert LINES.index(("USER", f"{user}:{group}")) > max(at for at, (word, _) in enumerate(LINES) if word == "COPY")
    assert f"runAsUser: {user}\n" in deployment
    assert f"runAsGroup: {group}\n" in deployment
    assert user > 0
    assert home is not None
    assert home[1] in values("COPY")[-1].split()  # a folder of the image, not to be written to


def test_it_starts_what_the_project_declares() -> None:
    """The entry point is a console script, the default argument one of its commands, the port that of the settings."""
    (script,) = yaml.safe_load(values("ENTRYPOINT")[-1])
    (command,) = yaml.safe_load(values("CMD")[-1])

    assert PROJECT["scripts"][script] == f"{cli.__name__}:{cli.main.__name__}"
    assert command in {one.name or getattr(one.callback, "__name__", "") for one in cli.cli.registered_commands}
    assert values("EXPOSE") == [str(settings.Settings().http_port)]


def test_the_image_runs_on_what_the_tests_run_on() -> None:
    """Every dependency is pinned with a hash, at the version of the development lock."""
    lock = ROOT / "operator" / "requirements.lock"
    image, tested = pins(lock), pins(ROOT / "requirements-dev.lock")
    wanted = {re.split(r"[<>=]", one)[0] for one in PROJECT["dependencies"]}

    assert wanted <= {name for name, _ in image}
    assert image <= tested
    assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\S)", lock.read_text()) if part.strip())
    assert any("--require-hashes -r requirements.lock" in rest for rest in values("RUN"))
