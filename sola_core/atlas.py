"""Draws texts as points on a plane that does not move: reference sentences first, every later text by projection.

Knows nothing of edits, routers or the page; whoever asks brings a function that turns a text into a vector.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sola_core.projections import Aligned, Pca, Points, Projection, Umap, Vectors, framed, similarity, within
from sola_core.steps import finish

Method = Literal["pca", "umap"]
Embed = Callable[[str], npt.NDArray[np.float32]]
Place = tuple[float, float]
Vector = npt.NDArray[np.float64]  # (dim,), unit length; zeros for a text that has none

FEWEST_FOR_UMAP = 8  # below, a UMAP picture says nothing and its start can fail
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Read:
    """How many texts of so many were turned into vectors; when all were, the fit is next."""

    done: int
    total: int


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

    def cold_sheet(self, embed: Embed) -> Sheet:
        """Return a new sheet with PCA only, over every fourth reference; it reads them when it is first asked for something."""
        return Sheet(self._references[::4], embed, seed=self._seed, lock=self._umap)


class Sheet:
    """The plane of one encoder space: reference sentences in the background, PCA at once and UMAP when it is warm."""

    def __init__(self, references: Sequence[str], embed: Embed, *, seed: int, lock: threading.Lock) -> None:
        self.references = tuple(references)
        self._embed, self._seed, self._umap = embed, seed, lock
        self._preparing = threading.Lock()
        self._read: list[npt.NDArray[np.float32]] = []  # the references' vectors as far as they are made
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

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return one vector of unit length per text, (n, dim); zeros for a text that has none."""
        return _unit([self._embed(text) for text in texts])

    def locate(self, vectors: Vectors, method: Method, projection: Projection | None = None) -> Points:
        """Return one point per vector in the sheet's projection or a given one; it is fixed, so nothing else moves."""
        self.prepare()
        projection = projection or self._projections[method][0]
        if method == "pca" or not len(vectors):
            return projection.transform(vectors)
        with self._umap:
            return projection.transform(vectors)

    def refitted(self, vectors: Vectors, method: Method) -> tuple[Projection, Points]:
        """Fit a projection on the references and these vectors; return it with all their points, references first.

        It begins at the sheet's own picture of them, so it depends on nothing else, and the sheet does not change.
        """
        start = np.vstack([self.background(method), self.locate(vectors, method)])
        together = np.vstack([self._vectors, vectors])
        if method == "pca":
            pca = Pca(together)
            return pca, pca.transform(together)
        with self._umap:
            umap = Umap(together, self._seed, start)
            return umap, umap.fitted

    def prepare(self) -> None:
        """Embed the references and fit PCA, once; whoever comes second waits."""
        finish(self.prepare_steps())

    def prepare_steps(self) -> Generator[Read, None, None]:
        """Do the same reference by reference; what was done before it is closed stays done, and who comes next goes on."""
        total = len(self.references)
        while True:
            with self._preparing:
                if "pca" in self._projections:
                    return
                if len(self._read) == total:
                    self._vectors = _unit(self._read)
                    self._projections["pca"] = framed(Pca(self._vectors), self._vectors)
                    return
                self._read.append(self._embed(self.references[len(self._read)]))
                done = len(self._read)
            yield Read(done=done, total=total)

    def warm_up(self, use_umap: bool = True) -> None:
        """Fit PCA, then UMAP; without it (not installed, few references, no compiler) the sheet stays with PCA."""
        try:
            self.prepare()
            if use_umap and len(self.references) >= FEWEST_FOR_UMAP:
                with self._umap:
                    umap = Umap(self._vectors, self._seed)
                    umap.transform(self._vectors[:1])  # compiles the second half now, not at the first question
                    self._projections["umap"] = framed(umap, self._vectors)
        except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
            log.warning("no UMAP, the map stays with PCA: %s", type(error).__name__)
        finally:
            self.settled = True


