"""The frozen language model that every editor intervenes on: answers, logits, and the states that training starts from.

Knows tokens, layers and the KV cache. Knows no editor, no router, no library and no page.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sola_core.errors import HostError, InvalidInput
from sola_core.host.architecture import Architecture, architecture_of, linear_shape
from sola_core.host.device import chosen_device, deterministic
from sola_core.host.intervention import Intervention, Latch, ModuleFunction, Phase, applied, no_grad_parameters
from sola_core.host.prefix import PrefixStates
from sola_core.host.prompt import PromptFormat, PromptIds
from sola_core.host.stream import Generation, TokenStream
from sola_core.quiet import no_bars
from sola_core.words import Sentence

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


MAX_PROMPT_TOKENS = 2048  # one forward step holds the model for everybody, so none may take too long
QUICK_ROWS = 5  # on CPUs a matrix takes half again as long for 2 or 3 rows, forwards and backwards, as for 5


class HostModel:
    """A causal language model whose parameters nobody writes.

    All work on the model happens one step at a time under `self.lock`, with the step's hooks on; neither the lock nor a hook
    is ever held while a caller looks at a token, so several answers and a training can go on side by side.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str, fingerprint: str
    ) -> None:
        self.architecture: Architecture = architecture_of(str(model.config.model_type))
        self.format = PromptFormat(tokenizer)
        self.name, self.fingerprint = name, fingerprint
        self.lock = threading.Lock()
        self.measured: dict[str, Tensor] = {}  # numbers about this model that are costly to find out, by what they are
        self._model = model
        no_grad_parameters(model)
        self.n_layers = len(self._layers())
        self.hidden_size = int(model.config.hidden_size)
        self.context_tokens = int(model.config.max_position_embeddings)

    @classmethod
    def load(
        cls,
        name_or_path: str = "smollm2-135m",
        device: str = "auto",
        on_progress: Callable[[str, float | None], None] | None = None,
    ) -> HostModel:
        """Load a host by name, hub id or folder; raise HostError children when it cannot be had.

        `device` is auto, cpu, cuda or mps; auto takes CUDA, then MPS, then CPU. bfloat16 on CUDA, float32 elsewhere.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from sola_core.host.sources import fetch_host

        target = chosen_device(device)
        folder = fetch_host(name_or_path, on_progress=on_progress)
        dtype = torch.bfloat16 if target.startswith("cuda") else torch.float32
        with no_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder.path, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                folder.path, dtype=dtype, trust_remote_code=False, use_safetensors=True
            )
        model.to(target)  # type: ignore[arg-type]
        return cls(model, tokenizer, name=folder.name, fingerprint=folder.fingerprint)

    @property
    def device(self) -> str:
        """Where the parameters are, such as "cpu" or "cuda:0"."""
        return str(next(self._model.parameters()).device)

    @property
    def dtype(self) -> torch.dtype:
        """The compute dtype."""
        return next(self._model.parameters()).dtype

    @property
    def size(self) -> tuple[int, int]:
        """How many parameters there are, and how many bytes they and the buffers take in memory."""
        tensors = [*self._model.parameters(), *self._model.buffers()]
        return sum(p.numel() for p in self._model.parameters()), sum(t.numel() * t.element_size() for t in tensors)

    def moved(self, device: str) -> HostModel:
        """Return this host on another device, with a lock of its own; for a process that was forked with it."""
        made = copy.copy(self)
        made.lock = threading.Lock()
        made._model.to(device)  # type: ignore[arg-type]
        return made

    def parameters_digest(self) -> str:
        """Return the hex SHA-256 over the live parameters and buffers, in sorted order of their names."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    # ---- prompts -------------------------------------------------------------------------------------------------

    def prompt_ids(self, prompt: str) -> PromptIds:
        """Return the ids that generation uses for this prompt; raise InvalidInput when they are too many."""
        ids = self.format.prompt(prompt)
        most = min(self.context_tokens - 1, MAX_PROMPT_TOKENS)
        if len(ids.ids) > most:
            raise InvalidInput(
                Sentence(
                    "The text has {count:,} tokens; at most {most:,} are allowed. Shorten it.",
                    count=len(ids.ids),
                    most=most,
                )
            )
        return ids

    def room_for(self, prompt: str, max_new_tokens: int) -> tuple[PromptIds, int]:
        """Return the ids of a prompt and how many tokens its answer may have; raise InvalidInput when it may have none."""
        if max_new_tokens < 1:
            raise InvalidInput(
                Sentence("An answer needs at least one token, not {max_new_tokens}.", max_new_tokens=max_new_tokens)
            )
        ids = self.prompt_ids(prompt)
        return ids, min(max_new_tokens, self.context_tokens - len(ids.ids))

    def target_ids(self, target: str) -> list[int]:
        """Return the ids an edit trains on: the answer, then the end-of-turn token."""
        return self.format.target(target)

    # ---- modules -------------------------------------------------------------------------------------------------

    def module_name(self, layer: int, part: str = "mlp_output") -> str:
        """Return the full name of a part of one layer, such as "model.layers.21.mlp.down_proj"."""
        if not 0 <= layer < self.n_layers:
            raise HostError(
                Sentence(
                    "Layer {layer} does not exist; this model has layers 0 to {last}.",
                    layer=layer,
                    last=self.n_layers - 1,
                )
            )
        return f"{self.architecture.layers}.{layer}.{getattr(self.architecture, part)}"

    def linear_shape(self, module_name: str) -> tuple[int, int]:
        """Return (features in, features out) of a linear module."""
        return linear_shape(self._model.get_submodule(module_name), self.architecture)

    # ---- answers -------------------------------------------------------------------------------------------------

    def stream(
        self,
        prompt: str,
        *,
        max_new_tokens: int = 48,
        intervention: Intervention | None = None,
        ignore_end: bool = False,
    ) -> TokenStream:
        """Return an iterator over the pieces of a greedy answer; nothing runs until it is advanced.

        `ignore_end` goes on past the end of the turn (for measuring speed only).
        """
        ids, most = self.room_for(prompt, max_new_tokens)
        return TokenStream(self, ids, most, intervention, ignore_end)

    def generate(
        self, prompt: str, *, max_new_tokens: int = 48, intervention: Intervention | None = None
    ) -> Generation:
        """Return the whole greedy answer."""
        stream = self.stream(prompt, max_new_tokens=max_new_tokens, intervention=intervention)
        for _ in stream:
            pass
        return stream.generation

    def next_token_logits(self, prompt: str, intervention: Intervention | None = None) -> Tensor:
        """Return the float32 logits, (vocab,), that the first token of the answer is chosen from."""
        return self.generation_logits(prompt, 1, intervention)[0]

    def generation_logits(self, prompt: str, steps: int = 16, intervention: Intervention | None = None) -> Tensor:
        """Return the float32 logits of the first greedy steps, (at most `steps`, vocab); the same code as an answer."""
        stream = self.stream(prompt, max_new_tokens=steps, intervention=intervention)
        rows: list[Tensor] = []
        stream.on_logits = lambda logits: rows.append(logits.float().cpu().clone())
        for _ in stream:
            pass
        return torch.stack(rows)

    @torch.no_grad()
    def module_input(self, prompt: str, module_name: str) -> Tensor:
        """Return the input of a module at the last token of the user's text, (dim,) float32."""
        ids = self.prompt_ids(prompt)
        return self.module_inputs(ids.ids, module_name)[ids.last_user].clone()

    @torch.no_grad()
    def module_inputs(self, ids: Tensor, module_name: str) -> Tensor:
        """Return the input of a module at every token of `ids`, (n,) int64, as (n, dim) float32 on the CPU.

        Runs the prefill in the shape that an answer uses, and stops as soon as the module is reached.
        """
        rows = ids[None].to(self.device)

        def reached(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            raise _Reached(args[0][0].detach().float().cpu())

        with self.lock:
            handle = self._model.get_submodule(module_name).register_forward_pre_hook(reached)
            try:
                self._model(input_ids=rows, use_cache=True, logits_to_keep=1)
            except _Reached as found:
                return found.value
            finally:
                handle.remove()
        raise HostError(Sentence("The module {module_name} was never reached.", module_name=module_name))

    # ---- training ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def prefix_states(self, rows: Tensor, layer: int) -> PrefixStates:
        """Run the layers below `layer` on `rows`, (batch, n) int64, and return what enters it.

        Rows of different length are padded on the right: under a causal mask no token sees what comes after it.
        """
        found: list[PrefixStates] = []

        def reached(_: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            found.append(PrefixStates(layer=layer, hidden=args[0], arguments=args[1:], keywords=dict(keywords)))
            raise _Reached(args[0])

        block = self._layers()[layer]
        with self.lock:
            handle = block.register_forward_pre_hook(reached, with_kwargs=True)
            try:
                self._model(input_ids=rows.to(self.device), use_cache=False, logits_to_keep=1)
            except _Reached:
                return found[0]
            finally:
                handle.remove()
        raise HostError(Sentence("Layer {layer} was never reached.", layer=layer))

    def suffix_logits(
        self, states: PrefixStates, modules: Mapping[str, ModuleFunction], rows: Tensor, columns: Tensor
    ) -> Tensor:
        """Run the layers from `states.layer` up with `modules` on, and return logits at the chosen tokens.

        `rows`, `columns`: (k,) int64, which token of which batch row. Returns (k, vocab). Gradients reach the tensors that
        `modules` close over. The caller holds the lock (see `step`).
        """
        positions = torch.arange(states.hidden.shape[1], device=states.hidden.device)
        with applied(self._model, modules, positions, "train"):
            hidden = states.hidden
            for block in self._layers()[states.layer :]:
                hidden = block(hidden, *states.arguments, **states.keywords)
        chosen = self._model.get_submodule(self.architecture.final_norm)(hidden[rows, columns])
        head: nn.Module = self._model.get_output_embeddings()  # type: ignore[no-untyped-call]
        spare = max(0, QUICK_ROWS - len(chosen))
        logits: Tensor = head(nn.functional.pad(chosen, (0, 0, 0, spare)))
        return logits[: len(chosen)]

    @contextmanager
    def step(self) -> Iterator[None]:
        """Hold the model for one step of work, whose gradients are the same in every run."""
        with self.lock, deterministic(self.device):
            yield

    def _layers(self) -> nn.ModuleList:
        layers = self._model.get_submodule(self.architecture.layers)
        assert isinstance(layers, nn.ModuleList)
        return layers

    def advance(self, ids: Tensor, cache: object, start: int, latch: Latch, last_user: int) -> Tensor:
        """Run one forward step, (1, n) ids, and return the last position's logits, (vocab,)."""
        return self.advance_rows(ids, cache, start, latch, last_user, 1)[-1]

    @torch.no_grad()
    def advance_rows(self, ids: Tensor, cache: object, start: int, latch: Latch, last_user: int, keep: int) -> Tensor:
        """Run one forward step, (1, n) ids, and return the logits of its last `keep` positions, (keep, vocab)."""
        phase: Phase = "prefill" if start == 0 else "decode"
        ids = ids.to(self.device)
        positions = torch.arange(start, start + ids.shape[1], device=ids.device)
        with self.lock, latch.applied(self._model, positions, phase, last_user):
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=keep)
        logits: Tensor = output.logits[0]
        return logits

    @torch.no_grad()
    def advance_batch(
        self, ids: Tensor, cache: object, mask: Tensor, positions: Tensor, modules: Mapping[str, ModuleFunction]
    ) -> Tensor:
        """Run one forward step of a batch padded on the left and return the last position's logits, (batch, vocab).

        `ids`, `positions`: (batch, n) int64; `mask`: (batch, all columns so far), 0 at padding. With no `modules` the step is
        the bare host.
        """
        ids, mask, positions = (tensor.to(self.device) for tensor in (ids, mask, positions))
        phase: Phase = "prefill" if mask.shape == ids.shape else "decode"
        with self.lock, applied(self._model, modules, positions, phase):
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: Tensor = output.logits[:, -1]
        return logits


class _Reached(Exception):
    def __init__(self, value: Tensor) -> None:
        super().__init__("reached")
        self.value = value
