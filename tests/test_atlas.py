"""The map's promise: a point that has a place keeps it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import numpy.typing as npt
import pytest

from sola_core.atlas import Atlas, Layout, Sheet

REFERENCES = [f"sentence number {n} about topic {n % 7}" for n in range(40)]


def embed(text: str) -> npt.NDArray[np.float32]:
    """Return a vector that depends on the text only, with some structure by its words."""
    total = np.zeros(16, dtype=np.float32)
    for word in text.split():
        total += np.random.default_rng(sum(map(ord, word)) * 7919 + len(word)).normal(size=16).astype(np.float32)
    return total


def sheet(references: list[str] = REFERENCES) -> Sheet:
    return Sheet(references, embed, seed=0, lock=threading.Lock())


def settled(atlas: Atlas, seconds: float = 120.0) -> Sheet:
    found = atlas.sheet("space", embed)
    end = time.monotonic() + seconds
    while not found.settled and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_points_keep_their_places_when_others_arrive_and_leave() -> None:
    layout = Layout(sheet())
    first = layout.places({"a": "where is the lake", "b": "who wrote the book"})
    more = layout.places({"a": "where is the lake", "b": "who wrote the book", "c": "a third text"})
    fewer = layout.places({"b": "who wrote the book"})
    assert {k: more[k] for k in first} == first
    assert fewer["b"] == first["b"]


def test_a_text_has_the_same_place_in_every_session_and_after_a_restart() -> None:
    assert Layout(sheet()).places({"x": "a text"})["x"] == Layout(sheet()).places({"y": "a text"})["y"]


def test_the_background_fills_the_frame() -> None:
    background = sheet().background("pca")
    assert background.shape == (len(REFERENCES), 2)
    assert np.isclose(np.abs(background).max(), 1.0)


@pytest.mark.parametrize("references", [["one"], ["one", "two"], ["same", "same", "same"]])
def test_hardly_any_references_still_give_a_map(references: list[str]) -> None:
    found = Layout(sheet(references)).places({"a": "text", "b": "another text"})
    assert np.isfinite([*found["a"], *found["b"]]).all()


def test_a_text_without_a_vector_has_a_place_too() -> None:
    def blank(text: str) -> npt.NDArray[np.float32]:
        return embed(text) if text in REFERENCES else np.zeros(16, dtype=np.float32)

    found = Layout(Sheet(REFERENCES, blank, seed=0, lock=threading.Lock())).places({"a": "?"})
    assert np.isfinite(found["a"]).all()


def test_a_layout_keeps_its_projection_until_it_is_asked_to_improve() -> None:
    found = sheet()
    layout = Layout(found)
    before = layout.places({"a": "a text"})
    found._projections["umap"] = found._projections["pca"]
    assert layout.places({"a": "a text", "b": "another"})["a"] == before["a"]
    assert layout.method == "pca"
    assert layout.improve() and layout.method == "umap"
    assert not layout.improve()


def test_an_empty_copy_shares_the_projection_and_no_points() -> None:
    layout = Layout(sheet())
    layout.places({"question 1": "a text"})
    other = layout.empty().places({"question 1": "quite another thing"})
    assert other["question 1"] != layout.places({"question 1": "a text"})["question 1"]


def test_a_space_is_fitted_once() -> None:
    atlas = Atlas(REFERENCES, use_umap=False)
    assert atlas.sheet("space", embed) is atlas.sheet("space", embed)
    assert atlas.sheet("space", embed) is not atlas.sheet("another", embed)


def test_without_umap_the_map_stays_with_pca_and_says_that_nothing_better_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    found = settled(Atlas(REFERENCES))
    assert (found.settled, found.method) == (True, "pca")
    assert "ImportError" in caplog.text or "ModuleNotFoundError" in caplog.text


def test_umap_is_fitted_in_the_background_and_projects_without_moving_anything() -> None:
    atlas = Atlas(REFERENCES)
    begun = time.monotonic()
    atlas.sheet("space", embed)
    assert time.monotonic() - begun < 1.0  # nobody waits for the fit
    found = settled(atlas)
    assert found.method == "umap"
    layout = Layout(found)
    background = found.background("umap").copy()
    first = layout.places({"a": "where is the lake"})
    threads = [
        threading.Thread(target=layout.places, args=({"a": "where is the lake", str(n): f"text {n}"},))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert layout.places({"a": "where is the lake"}) == first
    assert (found.background("umap") == background).all()
    assert np.isfinite(background).all()


def test_a_process_that_ends_while_the_map_is_drawn_ends_cleanly() -> None:
    ends_early = (
        "import torch\n"
        "from sola_core.atlas import Atlas\n"
        "weights = torch.ones(3000, 3000)\n"
        "embed = lambda text: (weights @ torch.full((3000,), float(len(text))))[:16].numpy()\n"
        "Atlas([str(n) * n for n in range(1, 60)], use_umap=False).sheet('space', embed)\n"
    )
    ended = subprocess.run([sys.executable, "-c", ends_early], capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stderr) == (0, "")
