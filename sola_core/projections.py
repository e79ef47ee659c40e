"""Turns vectors into points on a plane: PCA, UMAP, and the similarity that lays one picture upon another.

Knows numbers only: no texts, no threads; whoever uses `Umap` holds the lock that it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]  # (n, 2)
Vectors = npt.NDArray[np.float64]  # (n, dim)
FARTHEST = 2.0  # no point is drawn farther out, where the references fill -1..1


class Projection(Protocol):
    """A fitted map from vectors to the plane."""

    def transform(self, vectors: Vectors) -> Points:
        """Return one point per row."""


class Pca:
    """The two directions of largest variance; signs are fixed, so that the same vectors give the same picture."""

    def __init__(self, vectors: Vectors) -> None:
        self._mean = vectors.mean(axis=0)
        axes = np.zeros((2, vectors.shape[1]))
        if len(vectors) > 1:
            found = np.linalg.svd(vectors - self._mean, full_matrices=False)[2][:2]
            largest = np.abs(found).argmax(axis=1)
            axes[: len(found)] = found * np.sign(found[np.arange(len(found)), largest])[:, None]
        self._axes = axes

    def transform(self, vectors: Vectors) -> Points:
        """Return one point per row."""
        points: Points = (vectors - self._mean) @ self._axes.T
        return points


class Umap:
    """UMAP fitted once; make and call it only under a lock that all its kind share."""

    def __init__(self, vectors: Vectors, seed: int, start: Points | None = None) -> None:
        """Fit, from `start`, (n, 2), if it is given: a picture that begins at another stays closer to it."""
        from umap import UMAP

        begun = {} if start is None else {"init": start.astype(np.float32), "n_epochs": 200, "learning_rate": 0.3}
        neighbours = max(2, min(15, len(vectors) - 1))
        self._model = UMAP(n_neighbors=neighbours, min_dist=0.3, metric="cosine", random_state=seed, n_jobs=1, **begun)
        self._model.fit(vectors)
        self.fitted: Points = np.asarray(self._model.embedding_, dtype=np.float64)  # (n, 2)

    def transform(self, vectors: Vectors) -> Points:
        """Return one point per row."""
        return np.asarray(self._model.transform(vectors), dtype=np.float64)


class Framed:
    """A projection moved and scaled so that `raw`, the references' points in it, fill -1..1."""

    def __init__(self, projection: Projection, raw: Points) -> None:
        self._projection = projection
        low, high = raw.min(axis=0), raw.max(axis=0)
        self._centre = (low + high) / 2
        self._scale = max(float((high - low).max()) / 2, 1e-9)

    def place(self, raw: Points) -> Points:
        """Return where points of the bare projection lie in the frame."""
        return within((raw - self._centre) / self._scale)

    def transform(self, vectors: Vectors) -> Points:
        """Return one point per row."""
        return self.place(self._projection.transform(vectors))


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """A turn, perhaps with a reflection, then one scale for both axes, then a shift: it keeps every shape."""

    turn: npt.NDArray[np.float64]  # (2, 2), orthogonal
    scale: float
    shift: npt.NDArray[np.float64]  # (2,)

    def __call__(self, points: Points) -> Points:
        """Return the points where they lie afterwards."""
        moved: Points = self.scale * (points @ self.turn) + self.shift
        return moved


class Aligned:
    """A projection laid upon another picture."""

    def __init__(self, projection: Projection, onto: Similarity) -> None:
        self._projection, self._onto = projection, onto

    def transform(self, vectors: Vectors) -> Points:
        """Return one point per row."""
        return within(self._onto(np.nan_to_num(self._projection.transform(vectors))))


def framed(projection: Projection, vectors: Vectors) -> tuple[Projection, Points]:
    """Return a projection in the frame that these vectors fill, and their points."""
    raw = projection.transform(vectors)
    frame = Framed(projection, raw)
    return frame, frame.place(raw)


def similarity(points: Points, onto: Points) -> Similarity:
    """Return the similarity that brings `points`, (n, 2), closest to `onto`, (n, 2), in the sum of squared distances.

    The orthogonal Procrustes problem with scale and translation; Gower and Dijksterhuis, Procrustes Problems (2004).
    Points that all lie on one spot are only shifted.
    """
    centre, goal = points.mean(axis=0), onto.mean(axis=0)
    centred, wanted = points - centre, onto - goal
    spread = float((centred**2).sum())
    left, strengths, right = np.linalg.svd(centred.T @ wanted)
    turn = left @ right
    scale = float(strengths.sum()) / spread if spread > 0 else 1.0
    return Similarity(turn=turn, scale=scale, shift=goal - scale * (centre @ turn))


def within(points: Points) -> Points:
    """Return points that are finite and not too far out."""
    kept: Points = np.clip(np.nan_to_num(points), -FARTHEST, FARTHEST)
    return kept
