"""Least squares on one weight with soft penalties, from whole-number sums: adding and taking back are exact in any order.

Knows tensors. Knows no model, no facts and no texts.
Source: RLSEdit, arXiv 2601.15686, equation 15: D minimises sum ||D K - R||^2 + lambda^2 ||D||^2 + mu^2 ||D K0||^2, so that
D = N P with P = (A0 + G)^-1, G = sum K K^T, N = sum R K^T, A0 = lambda^2 I + mu^2 K0 K0^T. Taking (K, R) back, from
Sherman-Morrison-Woodbury with a minus sign: F = P K, S = I - K^T F, D' = D - (R - D K) S^-1 F^T.
Deviations: the paper carries P along (Woodbury); here G and N are kept as sums of integers, which do not depend on the order
and lose exactly what is subtracted, and D is solved for anew in float64, by one factorisation. K0 K0^T is a mean over tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

Anchoring = Literal["covariance", "null-space", "ridge"]

FRACTION = 16  # bits after the binary point
WHOLE = 8  # bits before it, the sign not counted
MAX_COLUMNS = 2 ** (63 - 2 * (FRACTION + WHOLE))  # so many products of two such numbers cannot leave 64 bits


class OutOfRange(ValueError):
    """A number does not fit the fixed-point form."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What one fact asks of the weight, in fixed point: each key column shall be mapped to its residual."""

    keys: Tensor  # K: (features in, columns) int32, in 2^-FRACTION of the key unit
    residuals: Tensor  # R: (features out, columns) int32, in 2^-FRACTION

    @property
    def columns(self) -> int:
        """How many keys there are."""
        return self.keys.shape[1]


def fixed(values: Tensor) -> Tensor:
    """Return numbers in fixed point, int32; raise OutOfRange when one is not finite or too large."""
    scaled: Tensor = values.double() * float(2**FRACTION)
    if not bool(scaled.isfinite().all()) or float(scaled.abs().max()) >= 2 ** (FRACTION + WHOLE):
        raise OutOfRange(f"{float(values.abs().max()):g} is outside of the range of {WHOLE} bits")
    return scaled.round().to(torch.int32)


def real(numbers: Tensor) -> Tensor:
    """Return fixed-point numbers as float64."""
    made: Tensor = numbers.double() / float(2**FRACTION)
    return made


@dataclass(frozen=True, kw_only=True)
class Sums:
    """All that the weight depends on: sums over the facts, as integers."""

    g: Tensor  # sum K K^T: (features in, features in) int64
    n: Tensor  # sum R K^T: (features out, features in) int64
    columns: int = 0

    @classmethod
    def none(cls, n_in: int, n_out: int) -> Sums:
        """Return the sums over no facts."""
        return cls(g=torch.zeros(n_in, n_in, dtype=torch.int64), n=torch.zeros(n_out, n_in, dtype=torch.int64))

    def changed(self, added: Sequence[Pairs] = (), removed: Sequence[Pairs] = ()) -> Sums:
        """Return the sums with further facts and without others, which they must contain."""
        g, n, columns = self.g.clone(), self.n.clone(), self.columns
        for sign, many in ((-1, removed), (1, added)):
            for pairs in many:
                keys, residuals = pairs.keys.long(), pairs.residuals.long()
                g.add_(keys @ keys.T, alpha=sign)
                n.add_(residuals @ keys.T, alpha=sign)
                columns += sign * pairs.columns
        if columns > MAX_COLUMNS:
            raise OutOfRange(f"more than {MAX_COLUMNS:,} keys")
        assert columns > 0 or not (bool(g.any()) or bool(n.any())), "what was taken back is not what was added"
        return Sums(g=g, n=n, columns=columns)


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What holds the old weight in its place, from the second moment of its inputs (in key units squared)."""

    ridge: float  # lambda^2
    held: Tensor | None = None  # mu^2 E[k k^T]: (features in, features in) float64
    basis: Tensor | None = None  # directions that may be used: (features in, directions) float64; None: all
    whitener: Tensor  # L^-1 of E[k k^T] + lambda^2 I = L L^T: (features in, features in) float64

    @classmethod
    def of(cls, kind: Anchoring, moment: Tensor, *, weight: float, ridge: float, null_share: float) -> Anchor:
        """Make an anchor from E[k k^T]; `weight` is mu^2, `ridge` is lambda^2 in units of the mean eigenvalue.

        "covariance" is RLSEdit, and MEMIT's sequential form with a vanishing ridge; "null-space" is AlphaEdit
        (arXiv 2410.02355): only directions that hold the last `null_share` of the trace are used; "ridge" is lambda alone.
        """
        floor = ridge * float(moment.diagonal().mean())
        eye = torch.eye(len(moment), dtype=torch.float64)
        factor = torch.linalg.cholesky(moment + max(floor, 1e-9 * float(moment.diagonal().mean())) * eye)
        whitener = torch.linalg.solve_triangular(factor, eye, upper=False)
        if kind == "covariance":
            return cls(ridge=floor, held=weight * moment, whitener=whitener)
        if kind == "ridge":
            return cls(ridge=floor, whitener=whitener)
        values, vectors = torch.linalg.eigh(moment)  # smallest first
        small = values.clamp(min=0).cumsum(0) <= null_share * float(values.clamp(min=0).sum())
        return cls(ridge=floor, basis=vectors[:, small].contiguous(), whitener=whitener)

    def solver(self, sums: Sums) -> Solver:
        """Factorise for these sums: float64, one Cholesky factorisation, the same bits for the same integers."""
        a = sums.g.double() / 2 ** (2 * FRACTION)
        if self.held is not None:
            a = a + self.held
        if self.basis is not None:
            a = self.basis.T @ a @ self.basis
        a.diagonal().add_(self.ridge)
        return Solver(torch.linalg.cholesky(a), self.basis)

    def update(self, sums: Sums) -> Tensor:
        """Return D, (features out, features in) float64; zero for no facts."""
        return self.solver(sums).spread((sums.n.double() / 2 ** (2 * FRACTION)).T).T

    @cached_property
    def whitener32(self) -> Tensor:
        """The whitener as answering uses it, float32."""
        return self.whitener.float()

    def guard(self, many: Sequence[Pairs]) -> Tensor:
        """Return the distinct keys of facts, whitened and of length 1: (keys, features in) float32; their order is their own."""
        keys = torch.unique(torch.cat([pairs.keys for pairs in many], dim=1), dim=1)
        return torch.nn.functional.normalize(self.whitener @ real(keys), dim=0).T.float().contiguous()


class Solver:
    """P of the sums it was made for, as a factor."""

    def __init__(self, factor: Tensor, basis: Tensor | None) -> None:
        self._factor, self._basis = factor, basis

    def spread(self, columns: Tensor) -> Tensor:
        """Return P x for columns (features in, m) float64."""
        if self._basis is None:
            return torch.cholesky_solve(columns, self._factor)
        return self._basis @ torch.cholesky_solve(self._basis.T @ columns, self._factor)

    def without(self, update: Tensor, pairs: Pairs) -> Tensor:
        """Return the change D' - D that taking `pairs` back will make, as factors would give it (see the module)."""
        keys, residuals = real(pairs.keys), real(pairs.residuals)
        f = self.spread(keys)
        s = torch.eye(pairs.columns, dtype=torch.float64) - keys.T @ f
        change: Tensor = (update @ keys - residuals) @ torch.linalg.solve(s, f.T)
        return change
