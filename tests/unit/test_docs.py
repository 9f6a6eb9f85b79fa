"""The documentation says what is there: every reason, every file that it points to, the manifests that the demo applies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cardpool import names
from cardpool.api.cardpool import CardPool
from cardpool.api.supernode import Supernode
from cardpool.api.trainingjob import TrainingJob

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
MODELS = {"CardPool": CardPool, "Supernode": Supernode, "TrainingJob": TrainingJob}


def test_every_reason_is_explained_and_none_is_invented() -> None:
    """docs/reasons.md has a row for each member of the closed list and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "reasons.md").read_text(), re.MULTILINE)

    assert sorted(reason.value for reason in names.Reason) == sorted(name for name, _ in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """What a page links to inside the repository exists."""
    targets = [link for link in LINK.findall(CODE.sub("", page.read_text())) if "://" not in link]

    assert [link for link in targets if not (page.parent / link).exists()] == []


def test_the_readme_shows_the_manifests_of_the_demo() -> None:
    """The three manifests in the README are the files that the demo applies, word for word."""
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)

    for name in ("cardpool", "supernode", "trainingjob"):
        assert (ROOT / "docs" / "quickstart" / f"{name}.yaml").read_text() in shown, name


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "quickstart").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_manifests_are_valid(file: Path) -> None:
    """The models accept them."""
    body = yaml.safe_load(file.read_text())

    assert body["metadata"]["name"] == MODELS[body["kind"]].model_validate(body).metadata.name
