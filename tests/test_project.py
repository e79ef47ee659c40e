"""What people get who install, host or cite the project: one set of versions, a whole wheel, checks that cannot look away."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import sola_core

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def listed(name: str) -> dict[str, Requirement]:
    """Return the requirements of a requirements file, by canonical name."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return by_name([line for line in lines if line])


def by_name(lines: list[str]) -> dict[str, Requirement]:
    found = [Requirement(line) for line in lines if not line.startswith("sola-studio")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def ranges(requirements: dict[str, Requirement]) -> dict[str, str]:
    return {name: str(requirement.specifier) for name, requirement in requirements.items()}


def test_requirements_and_package_name_the_same_ranges() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert ranges(listed("requirements.txt")) == ranges(by_name(PROJECT["project"]["dependencies"] + extras["ui"]))
    assert ranges(listed("requirements-dev.txt")) == ranges(by_name(extras["dev"]))


def test_the_tested_versions_are_exact_public_and_inside_the_ranges() -> None:
    pins = listed("constraints.txt")
    assert all(re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)) for pin in pins.values())
    for name, requirement in {**listed("requirements.txt"), **listed("requirements-dev.txt")}.items():
        assert str(pins[name].specifier).removeprefix("==") in requirement.specifier


def test_the_torch_range_takes_what_hosted_gpus_offer() -> None:
    torch = listed("requirements.txt")["torch"].specifier
    assert all(version in torch for version in ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.13.0"))


def test_the_space_and_the_requirements_agree() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n"), "README.md has no front matter for Spaces"
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["sdk"] == "gradio"
    assert isinstance(front["sdk_version"], str)
    assert isinstance(front["python_version"], str)
    assert front["sdk_version"] in listed("requirements.txt")["gradio"].specifier
    assert str(listed("constraints.txt")["gradio"].specifier) == f"=={front['sdk_version']}"
    assert (ROOT / front["app_file"]).is_file()
    assert front["license"] == "apache-2.0"


def test_the_front_matter_is_what_spaces_reads() -> None:
    head = (ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    front = yaml.safe_load(head)
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    hardware = {"cpu-basic", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "a10g-small", "zero-a10g"}
    wanted = {"title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "license"}
    known = wanted | {"pinned", "short_description", "suggested_hardware", "models", "tags", "thumbnail", "header"}
    assert wanted <= set(front) <= known
    assert {front["colorFrom"], front["colorTo"]} <= colours and front["suggested_hardware"] in hardware
    assert 0 < len(front["short_description"]) <= 60 and front["pinned"] in (True, False)
    assert 1 <= len(front["emoji"]) <= 2 and not front["emoji"].isascii()
    assert re.search(r'^python_version: "3\.1[1-9]"$', head, re.M)  # unquoted it would be a number
    assert front["python_version"] in SpecifierSet(PROJECT["project"]["requires-python"])


def test_the_licence_is_the_one_that_is_named() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["project"]["license"] == "Apache-2.0"


def test_every_place_names_the_same_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = PROJECT["project"]["version"]
    assert sola_core.__version__ == version
    assert str(citation["version"]) == version
    assert f"## {version}" in changes


def test_every_package_folder_is_packaged() -> None:
    folders = {path.parent for path in (ROOT / "sola_core").rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names | {"sola_core.assets"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout and unpacked far away from it."""
    source, out = tmp_path_factory.mktemp("source") / "project", tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests", "shared", "out")
    shutil.copytree(ROOT, source, ignore=left_out)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        ".",
    ]
    subprocess.run(command, cwd=source, check=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(out / "site")
    return out / "site"


def outside(installed: Path, folder: Path, *words: str) -> str:
    """Run Python outside the checkout with only the unpacked wheel of ours on its path; return what it prints."""
    around = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_carries_every_asset_and_no_test(installed: Path) -> None:
    shipped = {path.relative_to(ROOT / "assets") for path in (ROOT / "assets").rglob("*") if path.is_file()}
    packed = {
        p.relative_to(installed / "sola_core/assets")
        for p in (installed / "sola_core/assets").rglob("*")
        if p.is_file()
    }
    assert packed == shipped
    assert not (installed / "tests").exists()
    assert (installed / "sola_core" / "py.typed").is_file()


@pytest.mark.slow
def test_outside_the_checkout_the_library_finds_its_own_assets(installed: Path, tmp_path: Path) -> None:
    code = "from sola_core.resources import asset; print(asset('demo_facts.json'))"
    assert (
        Path(outside(installed, tmp_path, "-c", code).strip()) == installed / "sola_core" / "assets" / "demo_facts.json"
    )


@pytest.mark.slow
def test_outside_the_checkout_the_command_line_answers(installed: Path, tmp_path: Path) -> None:
    assert "prove" in outside(installed, tmp_path, "-m", "sola_core", "--help")


# ---- the checks themselves -----------------------------------------------------------------------------------------

SKIPPING = """
import pytest

@pytest.mark.browser
def test_in_a_browser():
    pytest.skip("no browser here")

def test_that_may_be_skipped():
    pytest.skip("only on another system")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ci", "status", "line"),
    [("true", 1, "1 failed, 1 skipped"), pytest.param("", 0, "2 skipped", marks=pytest.mark.long)],
)
def test_in_ci_a_skipped_browser_test_is_a_failure(tmp_path: Path, ci: str, status: int, line: str) -> None:
    (tmp_path / "test_sample.py").write_text(SKIPPING, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    browser: x\n    model: x\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.no_skips", "-p", "no:cacheprovider", str(tmp_path)]
    around = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert line in done.stdout


def test_a_missing_browser_is_said_with_what_to_do(tmp_path: Path) -> None:
    around = {**os.environ, "PATH": str(tmp_path), "CHROMIUM": ""}
    command = [sys.executable, str(ROOT / "tests" / "chromium.py")]
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "apt-get install chromium" in done.stderr


def test_make_and_ci_offer_what_the_readme_promises() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"run", "test", "check", "bench"} <= set(targets)
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    subprocess.run(["bash", "-n", str(ci)], check=True)
    assert "make test" in ci.read_text(encoding="utf-8")
