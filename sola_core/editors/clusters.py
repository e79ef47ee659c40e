"""MELO's vector database: facts as points in clusters whose centres and radii move as further facts come.

Knows points, clusters and their rules. Knows no weights and no host.
Source: MELO (AAAI 2024, arXiv 2312.11795), section 3.3, and the authors' code at ed097eb. Deviations: see `melo`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from sola_core.editors.balls import MARGIN, Near, distances, nearest, stacked


@dataclass(frozen=True, kw_only=True, eq=False)
class Point:
    """One fact in the space of keys."""

    key: Tensor  # (dim,) float32
    fact_id: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Cluster:
    """Points with one answer in a ball."""

    centre: Tensor  # (dim,) float32
    radius: float
    target: tuple[int, ...]  # token ids of the answer
    points: tuple[Point, ...]
    forgotten: tuple[str, ...] = ()  # ids of the facts whose points a split left outside: nothing finds them any more

    def on(self, off: Collection[str]) -> tuple[Point, ...]:
        """Return the points of facts that are on."""
        return tuple(point for point in self.points if point.fact_id not in off)

    def without(self, fact_id: str) -> Cluster:
        """Return the cluster, its centre and radius as they are, without a fact."""
        return replace(
            self,
            points=tuple(point for point in self.points if point.fact_id != fact_id),
            forgotten=tuple(fact for fact in self.forgotten if fact != fact_id),
        )


Clusters = tuple[Cluster, ...]


def alone(point: Point, target: tuple[int, ...], radius: float) -> Cluster:
    """Return a cluster of one point."""
    return Cluster(centre=point.key, radius=radius, target=target, points=(point,))


def inserted(clusters: Clusters, point: Point, target: tuple[int, ...], radius: float) -> Clusters:
    """Return the clusters with one more point; `radius` is that of a new cluster.

    Far from all: a cluster of its own. Near one with its answer: it joins, and centre and radius follow. Near one with another
    answer: both get half the distance, and points that this leaves outside are forgotten.
    """
    near = nearest(point.key, stacked([cluster.centre for cluster in clusters])) if clusters else None
    if near is None or near.distance > clusters[near.index].radius + radius:
        return (*clusters, alone(point, target, radius))
    held = clusters[near.index]
    if held.target == target:
        return _with(clusters, near.index, _joined(held, point, radius))
    cut = _cut(held, near.distance / 2 - MARGIN)
    return (*_with(clusters, near.index, cut), alone(point, target, near.distance / 2 + MARGIN))


def _with(clusters: Clusters, index: int, cluster: Cluster) -> Clusters:
    return (*clusters[:index], cluster, *clusters[index + 1 :])


def _joined(cluster: Cluster, point: Point, radius: float) -> Cluster:
    points = (*cluster.points, point)
    keys = stacked([one.key for one in points])
    centre = keys.mean(dim=0)
    reach = float(distances(centre, keys).max())
    return replace(cluster, points=points, centre=centre, radius=max(reach, radius))


def _cut(cluster: Cluster, radius: float) -> Cluster:
    kept = []
    forgotten = [*cluster.forgotten]
    for point in cluster.points:
        if float(distances(cluster.centre, point.key)) <= radius:
            kept.append(point)
        else:
            forgotten.append(point.fact_id)
    return replace(cluster, radius=radius, points=tuple(kept), forgotten=tuple(forgotten))


def found(clusters: Clusters, query: Tensor, off: Collection[str]) -> tuple[Near | None, Point | None]:
    """Return the nearest cluster, and in it the nearest point of a fact that is on; None where there is none.

    A cluster all of whose facts are off is passed over; one that a split has emptied still stands in the way of those behind.
    """
    among = [i for i, cluster in enumerate(clusters) if cluster.on(off) or not cluster.points]
    near = nearest(query, stacked([cluster.centre for cluster in clusters]), among) if clusters else None
    points: Sequence[Point] = () if near is None else clusters[near.index].on(off)
    best = nearest(query, stacked([point.key for point in points])) if points else None
    return near, None if best is None else points[best.index]
