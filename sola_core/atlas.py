"""Draws texts as points on a plane that does not move: reference sentences first, every later text by projection.

Knows nothing of edits, routers or the page; whoever asks brings a function that turns a text into a vector.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Method = Literal["pca", "umap"]
Points = npt.NDArray[np.float64]  # (n, 2)
Vectors = npt.NDArray[np.float64]  # (n, dim)
Embed = Callable[[str], npt.NDArray[np.float32]]

FEWEST_FOR_UMAP = 8  # below, a UMAP picture says nothing and its start can fail
log = logging.getLogger(__name__)


class Projection(Protocol):
    """A fitted map from vectors to the plane."""

    def transform(self, vectors: Vectors) -> Points:
        """Return one point per row."""


class Atlas:
    """The sheets of one server, one for each space that texts can be drawn in.

    UMAP is fitted once per sheet, in a thread of its own, and everything in it runs under one lock: its compiled code
    can abort the process when two threads enter it. The process waits for that thread when it ends (some seconds at
    most), because a thread that is ended inside compiled code aborts the process too.
    """

    def __init__(self, references: Sequence[str], *, seed: int = 0, use_umap: bool = True) -> None:
        self._references, self._seed, self._use_umap = tuple(references), seed, use_umap
        self._umap = threading.Lock()
        self._guard = threading.Lock()
        self._sheets: dict[str, Sheet] = {}

    def sheet(self, space: str, embed: Embed) -> Sheet:
        """Return the sheet of an encoder space; the first call starts its warm-up and returns at once."""
        with self._guard:
            if space not in self._sheets:
                sheet = Sheet(self._references, embed, seed=self._seed, lock=self._umap)
                self._sheets[space] = sheet
                threading.Thread(target=sheet.warm_up, args=(self._use_umap,), name=f"map of {space}").start()
            return self._sheets[space]


class Sheet:
    """The plane of one encoder space: reference sentences in the background, PCA at once and UMAP when it is warm."""

    def __init__(self, references: Sequence[str], embed: Embed, *, seed: int, lock: threading.Lock) -> None:
        self.references = tuple(references)
        self._embed, self._seed, self._umap = embed, seed, lock
        self._preparing = threading.Lock()
        self._vectors: Vectors = np.zeros((0, 0))  # (n_references, dim), unit length, once prepared
        self._projections: dict[Method, tuple[Projection, Points]] = {}
        self.settled = False  # no better projection will come

    @property
    def method(self) -> Method:
        """The best projection that is ready now."""
        return "umap" if "umap" in self._projections else "pca"

    def background(self, method: Method) -> Points:
        """Return the reference sentences' points, (n_references, 2), within -1..1."""
        self.prepare()
        return self._projections[method][1]

    def locate(self, texts: Sequence[str], method: Method) -> Points:
        """Return one point per text; each is projected onto the fixed plane, so nothing else moves."""
        self.prepare()
        vectors = self._unit([self._embed(text) for text in texts])
        projection = self._projections[method][0]
        if method == "pca":
            return projection.transform(vectors)
        with self._umap:
            return projection.transform(vectors)

    def prepare(self) -> None:
        """Embed the references and fit PCA, once; whoever comes second waits."""
        with self._preparing:
            if "pca" not in self._projections:
                vectors = self._unit([self._embed(text) for text in self.references])
                self._vectors = vectors
                self._projections["pca"] = _framed(_Pca(vectors), vectors)

    def warm_up(self, use_umap: bool = True) -> None:
        """Fit PCA, then UMAP; without it (not installed, few references, no compiler) the sheet stays with PCA."""
        try:
            self.prepare()
            if use_umap and len(self.references) >= FEWEST_FOR_UMAP:
                with self._umap:
                    self._projections["umap"] = _framed(_Umap(self._vectors, self._seed), self._vectors)
        except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            log.warning("no UMAP, the map stays with PCA: %s", type(error).__name__)
        finally:
            self.settled = True

    def _unit(self, rows: Sequence[npt.NDArray[np.float32]]) -> Vectors:
        vectors = np.nan_to_num(np.asarray(rows, dtype=np.float64))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        return unit


class Layout:
    """One visitor's view of a sheet: the points drawn so far, each of which keeps its place.

    The projection is chosen when the layout begins and changes only when `improve` is called.
    """

    def __init__(self, sheet: Sheet, method: Method | None = None) -> None:
        self.sheet = sheet
        self.method: Method = method or sheet.method
        self._lock = threading.Lock()
        self._places: dict[str, tuple[float, float]] = {}

    @property
    def background(self) -> Points:
        """The reference sentences' points."""
        return self.sheet.background(self.method)

    def empty(self) -> Layout:
        """Return a layout with the same projection and no points."""
        return Layout(self.sheet, self.method)

    def places(self, texts: Mapping[str, str]) -> dict[str, tuple[float, float]]:
        """Return the place of every id; ids seen before keep theirs, ids no longer asked for are forgotten."""
        with self._lock:
            new = [point for point in texts if point not in self._places]
            if new:
                found = self.sheet.locate([texts[point] for point in new], self.method)
                self._places.update((point, (float(x), float(y))) for point, (x, y) in zip(new, found, strict=True))
            self._places = {point: self._places[point] for point in texts}
            return dict(self._places)

    def improve(self) -> bool:
        """Take up the better projection if one became ready; return True when every point gets a new place."""
        with self._lock:
            if self.method == self.sheet.method:
                return False
            self.method = self.sheet.method
            self._places.clear()
            return True


class _Pca:
    """The two directions of largest variance; signs are fixed, so that the same references give the same picture."""

    def __init__(self, vectors: Vectors) -> None:
        self._mean = vectors.mean(axis=0)
        axes = np.zeros((2, vectors.shape[1]))
        if len(vectors) > 1:
            found = np.linalg.svd(vectors - self._mean, full_matrices=False)[2][:2]
            largest = np.abs(found).argmax(axis=1)
            axes[: len(found)] = found * np.sign(found[np.arange(len(found)), largest])[:, None]
        self._axes = axes

    def transform(self, vectors: Vectors) -> Points:
        points: Points = (vectors - self._mean) @ self._axes.T
        return points


class _Umap:
    """UMAP fitted once; call it only under the atlas's lock."""

    def __init__(self, vectors: Vectors, seed: int) -> None:
        from umap import UMAP

        neighbours = max(2, min(15, len(vectors) - 1))
        self._model = UMAP(n_neighbors=neighbours, min_dist=0.3, metric="cosine", random_state=seed, n_jobs=1)
        self._model.fit(vectors)
        self.transform(vectors[:1])  # compiles the second half now, not at the first question

    def transform(self, vectors: Vectors) -> Points:
        return np.asarray(self._model.transform(vectors), dtype=np.float64)


class _Framed:
    """A projection moved and scaled so that the references fill -1..1."""

    def __init__(self, projection: Projection, raw: Points) -> None:
        self._projection = projection
        low, high = raw.min(axis=0), raw.max(axis=0)
        self._centre = (low + high) / 2
        self._scale = max(float((high - low).max()) / 2, 1e-9)

    def place(self, raw: Points) -> Points:
        points: Points = np.clip((np.nan_to_num(raw) - self._centre) / self._scale, -2.0, 2.0)
        return points

    def transform(self, vectors: Vectors) -> Points:
        return self.place(self._projection.transform(vectors))


def _framed(projection: Projection, vectors: Vectors) -> tuple[Projection, Points]:
    raw = projection.transform(vectors)
    framed = _Framed(projection, raw)
    return framed, framed.place(raw)
