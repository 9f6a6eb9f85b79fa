"""Manifests in every form that people have them in, and errors that name file, document and field."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.planning import manifests
from tests.unit.planning.manifests import group, job, node, pool

OBJECTS = (pool(), node("a", 2), node("b", 2), job(group(3)))


def without_seconds(*arguments: object) -> dict[str, Any]:
    """The plan apart from how long it took."""
    found = manifests.plan(*arguments)
    assert {"load", "plan"} == set(found.pop("seconds"))
    return found


def listed(kind: str, *objects: dict[str, Any]) -> dict[str, Any]:
    """A list of objects."""
    return {"apiVersion": "v1", "kind": kind, "items": list(objects)}


FORMS: dict[str, tuple[str, str]] = {
    "YAML documents": ("a.yaml", yaml.safe_dump_all(OBJECTS)),
    "a List in YAML": ("a.yml", yaml.safe_dump(listed("List", *OBJECTS))),
    "a List in JSON": ("a.json", json.dumps(listed("List", *OBJECTS))),
    "JSON with line breaks": ("a.json", json.dumps(listed("List", *OBJECTS), indent=2)),
    "JSON after JSON": ("a.json", "\n".join(json.dumps(one, indent=1) for one in OBJECTS)),
    "JSON lines": ("a.json", "".join(json.dumps(one) + "\n" for one in OBJECTS)),
    "an array": ("a.json", json.dumps(OBJECTS)),
    "JSON documents in YAML": ("a.yaml", "\n---\n".join(json.dumps(one) for one in OBJECTS)),
    "a byte order mark": ("a.yaml", "\ufeff" + yaml.safe_dump_all(OBJECTS)),
    "empty documents": ("a.yaml", "---\n---\n# none\n---\n" + yaml.safe_dump_all(OBJECTS) + "---\n"),
}


@pytest.mark.parametrize(("name", "text"), FORMS.values(), ids=FORMS)
def test_forms(tmp_path: Path, name: str, text: str) -> None:
    """Every form gives the same plan."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    answer = manifests.only(without_seconds("-f", tmp_path / name))

    assert (answer["decision"], manifests.seats(answer)) == ("Place", ["a", "a", "b"])


def test_a_typed_list_need_not_repeat_its_kind(tmp_path: Path) -> None:
    """As the API server itself answers."""
    bare = [{key: value for key, value in one.items() if key not in {"kind", "apiVersion"}} for one in OBJECTS[1:3]]
    (tmp_path / "nodes.json").write_text(json.dumps(listed("NodeList", *bare)))
    manifests.write(tmp_path, OBJECTS[0], OBJECTS[3])

    assert manifests.only(without_seconds("-f", tmp_path))["decision"] == "Place"


def test_folders_files_and_more_of_them(tmp_path: Path) -> None:
    """Folders are read whole, a file that is named twice once."""
    inner = tmp_path / "inner"
    inner.mkdir()
    nodes = manifests.write(inner, *OBJECTS[1:3], name="nodes.yaml")
    rest = manifests.write(tmp_path, OBJECTS[0], OBJECTS[3], name="rest.yaml")
    (tmp_path / "README.md").write_text("no manifest")
    plans = [
        without_seconds("-f", tmp_path),
        without_seconds("-f", inner, "-f", rest),
        without_seconds("-f", rest, nodes, inner),
    ]

    assert plans[0] == plans[1] == plans[2]
    assert manifests.only(plans[0])["decision"] == "Place"


def test_standard_input(tmp_path: Path) -> None:
    """``-f -`` reads it."""
    result = manifests.RUNNER.invoke(
        manifests.cli.cli, ["plan", "--now", manifests.NOW, "-o", "json", "-f", "-"], input=yaml.safe_dump_all(OBJECTS)
    )

    assert json.loads(result.stdout)["jobs"][0]["decision"] == "Place"


