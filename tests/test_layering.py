"""Who may import whom: reads the imports of every module and compares them with the layers of the design."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sola_core"

# Parts of the package -> the parts of ours that they may import. What is not named here is free (the session, the
# command line). A part is a module or a folder right below sola_core.
FOUNDATION = {"records", "errors", "text", "resources", "quiet", "words"}
ALLOWED: dict[str, set[str]] = {
    "records": set(),
    "errors": set(),
    "text": {"records", "errors", "words"},
    "resources": {"errors"},
    "words": {"errors", "resources"},
    "progress": set(),
    "steps": set(),
    "history": {"records", "errors", "words"},
    "quiet": set(),
    "lesson": FOUNDATION | {"comparison"},
    "lesson_checks": FOUNDATION | {"lesson"},
    "lesson_kept": FOUNDATION | {"lesson", "lesson_checks"},
    "host": FOUNDATION,
    "routing": FOUNDATION,
    "library": FOUNDATION,
    "editors": FOUNDATION | {"host", "routing", "steps"},
    "answering": FOUNDATION | {"host", "editors"},
    "routed": FOUNDATION | {"host", "routing", "editors", "library", "answering", "steps"},
    "worker": FOUNDATION | {"host", "editors"},
    "peft_router": FOUNDATION | {"library", "routed", "routing"},
    "asking": FOUNDATION | {"host", "editors", "answering", "routed", "worker"},
    "joint_session": FOUNDATION | {"host", "editors", "library", "asking", "steps"},
    "transfer": FOUNDATION | {"host", "editors", "library"},
    "session": FOUNDATION
    | {"host", "editors", "library", "answering", "asking", "routed", "routing", "steps", "transfer", "worker"}
    | {"joint_session"},
}
PUBLIC = "(public names)"  # what `from sola_core import ...` gives
UI_MAY_NOT = {"torch", "transformers", "peft", "sqlite3"}
UI_MAY_NOT_OURS = {"host", "routing", "editors", "library", "routed", "session", "worker"}
GRADIO_USERS = {"ui"}
PLOTLY_USERS = {"ui"}
PLOTLY_FILES = {"evaluation/report.py"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """Return the part that a module belongs to, such as "host" or "session"."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, types_too: bool) -> Iterator[str]:
    """Yield the full names that a module imports; those for type checking only if `types_too`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set() if types_too else {id(n) for block in _typing_blocks(tree) for n in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _typing_blocks(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from node.body


def ours(name: str) -> str | None:
    """Return the part of ours that an imported name belongs to; PUBLIC for a name of `sola_core` itself, None for others."""
    package, _, rest = name.partition(".")
    if package != "sola_core":
        return None
    part = rest.partition(".")[0]
    known = part and ((PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file())
    return part if known else PUBLIC


def test_every_part_imports_only_what_its_layer_may() -> None:
    breaches = []
    for path in modules():
        part = part_of(path)
        if part not in ALLOWED:
            continue
        for name in imports(path, types_too=part not in {"records", "errors"}):
            target = ours(name)
            if target is not None and target != part and target not in ALLOWED[part]:
                breaches.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not breaches


def test_the_page_sees_public_names_the_workspace_and_records_only() -> None:
    breaches = []
    for path in modules():
        if part_of(path) != "ui":
            continue
        names = [name for name in imports(path, types_too=True) if name.split(".")[0] in UI_MAY_NOT]
        names += [name for name in imports(path, types_too=False) if ours(name) in UI_MAY_NOT_OURS]
        breaches += [f"{path.relative_to(ROOT)} imports {name}" for name in names]
    assert not breaches


@pytest.mark.parametrize(
    ("package", "users", "files"), [("gradio", GRADIO_USERS, set()), ("plotly", PLOTLY_USERS, PLOTLY_FILES)]
)
def test_only_the_page_imports_gradio_and_only_the_page_and_the_report_plotly(
    package: str, users: set[str], files: set[str]
) -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if part_of(path) not in users and any(name.split(".")[0] == package for name in imports(path, types_too=True))
    }
    assert found <= files


COMPARE = ("compare_texts", "compare_words", "compare_undo_words", "compare_markup", "compare_figures")


def test_presentation_imports_no_gradio() -> None:
    for name in ("present", "figures", "lesson_texts", "lesson_words", "lesson_markup", *COMPARE):
        path = PACKAGE / "ui" / f"{name}.py"
        assert not any(found.split(".")[0] == "gradio" for found in imports(path, types_too=True))


def test_nothing_of_ours_imports_the_command_line_and_only_that_the_page() -> None:
    top = {"__main__", "commands", "measure", "proving", "teach_command", "speed_command"}
    breaches = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules()
        if part_of(path) not in top
        for name in imports(path, types_too=True)
        if ours(name) in top or (ours(name) == "ui" and part_of(path) != "ui")
    ]
    assert not breaches


def test_importing_the_library_imports_neither_gradio_nor_plotly_nor_the_page() -> None:
    code = "import sys, sola_core; print(*sorted({'gradio', 'plotly', 'umap', 'sola_core.ui'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_module_opens_with_a_docstring() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no docstring"
