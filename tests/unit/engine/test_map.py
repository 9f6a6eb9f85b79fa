"""The planner's own map, in the docstring of its package: whole, and in an order in which it can be read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cardpool import engine

HOME = Path(engine.__file__).parent
NAMED = re.findall(r"^ {4}(\w+) {2,}\S", engine.__doc__ or "", re.MULTILINE)


def imported(module: str) -> set[str]:
    """The modules of the package that this one imports, or imports from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((HOME / f"{module}.py").read_text())):
        source = node.module.split(".") if isinstance(node, ast.ImportFrom) and node.module else []
        if isinstance(node, ast.ImportFrom) and source[:2] == ["cardpool", "engine"]:
            found |= {source[2]} if len(source) > 2 else {alias.name for alias in node.names}
    return found


def test_every_module_is_named_once() -> None:
    """A module that comes or goes has its line in the map, which stands in the package's docstring."""
    assert sorted(path.stem for path in HOME.glob("*.py") if path.stem != "__init__") == sorted(NAMED)


def test_modules_import_only_from_those_named_before() -> None:
    """So the map can be read from its first line to its last, and no two modules need each other."""
    later = {
        module: sorted(imported(module) - set(NAMED[:at]))
        for at, module in enumerate(NAMED)
        if not imported(module) <= set(NAMED[:at])
    }

    assert later == {}
    assert imported("plan") > {"cycle", "answering"}