def test_the_contract_s_shape(tmp_path: Path) -> None:
    """Exactly these fields."""
    found = manifests.planned(tmp_path, pool(), node("a"), job(group(1, 8)))

    assert {
        "jobs": [
            {
                "namespace": "team-a",
                "name": "job",
                "decision": "Place",
                "pods": [{"group": "worker", "index": 0, "rank": 0, "node": "a", "profile": "k100"}],
                "reason": "",
                "message": "",
            }
        ],
        "evictions": [],
        "reservations": [],
        "pools": [{"name": "main", "cards": {"total": 8, "healthy": 8, "free": 8}}],
        "seconds": found["seconds"],
    } == found


def test_same_input_same_bytes(tmp_path: Path) -> None:
    """Two runs differ in seconds alone, and without --now in nothing more."""
    jobs = [job(group(2, 4), name=f"j{number}") for number in (3, 1, 2, 0)]
    path = manifests.write(tmp_path, pool(), *(node(f"n{number}") for number in range(3)), *jobs)
    runs = [manifests.RUNNER.invoke(manifests.cli.cli, ["plan", "-o", "json", "-f", str(path), *more]).stdout
            for more in ([], [], ["--now", manifests.NOW])]  # fmt: skip
    texts = [text[: text.index('"seconds"')] for text in runs]

    assert texts[0] == texts[1] == texts[2]
    assert [item["name"] for item in json.loads(runs[0])["jobs"]] == ["j3", "j1", "j2", "j0"]


def changed(manifest: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    """A copy with one field set."""
    made = copy.deepcopy(manifest)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


WRONG: dict[str, tuple[tuple[Any, ...], str]] = {
    "no kind": (({"apiVersion": "v1", "metadata": {"name": "a"}},), "document 1: kind: is missing"),
    "no object": ((pool(), ["a"]), "document 2: is list, not an object"),
    "a kind that is no text": (({"kind": 5},), "document 1: kind: Expected `str`, got `int`"),
    "items that are no list": (
        ({"kind": "List", "items": 5},),
        "document 1: items: Expected `array | null`, got `int`",
    ),
    "no name": ((changed(node("a"), "metadata", "name", value=""),), "document 1: metadata.name: is missing"),
    "no quantity": (
        (pool(), changed(node("a"), "status", "capacity", "cpu", value="many")),
        "document 2: status: cpu: 'many' is not a quantity",
    ),
    "a label that is a number": (
        (changed(node("a"), "metadata", "labels", value={"x": 1}),),
        "document 1: metadata.labels[...]: Expected `str`, got `int`",
    ),
    "a pool without profiles": (
        (changed(pool(), "spec", "profiles", value=[]),),
        "document 1: spec.profiles: ",
    ),
    "an unknown field of a pool": ((pool(colour="red"),), "document 1: spec.colour: Extra inputs"),
    "a version that is not ours": (
        (changed(pool(), "apiVersion", value="cardpool.dev/v2"),),
        "document 1: apiVersion: 'cardpool.dev/v2' is not 'cardpool.dev/v1alpha1'",
    ),
    "two of one name": ((node("a"), pool(), node("a")), "document 3: Node a stands in "),
    "in a list": (
        (pool(), listed("List", node("a"), changed(node("b"), "metadata", value={}))),
        "document 2, item 2: metadata.name: is missing",
    ),
}


LISTS: dict[str, tuple[str, str]] = {
    "an item without a name": (
        "- apiVersion: v1\n  kind: Node\n  metadata: {}\n",
        "document 1, item 4: metadata.name: is missing",
    ),
    "an item of another type": ("- 5\n", "document 1, item 4: Expected `object`, got `int`"),
    "a wrong field": (
        "- apiVersion: v1\n  kind: Node\n  metadata:\n    name: 5\n",
        "document 1, item 4: metadata.name: Expected `str`, got `int`",
    ),
    "a key that JSON has not": ("- ~: x\n", "document 1, item 4: Only dicts with"),
    "no YAML": ("- a: b: c\n", "document 1: is neither YAML nor JSON: mapping values"),
    "a list that stands twice": ("- x\nitems:\n- y\n", "document 1: is neither YAML nor JSON: items stands in a list"),
}


@pytest.mark.parametrize(("item", "said"), LISTS.values(), ids=LISTS)
def test_a_list_as_kubectl_writes_it_with_a_wrong_item(tmp_path: Path, item: str, said: str) -> None:
    """The same in the middle of a list: file, document, item and field."""
    nodes = [yaml.safe_dump([node(name)]) for name in "abcde"]
    path = tmp_path / "list.yaml"
    path.write_text("apiVersion: v1\nitems:\n" + "".join([*nodes[:3], item, *nodes[3:]]) + "kind: List\n")
    result = manifests.invoke("-f", path)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"cardpool: {path}, {said}")


