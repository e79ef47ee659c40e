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
from sola_core.projections import Points, Similarity, similarity

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


@pytest.mark.slow
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


@pytest.mark.slow
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


# ---- a new layout, laid upon the old one ----

SPOTS = np.random.default_rng(3).normal(size=(12, 2))
GOALS = np.random.default_rng(4).normal(size=(12, 2))


def apart(one: Points, other: Points) -> float:
    return float(((one - other) ** 2).sum())


def test_of_all_similarities_the_one_found_brings_the_points_closest() -> None:
    best = apart(similarity(SPOTS, GOALS)(SPOTS), GOALS)
    random = np.random.default_rng(5)
    for _ in range(300):
        angle, mirror = random.uniform(0, 2 * np.pi), random.choice([-1.0, 1.0])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-mirror * np.sin(angle), mirror * np.cos(angle)]])
        other = Similarity(turn=turn, scale=random.uniform(0, 1), shift=random.normal(size=2) / 4)
        assert best <= apart(other(SPOTS), GOALS)
    found = similarity(SPOTS, GOALS)
    for nudge in (1e-3, -1e-3):  # the smallest steps away from it lead up as well
        for other in (
            Similarity(turn=found.turn, scale=found.scale + nudge, shift=found.shift),
            Similarity(turn=found.turn, scale=found.scale, shift=found.shift + np.array([nudge, 0])),
            Similarity(turn=found.turn @ [[np.cos(nudge), np.sin(nudge)], [-np.sin(nudge), np.cos(nudge)]],
                       scale=found.scale, shift=found.shift),
        ):  # fmt: skip
            assert best < apart(other(SPOTS), GOALS)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_a_picture_that_was_turned_mirrored_scaled_and_shifted_is_brought_back(mirror: float) -> None:
    turn = np.array([[0.6, 0.8], [-0.8 * mirror, 0.6 * mirror]])
    moved = 2.5 * (SPOTS @ turn) + [3.0, -1.0]
    assert np.allclose(similarity(moved, SPOTS)(moved), SPOTS)


def test_points_on_one_spot_are_shifted_only() -> None:
    spot = np.ones((4, 2))
    assert np.allclose(similarity(spot, GOALS[:4])(spot), GOALS[:4].mean(axis=0))


TEXTS = {"a": "where is the lake", "b": "who wrote the book", "c": "number topic lake", "q": "is the book there"}


def test_after_a_new_layout_nothing_moves_when_points_arrive_and_doing_it_again_moves_nothing() -> None:
    layout, other = Layout(shared := sheet()), Layout(shared)
    before, shared_before = layout.places(TEXTS), shared.background("pca").copy()
    layout.relayout(TEXTS, {"a", "b", "c"})
    new = layout.places(TEXTS)
    assert layout.own and new != before
    assert {k: layout.places({**TEXTS, "d": "one more"})[k] for k in new} == new
    background = layout.background.copy()
    layout.relayout(TEXTS, {"a", "b", "c"})
    assert np.allclose([layout.places(TEXTS)[k] for k in TEXTS], [new[k] for k in TEXTS])
    assert np.allclose(layout.background, background)
    assert (shared.background("pca") == shared_before).all()  # nobody else's picture changes
    assert other.places(TEXTS) == before


def test_a_new_layout_is_the_same_in_every_session_and_as_near_the_old_one_as_a_similarity_can_be() -> None:
    layout, again = Layout(sheet()), Layout(sheet())
    old = np.vstack([layout.background, [layout.places(TEXTS)[k] for k in "abc"]])
    for each in (layout, again):
        each.relayout(TEXTS, {"a", "b", "c"})
    assert layout.places(TEXTS) == again.places(TEXTS)
    new = np.vstack([layout.background, [layout.places(TEXTS)[k] for k in "abc"]])
    assert np.allclose(similarity(new, old)(new), new, atol=1e-9)


def test_without_keys_there_is_nothing_to_lay_out() -> None:
    layout = Layout(sheet())
    before = layout.places(TEXTS)
    layout.relayout(TEXTS, ())
    assert layout.places(TEXTS) == before and not layout.own


def test_an_empty_copy_does_not_carry_a_layout_of_ones_own() -> None:
    layout = Layout(sheet())
    layout.relayout(TEXTS, TEXTS)
    assert not layout.empty().own


def test_references_are_read_one_by_one_and_whoever_comes_next_goes_on() -> None:
    read: list[str] = []

    def counted(text: str) -> npt.NDArray[np.float32]:
        read.append(text)
        return embed(text)

    cold = Atlas(REFERENCES).cold_sheet(counted)
    steps = cold.prepare_steps()
    assert [next(steps).done for _ in range(3)] == [1, 2, 3]
    steps.close()
    assert [step.done for step in cold.prepare_steps()] == list(range(4, len(cold.references) + 1))
    assert read == REFERENCES[::4]
    assert list(cold.prepare_steps()) == []


@pytest.mark.slow
def test_a_new_layout_with_umap_keeps_its_places_too() -> None:
    found = settled(Atlas(REFERENCES))
    layout, again = Layout(found), Layout(found)
    assert layout.method == "umap"
    for each in (layout, again):
        each.places(TEXTS)
        each.relayout(TEXTS, {"a", "b", "c"})
    new = layout.places(TEXTS)
    assert again.places(TEXTS) == new
    assert {k: layout.places({**TEXTS, "d": "one more"})[k] for k in new} == new
    layout.relayout(TEXTS, {"a", "b", "c"})
    assert np.allclose([layout.places(TEXTS)[k] for k in TEXTS], [new[k] for k in TEXTS], atol=1e-6)
