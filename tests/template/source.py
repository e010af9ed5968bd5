"""What the functions' source reads and emits, found by following imports from each app.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "billing"
SETTINGS = {"billing.settings": "settings.py", "billing.stripe_secrets": "stripe_secrets.py"}


def variables_read(app: Path) -> set[str]:
    """Return the environment variables that the code reachable from `app` may read."""
    reachable = _reachable(app)
    names = {name for path in reachable for module, name in _imports(path) if module in SETTINGS}
    named_elsewhere = {
        variable
        for path in reachable
        if path.name not in SETTINGS.values()
        for variable in re.findall(
            r'(?:environment_variable = |positive_number\()"(\w+)"', path.read_text(encoding="utf-8")
        )
    }
    return named_elsewhere | {variable for name in names for variable in settings_variables().get(name, set())}


@cache
def _reachable(app: Path) -> frozenset[Path]:
    """Return `app` and every file of the layer that it imports, sooner or later."""
    files = {app}
    waiting = [app]
    while waiting:
        for module, name in _imports(waiting.pop()):
            for candidate in (f"{module}.{name}", module):
                file = _file_of(candidate)
                # `billing` itself imports what other code may use, each at its first use.
                if file and candidate != "billing" and file not in files:
                    files.add(file)
                    waiting.append(file)
    return frozenset(files)


@cache
def settings_variables() -> dict[str, set[str]]:
    """Return the variables that each function and class of the settings reads, directly or through another."""
    trees = [ast.parse((LAYER / "billing" / name).read_text(encoding="utf-8")) for name in SETTINGS.values()]
    body = [node for tree in trees for node in tree.body]
    definitions = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    uses = {
        name: {other.id for other in ast.walk(node) if isinstance(other, ast.Name) and other.id in definitions}
        for name, node in definitions.items()
    }
    variables = {name: _environment_names(node) for name, node in definitions.items()}
    for _ in definitions:
        for name in definitions:
            for used in uses[name]:
                variables[name] = variables[name] | variables[used]
    return variables


def _environment_names(node: ast.AST) -> set[str]:
    return {
        constant.value
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant)
        and isinstance(constant.value, str)
        and re.fullmatch(r"[A-Z]+(_[A-Z]+)+", constant.value)
    }


def _imports(path: Path) -> list[tuple[str, str]]:
    imports: list[tuple[str, str]] = []
    for node in _executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "billing":
            imports += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            imports += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == "billing"]
    return imports


def _executed(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield what runs: everything but `if TYPE_CHECKING:`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def _file_of(module: str) -> Path | None:
    path = LAYER / Path(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def metrics_counted(app: Path) -> set[str]:
    """Return the metrics that the code reachable from `app` may emit."""
    names: set[str] = set()
    for path in _reachable(app):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "count":
                names |= {
                    constant.value
                    for constant in ast.walk(node.args[0])
                    if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
                }
    return names
