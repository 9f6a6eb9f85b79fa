"""What can be said of the chart without Helm: its CRDs are the repository's, and its Lease name is the operator's."""

from __future__ import annotations

from pathlib import Path

import yaml

from cardpool import __version__, names, settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "cardpool"


def test_the_chart_has_the_crds_of_the_repository() -> None:
    """`make crds` writes both; one that is not updated would install old kinds."""
    ours = {path.name: path.read_text() for path in (ROOT / "crds").iterdir()}
    charts = {path.name: path.read_text() for path in (CHART / "files" / "crds").iterdir()}

    assert ours == charts


def test_the_crds_say_themselves_that_they_stay() -> None:
    """Helm looks at the live object when an upgrade drops it, whoever applied it."""
    manifests = [yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted((ROOT / "crds").iterdir())]
    policies = {manifest["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for manifest in manifests}

    assert {"keep"} == policies


def test_versions_and_names_agree() -> None:
    """The chart runs the operator of its own version, and its rights name the Lease that the operator holds."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert (__version__, __version__) == (chart["version"], chart["appVersion"])
    assert f"resourceNames: [{settings.Settings().lease_name}]" in (CHART / "templates" / "rbac.yaml").read_text()
    assert values["priorityClass"]["name"] == names.DEFAULT_PRIORITY_CLASS
    assert settings.Settings().resolver_image == f"{values['image']['repository']}:{__version__}"