def test_a_list_of_a_kind_that_is_no_list_is_read_all_the_same(tmp_path: Path) -> None:
    """What is no YAML is told, though nobody asks for the items."""
    path = tmp_path / "list.yaml"
    path.write_text("apiVersion: v1\nitems:\n- a: x\n- a: b: c\n- a: x\nkind: Service\n")
    result = manifests.invoke("-f", path)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"cardpool: {path}, document 1: is neither YAML nor JSON: mapping values")


@pytest.mark.parametrize(("objects", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used(tmp_path: Path, objects: Any, said: str) -> None:
    """Exit code 2, and one line with file, document and field."""
    path = manifests.write(tmp_path, *objects)
    result = manifests.invoke("-f", path)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"cardpool: {path}, ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


MISUSE: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": ((), "give -f FILE_OR_DIR or --from-cluster"),
    "no such file": (("-f", "none.yaml"), "none.yaml: cannot be read: No such file"),
    "an empty folder": (("-f", "empty"), "empty: the folder has no file"),
    "no YAML": (("-f", "bad.yaml"), "bad.yaml, document 2: is neither YAML nor JSON"),
    "no JSON": (("-f", "bad.json"), "bad.json, document 1: is neither YAML nor JSON"),
    "JSON of a wrong kind": (("-f", "odd.json"), "odd.json, document 1: kind: Expected `str`, got `int`"),
    "bytes": (("-f", "bytes.yaml"), "bytes.yaml, document 1: is neither YAML nor JSON"),
    "no time": (("-f", "good.yaml", "--now", "yesterday"), "--now yesterday: give a time such as"),
    "a time without a zone": (("-f", "good.yaml", "--now", "2026-01-01T00:00:00"), "--now 2026-01-01T00:00:00"),
    "no job in the job's file": (("-f", "good.yaml", "--job", "nodes.yaml"), "there is no TrainingJob in it"),
    "an unknown node to lose": (("-f", "good.yaml", "--lose", "x"), "--lose x: there is no such node or supernode"),
    "an unknown profile to add": (("-f", "good.yaml", "--add-nodes", "x=1"), "--add-nodes x: no node has this profile"),
    "no number of nodes": (("-f", "good.yaml", "--add-nodes", "k100"), "--add-nodes k100: give a profile"),
}


@pytest.mark.parametrize(("arguments", "said"), MISUSE.values(), ids=MISUSE)
def test_misuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2 and what to do instead."""
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bad.yaml").write_text("kind: A\n---\n{a: [")
    Path("bad.json").write_text('{"kind": "Node", "metadata": {"name": ')
    Path("odd.json").write_text('{"kind": 5}')
    Path("bytes.yaml").write_bytes(b"kind: \xff\xfe\x00")
    manifests.write(Path(), *OBJECTS, name="good.yaml")
    manifests.write(Path(), node("z"), name="nodes.yaml")
    result = manifests.RUNNER.invoke(manifests.cli.cli, ["plan", *arguments])

    assert result.exit_code == 2
    assert said in result.stderr


REJECTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a wrong type": (
        changed(job(group(1)), "spec", "groups", 0, "replicas", value="two"),
        "InvalidSpec",
        "spec.groups[0].replicas: ",
    ),
    "an unknown field": (job(group(1), colour="red"), "InvalidSpec", "spec.colour: "),
    "no pool": (job(group(1), pool="other"), "UnknownPool", "spec.pool: there is no CardPool other"),
    "an unknown profile": (
        job(group(1), accept=[{"profile": "h900"}]),
        "UnknownProfile",
        "spec.accept: pool main has no profile h900; it has k100",
    ),
    "a name that begins no pod's": (job(group(1), name="9lives"), "InvalidSpec", "metadata.name: '9lives' is no DNS"),
    "a name that is too long": (job(group(1), name="a" * 41), "InvalidSpec", "metadata.name: "),
    "a field that cardpool sets": (
        job(group(1, pod={"nodeName": "a"})),
        "InvalidSpec",
        "spec.groups[0]: template.spec.nodeName must not be set",
    ),
    "variants for other profiles only": (
        job(group(1, variants=[{"profile": "h900"}])),
        "NoVariant",
        "spec.groups[].variants: ",
    ),
    "a block that does not divide": (
        job(group(4), demand=manifests.topology(blocks=[(3, "node")])),
        "InvalidSpec",
        "topology.blocks: each block must divide",
    ),
    "a status that is none": (
        {**job(group(1)), "status": {"attempt": "many"}},
        "InvalidSpec",
        "status.attempt: ",
    ),
}


@pytest.mark.parametrize(("manifest", "reason", "said"), REJECTED.values(), ids=REJECTED)
def test_rejected_jobs(tmp_path: Path, manifest: dict[str, Any], reason: str, said: str) -> None:
    """A plan is made all the same: exit code 0, the job is refused with its field, the next one placed."""
    found = manifests.planned(tmp_path, pool(), node("a"), manifest, job(group(1), name="next"))
    refused = found["jobs"][-1]

    assert ("Reject", reason, []) == (refused["decision"], refused["reason"], refused["pods"])
    assert said in refused["message"]
    assert (found["jobs"][0]["name"], found["jobs"][0]["decision"]) == ("next", "Place")


def test_somebody_else_s_job_waits(tmp_path: Path) -> None:
    """A job that another controller manages is named and left alone."""
    answer = manifests.only(manifests.planned(tmp_path, pool(), node("a"), job(group(1), managedBy="example.com/x")))

    assert (answer["decision"], answer["reason"]) == ("Wait", "ManagedElsewhere")


def test_notes_say_what_was_assumed(tmp_path: Path) -> None:
    """What is not in the input, or not read, is said on standard error; standard output stays the plan."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    twins = [
        {
            "apiVersion": manifests.API,
            "kind": "Supernode",
            "metadata": {"name": name},
            "spec": {"pool": "main", "selector": {}},
        }
        for name in ("first", "second")
    ]
    path = manifests.write(tmp_path, pool(), node("a"), service, *twins)
    result = manifests.invoke("-f", path)

    assert json.loads(result.stdout)["jobs"] == []
    assert result.stderr.splitlines() == [
        "note: kinds that a plan does not read: 1 Service",
        "note: 1 nodes say nothing of being ready and count as ready",
        "note: PriorityClass cardpool-gang is not in the input and counts as there",
        "note: Supernode second: NodeConflict: 1 nodes are claimed by another Supernode too, for example a by first",
    ]


def test_a_maker_from_a_config_map(tmp_path: Path) -> None:
    """Vendor files are taken from labelled ConfigMaps, as the operator does."""
    maker = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "makers", "namespace": "default", "labels": {"cardpool.dev/vendors": "true"}},
        "data": {"acme.yaml": "name: acme\nresources: [acme.io/card]\n"},
    }
    rows = [node("a")]
    for amounts in (rows[0]["status"]["capacity"], rows[0]["status"]["allocatable"]):
        amounts["acme.io/card"] = amounts.pop(manifests.RESOURCE)
    wanted = pool(profiles=[{"name": "k100", "vendor": "acme"}])

    assert manifests.only(manifests.planned(tmp_path, wanted, maker, *rows, job(group(1, 8))))["decision"] == "Place"
    result = manifests.invoke("-f", manifests.write(tmp_path, wanted, *rows))
    assert "CardPool main: UnknownVendor: spec.profiles: there is no vendor file acme" in result.stderr
