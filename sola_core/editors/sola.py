"""SoLA: each edit is its own LoRA, trained once and frozen; taking the edit back is forgetting it.

Knows how to train and apply one edit. Which edit answers, and where edits are kept, is decided elsewhere.
Source: "Reversible Lifelong Model Editing via Semantic Routing-Based LoRA", arXiv 2603.11239, section 3.
Deviations: AdamW with early stopping instead of SGD for 40 epochs; the end-of-turn token is trained, so that an answer stops.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Literal

import torch
from torch import Tensor

from sola_core.editors.fitting import row_ids
from sola_core.editors.lora import Fit, FitRow, initial_pairs, lora_modules, lora_rows, stored_tensors
from sola_core.errors import EditFailed, InvalidInput, InvalidRequest
from sola_core.host.intervention import Intervention, ModuleFunction
from sola_core.host.model import HostModel
from sola_core.records import Capabilities, EditRequest, TrainedEdit, TrainingRecord, TrainingStep
from sola_core.text import checked_request, normalised_answer
from sola_core.words import Sentence


@dataclass(frozen=True, kw_only=True)
class SolaSettings:
    """All that a trained edit depends on beside its request and the host."""

    layers: tuple[int, ...] = ()  # edited layers, lowest first; empty: one layer at `depth`
    depth: float = 0.7  # where that layer is, as a share of all layers (21 of 30)
    rank: int = 4
    scale: float = 4.0  # alpha / rank; a strong push needs few steps and carries over to rephrasings
    lr: float = 3e-2  # AdamW, no weight decay
    goals: tuple[float, ...] = (0.05, 0.01, 0.002)  # nats; training goes on to the next when the try fails
    max_steps: int = 60  # forward passes over all goals
    max_target_tokens: int = 64
    extra_try_tokens: int = 8  # how much longer than the target the tried answer may run
    clear_lead: float = 1.0  # logits; a target that wins by this in one pass needs no decoding to know the answer
    stored_dtype: str = "float16"
    batch_rows: int = 16  # edits trained together by train_many
    seed: int = 0


class Sola:
    """The SoLA editor."""

    name = "sola"
    capabilities = Capabilities(
        delete="exact",
        switch="exact",
        shares_weights=False,
        why=Sentence("Every fact is an adapter of its own; without its key the model runs exactly as it was."),
    )

    def __init__(self, settings: SolaSettings | None = None) -> None:
        self.settings = settings or SolaSettings()

    def train_steps(self, request: EditRequest, host: HostModel) -> Generator[TrainingStep, None, TrainedEdit]:
        """Train one edit (see Editor.train_steps)."""
        (outcome,) = yield from self.train_many([request], host)
        if isinstance(outcome, EditFailed):
            raise outcome
        return outcome

    def train_many(
        self, requests: Sequence[EditRequest], host: HostModel
    ) -> Generator[TrainingStep, None, list[TrainedEdit | EditFailed]]:
        """Train a batch of edits, each with its own LoRA (see Editor.train_many)."""
        began = time.perf_counter()
        outcomes: dict[int, TrainedEdit | EditFailed] = {}
        checked: dict[int, EditRequest] = {}
        rows: dict[int, FitRow] = {}
        for i, request in enumerate(requests):
            try:
                checked[i] = checked_request(request)
                rows[i] = self._row(checked[i], host)
            except InvalidInput as error:
                outcomes[i] = InvalidRequest(str(error))
        if not rows:
            return [outcomes[i] for i in range(len(requests))]
        fit = Fit(
            list(rows.values()),
            host,
            layer=self._layers(host)[0],
            lr=self.settings.lr,
            scale=self.settings.scale,
            stored_dtype=getattr(torch, self.settings.stored_dtype),
        )
        place = {i: k for k, i in enumerate(rows)}  # which row of the fit
        for goal in self.settings.goals:
            left = [i for i in rows if i not in outcomes]
            if not left:
                break
            for active in fit.run([place[i] for i in left], goal, self.settings.max_steps):
                yield self._progress(active, "training")
            for i in left:
                yield self._progress([rows[i]], "trying")
                tensors = stored_tensors(rows[i].pairs, getattr(torch, self.settings.stored_dtype))
                answer = self._try(checked[i], rows[i], tensors, host)
                if answer is None:
                    training = self._record(rows[i], host, (time.perf_counter() - began) / len(requests))
                    outcomes[i] = TrainedEdit(request=checked[i], tensors=tensors, training=training)
                elif goal == self.settings.goals[-1] or len(rows[i].losses) >= self.settings.max_steps:
                    outcomes[i] = _not_held(checked[i], answer)
        return [outcomes[i] for i in range(len(requests))]

    def intervention(self, tensors: Mapping[str, Tensor], host: HostModel) -> Intervention:
        """Return the intervention of one edit: its LoRA on every step."""
        return Intervention(modules=lora_modules(tensors, host, self.settings.scale))

    def row_modules(self, adapters: Sequence[Mapping[str, Tensor]], host: HostModel) -> Mapping[str, ModuleFunction]:
        """Return the LoRAs of a batch of rows (see Editor.row_modules)."""
        return lora_rows(adapters, host, self.settings.scale)

    def effect(self, host: HostModel) -> Mapping[str, object]:
        """Return where the LoRA sits, its rank and scale, and the template of the prompts it was trained on."""
        return {
            "layers": list(self._layers(host)),
            "rank": self.settings.rank,
            "scale": self.settings.scale,
            "stored_dtype": self.settings.stored_dtype,
            "template": host.format.digest,
        }

    def shapes(self, host: HostModel) -> Mapping[str, tuple[int, int]]:
        """Return the name and shape of each tensor of an edit."""
        pairs = initial_pairs(host, self._modules(host), self.settings.rank, seed=0)
        stored = stored_tensors(pairs, getattr(torch, self.settings.stored_dtype))
        return {name: (tensor.shape[0], tensor.shape[1]) for name, tensor in stored.items()}

    def held(self, request: EditRequest, tensors: Mapping[str, Tensor], host: HostModel) -> str | None:
        """Ask with this edit alone (see Editor.held)."""
        return self._answer_instead(request, len(host.target_ids(request.target)) - 1, tensors, host)

    def decision_module(self, host: HostModel) -> str:
        """Return the first edited linear: its input is the paper's routing state."""
        return self._modules(host)[0]

    # ---- helpers in the order of use -----------------------------------------------------------------------------

    def _layers(self, host: HostModel) -> tuple[int, ...]:
        return tuple(sorted(self.settings.layers)) or (
            min(int(self.settings.depth * host.n_layers), host.n_layers - 1),
        )

    def _modules(self, host: HostModel) -> list[str]:
        return [host.module_name(layer) for layer in self._layers(host)]

    def _row(self, request: EditRequest, host: HostModel) -> FitRow:
        prompt, target = row_ids(request, host, self.settings.max_target_tokens)
        pairs = initial_pairs(host, self._modules(host), self.settings.rank, self._seed(request, host))
        return FitRow(prompt=prompt, target=target, pairs=pairs)

    def _seed(self, request: EditRequest, host: HostModel) -> int:
        """Return a seed that depends on the request, the host and the settings, and on nothing else."""
        text = json.dumps([asdict(request), asdict(self.settings), host.fingerprint], sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def _progress(self, rows: Sequence[FitRow], stage: Literal["training", "trying"]) -> TrainingStep:
        done = max(len(row.losses) for row in rows)
        loss = sum(row.losses[-1] for row in rows) / len(rows)
        return TrainingStep(step=done, total=self.settings.max_steps, loss=loss, stage=stage)

    def _try(self, request: EditRequest, row: FitRow, tensors: Mapping[str, Tensor], host: HostModel) -> str | None:
        """Ask with this edit alone, as it will be stored; return None when it holds, or the answer that came instead.

        The last pass saw these very tensors. When every token of the target won it by more than the shape of a call can
        change, the greedy answer is known without decoding it (the check of speculative decoding, arXiv 2211.17192).
        """
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            return "(numbers out of range)"
        wanted = normalised_answer(request.target)
        if row.lead >= self.settings.clear_lead and normalised_answer(host.format.text(row.target[:-1])) == wanted:
            return None
        return self._answer_instead(request, len(row.target) - 1, tensors, host)

    def _answer_instead(
        self, request: EditRequest, words: int, tensors: Mapping[str, Tensor], host: HostModel
    ) -> str | None:
        """Answer freely with this edit alone; return None for exactly the target (of `words` tokens) with a natural stop."""
        generation = host.generate(
            request.prompt,
            max_new_tokens=words + self.settings.extra_try_tokens,
            intervention=self.intervention(tensors, host),
        )
        same = normalised_answer(generation.text) == normalised_answer(request.target)
        return None if same and generation.stopped == "end" else generation.text

    def _record(self, row: FitRow, host: HostModel, seconds: float) -> TrainingRecord:
        return TrainingRecord(
            losses=tuple(row.losses),
            seconds=seconds,
            target_probability=math.exp(-row.losses[-1] * len(row.target)),
            already_known=row.knew,
            held=True,
            steps=row.steps,
            method=self.name,
            settings={**asdict(self.settings), "layers": list(self._layers(host)), "template": host.format.digest},
            device=host.device,
            compute_dtype=str(host.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            versions={"torch": torch.__version__, "transformers": version("transformers")},
        )


def _not_held(request: EditRequest, answer: str) -> EditFailed:
    shown = answer if len(answer) <= 80 else answer[:79] + "\u2026"
    return EditFailed(
        Sentence(
            "The model did not learn this answer: after training it said “{shown}”. Nothing was stored. Try a "
            "shorter or plainer answer.",
            shown=shown,
        )
    )
