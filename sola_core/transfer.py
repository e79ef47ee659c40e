"""Carries edits between libraries: all of them into one file, and out of a file into another library.

Knows the file's format, the method that tries an edit, and the routed library. Knows no page and no file names.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import torch

from sola_core.editors.base import Editor
from sola_core.errors import InvalidInput
from sola_core.host.model import HostModel
from sola_core.library.pack import Pack, PackedEdit, pack_bytes
from sola_core.library.peft_io import PeftBase
from sola_core.records import Edit, EditRequest, TrainedEdit, TrainingRecord
from sola_core.text import canonical
from sola_core.words import Sentence

Present = Literal["skip", "replace", "both"]
PRESENT: tuple[Present, ...] = ("skip", "replace", "both")


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One edit of a file was tried, for progress displays."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of a file's edits."""

    edits: tuple[Edit, ...]  # stored, in the file's order
    skipped: tuple[EditRequest, ...]  # their question was taught here already
    failures: tuple[tuple[EditRequest, str], ...]  # did not hold here, with the reason


def exported(
    edits: Sequence[Edit], tensors: Mapping[str, Mapping[str, torch.Tensor]], method: Editor, host: HostModel
) -> bytes:
    """Return edits with their adapters, by edit id, as the bytes of one file; raise InvalidInput when there are none or too many."""
    if not edits:
        raise InvalidInput(Sentence("There is no edit to save. Teach a fact first."))
    packed = [PackedEdit(request=e.request, enabled=e.enabled, tensors=tensors[e.id]) for e in edits]
    return pack_bytes(
        Pack(
            host_name=host.name,
            host_fingerprint=host.fingerprint,
            method=method.name,
            settings=method.effect(host),
            edits=tuple(packed),
        )
    )


def peft_base(edit: Edit, host: HostModel) -> PeftBase:
    """Return what a PEFT adapter must say of an edit's host and settings."""
    settings = edit.training.settings
    return PeftBase(
        name=host.name,
        fingerprint=host.fingerprint,
        rank=int(str(settings["rank"])),
        scale=float(str(settings["scale"])),
        fan_in_fan_out=host.architecture.fan_in_fan_out,
    )


def checked_shapes(pack: Pack, method: Editor, host: HostModel) -> None:
    """Raise InvalidInput unless every edit of a pack has the tensors that the method makes for this host."""
    wanted = dict(method.shapes(host))
    kind = str(method.effect(host).get("stored_dtype"))
    for number, edit in enumerate(pack.edits, start=1):
        found = {name: tuple(tensor.shape) for name, tensor in edit.tensors.items()}
        if found != wanted or any(str(t.dtype) != f"torch.{kind}" for t in edit.tensors.values()):
            raise InvalidInput(
                Sentence("Edit {number} of the file does not fit this model. Nothing was stored.", number=number)
            )


def tried_steps(
    pack: Pack, present: Mapping[str, Sequence[str]], policy: Present, method: Editor, host: HostModel
) -> Generator[Tried, None, tuple[list[tuple[TrainedEdit, bool]], list[str], Imported]]:
    """Try each edit of a pack that is wanted; return those that hold, the ids to replace, and what became of the others.

    `present`: canonical question -> ids of the edits that have it as their own.
    """
    held: list[tuple[TrainedEdit, bool]] = []
    replaced: list[str] = []
    skipped, failures = [], []
    for number, edit in enumerate(pack.edits):
        yield Tried(done=number, total=len(pack.edits))
        here = present.get(canonical(edit.request.prompt), ())
        if here and policy == "skip":
            skipped.append(edit.request)
            continue
        began = time.perf_counter()
        instead = method.held(edit.request, edit.tensors, host)
        if instead is not None:
            failures.append((edit.request, Sentence("the model answered {answer!r}", answer=instead[:80])))
            continue
        record = _record(pack, method, host, time.perf_counter() - began)
        held.append((TrainedEdit(request=edit.request, tensors=edit.tensors, training=record), edit.enabled))
        replaced += here if policy == "replace" else ()
    yield Tried(done=len(pack.edits), total=len(pack.edits))
    return held, replaced, Imported(edits=(), skipped=tuple(skipped), failures=tuple(failures))


def _record(pack: Pack, method: Editor, host: HostModel, seconds: float) -> TrainingRecord:
    """Return the record of an edit that was trained elsewhere: the trying is all that is known of it."""
    return TrainingRecord(
        losses=(),
        steps=0,
        seconds=seconds,
        target_probability=0.0,
        already_known=False,
        held=True,
        method=method.name,
        settings={**pack.settings, "imported": True},
        device=host.device,
        compute_dtype=str(host.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        versions={"torch": torch.__version__, "transformers": version("transformers")},
    )