class Layout:
    """One visitor's view of a sheet: the points drawn so far, each of which keeps its place.

    The projection is chosen when the layout begins and changes only when `improve` or `relayout` is called.
    """

    def __init__(self, sheet: Sheet, method: Method | None = None) -> None:
        self.sheet = sheet
        self.method: Method = method or sheet.method
        self._lock = threading.Lock()
        self._own: tuple[Projection, Points] | None = None  # and the references' points in it, after a re-layout
        self._vectors: dict[str, Vector] = {}  # of every point drawn now
        self._places: dict[str, Place] = {}

    @property
    def background(self) -> Points:
        """The reference sentences' points."""
        own = self._own
        return own[1] if own else self.sheet.background(self.method)

    @property
    def own(self) -> bool:
        """Whether the projection was fitted for the texts of this layout."""
        return self._own is not None

    def empty(self) -> Layout:
        """Return a layout with the sheet's projection and no points."""
        return Layout(self.sheet, self.method)

    def places(self, texts: Mapping[str, str]) -> dict[str, Place]:
        """Return the place of every id; ids seen before keep theirs, ids no longer asked for are forgotten."""
        with self._lock:
            self._follow(texts)
            return dict(self._places)

    def vectors(self, texts: Mapping[str, str]) -> dict[str, Vector]:
        """Return the unit vector behind every id's point; ids no longer asked for are forgotten."""
        with self._lock:
            self._follow(texts)
            return dict(self._vectors)

    def read_steps(self, texts: Mapping[str, str]) -> Generator[Read, None, None]:
        """Make the vectors of those ids that have none, one by one; what was made before it is closed stays."""
        unread = [point for point in texts if point not in self._vectors]
        for done, point in enumerate(unread):
            yield Read(done=done, total=len(unread))
            vector = self.sheet.vectors([texts[point]])[0]
            with self._lock:
                self._vectors[point] = vector

    def improve(self) -> bool:
        """Take up the better projection if one became ready; return True when every point gets a new place."""
        with self._lock:
            if self.method == self.sheet.method:
                return False
            self.method, self._own = self.sheet.method, None
            self._places.clear()
            return True

    def relayout(self, texts: Mapping[str, str], keys: Collection[str]) -> None:
        """Fit the projection anew on the references and those of these texts that are `keys`, and lay it upon the old picture.

        Of all turns, reflections, scales and shifts the one is taken that moves references and keys least. Doing it again
        with the same keys moves nothing. Like every picture it stays when one of its texts goes, until the next re-layout.
        """
        with self._lock:
            self._follow(texts)
            named = [point for point in texts if point in keys]
            if not named:
                return
            vectors = np.array([self._vectors[point] for point in named])
            old = np.vstack([self.background, np.array([self._places[point] for point in named])])
            bare, raw = self.sheet.refitted(vectors, self.method)
            onto = similarity(raw, old)
            new, size = within(onto(raw)), len(self.sheet.references)
            self._own = Aligned(bare, onto), new[:size]
            self._places = dict(zip(named, _pairs(new[size:]), strict=True))
            self._follow(texts)

    def _follow(self, texts: Mapping[str, str]) -> None:
        """Give the points that are new their vectors and places, and forget those that are gone."""
        unread = [point for point in texts if point not in self._vectors]
        if unread:
            self._vectors.update(zip(unread, self.sheet.vectors([texts[point] for point in unread]), strict=True))
        new = [point for point in texts if point not in self._places]
        if new:
            rows = np.array([self._vectors[point] for point in new])
            found = self.sheet.locate(rows, self.method, self._own[0] if self._own else None)
            self._places.update(zip(new, _pairs(found), strict=True))
        self._vectors = {point: self._vectors[point] for point in texts}
        self._places = {point: self._places[point] for point in texts}


def _pairs(points: Points) -> list[Place]:
    return [(float(x), float(y)) for x, y in points]


def _unit(rows: Sequence[npt.NDArray[np.float32]]) -> Vectors:
    vectors = np.nan_to_num(np.asarray(rows, dtype=np.float64))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit
