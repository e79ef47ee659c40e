"""The reversibility protocol: teaches facts, takes them back in every way there is, and compares bit by bit.

Knows the session and the library from outside only; it proves nothing about answers being right.
What "bit-equal" means: same machine, dtype, threads, versions and call shape (batch 1, one-pass prefill).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from sola_core.errors import EditFailed, InvalidInput
from sola_core.evaluation.output import surroundings
from sola_core.evaluation.proof_report import NotTaught, ProofReport, Recaptured, Tally
from sola_core.evaluation.traces import STEPS, trace
from sola_core.library.store import Library
from sola_core.records import Edit, EditRequest, TrainedEdit
from sola_core.session import SolaEditor
from sola_core.text import canonical

Item = TypeVar("Item")
OpenEditor = Callable[[str | Path], SolaEditor]
OnStage = Callable[[str, int, int], None]
"""(stage, done, total), for progress displays."""


def prove(
    open_editor: OpenEditor,
    requests: Sequence[EditRequest],
    *,
    probes: Sequence[str] = (),
    seed: int = 0,
    sample: int = 20,
    on_stage: OnStage | None = None,
) -> ProofReport:
    """Run the protocol on `requests` and return what it found.

    `open_editor(library)` opens one session over the same host, on ":memory:" or a file. `probes` are further prompts
    (rephrasings, neighbours) that are watched along. `sample`: edits whose training is repeated. Raises InvalidInput
    when no fact could be taught, for then nothing was proved.
    """
    with TemporaryDirectory(prefix="sola-proof-") as folder:
        return _Protocol(open_editor, requests, probes, seed, sample, Path(folder), on_stage).run()


@dataclass(frozen=True)
class _Seen:
    """How a prompt was answered: by which edit, and a SHA-256 of the logits of each step."""

    edit_id: str | None
    steps: tuple[str, ...]

    def difference(self, other: _Seen) -> str:
        """Return where two answers part, in words; "" when they are bit-equal."""
        for step, (ours, theirs) in enumerate(zip(self.steps, other.steps, strict=False), 1):
            if ours != theirs:
                return f"the logits differ at step {step}"
        return "" if len(self.steps) == len(other.steps) else f"{len(self.steps)} steps, not {len(other.steps)}"


class _Protocol:
    """The steps in order; each compares with what an earlier one saw."""

    def __init__(
        self,
        open_editor: OpenEditor,
        requests: Sequence[EditRequest],
        probes: Sequence[str],
        seed: int,
        sample: int,
        folder: Path,
        on_stage: OnStage | None,
    ) -> None:
        self.open_editor, self.requests, self.seed, self.sample = open_editor, requests, seed, sample
        self.file, self.copy = folder / "facts.db", folder / "copy.db"
        self.on_stage = on_stage or (lambda stage, done, total: None)
        self.random = random.Random(seed)
        texts = [text for request in requests for text in request.key_texts]
        self.prompts = list(dict.fromkeys([*texts, *probes]))
        self.tallies: dict[str, Tally] = {}
        self.recaptured: list[Recaptured] = []
        self.not_taught: list[NotTaught] = []
        self.base: dict[str, _Seen] = {}
        self.seen: dict[str, _Seen] = {}

    def run(self) -> ProofReport:
        began = time.perf_counter()
        editor = self.open_editor(self.file)
        try:
            host = editor.host.parameters_digest()
            empty = editor.state_digest
            # 1. the untouched model
            self.base = {p: _Seen(None, trace(editor.base_generation_logits(p, STEPS))) for p in self.each("base")}
            # 2. teach, one by one
            edits = self.teach(editor)
            self.watch(editor, edits)
            # 3. off and on, one by one
            for edit in self.walk("off and on", edits):
                self.off_and_on(editor, edit)
            self.compare_host(editor, host)
            # 4. save and load, with one edit switched off
            editor = self.save_and_load(editor, edits)
            # 5. delete half of them
            survivors = self.delete_half(editor, edits)
            self.compare_host(editor, host)
            # 6. the survivors' records in another order, in an empty library
            self.storage(editor, survivors)
            # 7. train a sample again
            self.training(edits)
            # 8. delete the rest
            self.delete_rest(editor, empty)
            self.compare_host(editor, host)
            return ProofReport(
                checks=tuple(tally.check() for tally in self.tallies.values()),
                recaptured=tuple(self.recaptured),
                not_taught=tuple(self.not_taught),
                edits=len(edits),
                seed=self.seed,
                router=editor.router_name,
                seconds=time.perf_counter() - began,
                surroundings=surroundings(editor.host),
            )
        finally:
            editor.close()

    # ---- the steps -----------------------------------------------------------------------------------------------

    def teach(self, editor: SolaEditor) -> list[Edit]:
        edits: list[Edit] = []
        for request in self.walk("teaching", self.requests):
            try:
                edits.append(editor.edit(request))
            except EditFailed as error:
                self.not_taught.append(NotTaught(prompt=request.prompt, reason=str(error)))
        if not edits:
            raise InvalidInput("None of the facts could be taught, so there is nothing to prove. Try other facts.")
        return edits

    def watch(self, editor: SolaEditor, edits: Sequence[Edit]) -> None:
        """See every prompt with all edits stored; those that no edit answers must be as the base model answers them."""
        own = {canonical(text): edit.id for edit in edits for text in edit.request.key_texts}  # the last taught wins
        for prompt in self.each("asking"):
            seen = self.seen[prompt] = self.look(editor, prompt)
            if seen.edit_id is None:
                self.count("prompts that no edit answers are the base model's", prompt, seen, self.base[prompt])
            if canonical(prompt) in own:
                wrong = "" if seen.edit_id == own[canonical(prompt)] else f"{prompt!r} is not answered by its own edit"
                self.tally("an edit answers its own prompts").case(wrong)

    def off_and_on(self, editor: SolaEditor, edit: Edit) -> None:
        before = editor.state_digest
        editor.set_enabled(edit.id, False)
        prompts = self.answered_by(edit.id)
        for prompt in prompts:
            self.taken_back(editor, prompt, edit.id, "switched off: bit-equal to base", "switched off")
        editor.set_enabled(edit.id, True)
        for prompt in prompts:
            self.count("off and on again: bit-equal to before", prompt, self.look(editor, prompt), self.seen[prompt])
        self.digest("off and on again: the same state digest", before, editor.state_digest)

    def save_and_load(self, editor: SolaEditor, edits: Sequence[Edit]) -> SolaEditor:
        off = self.random.choice(list(edits))
        editor.set_enabled(off.id, False)
        for prompt in self.answered_by(off.id):
            self.seen[prompt] = self.look(editor, prompt)
        digest = editor.state_digest
        editor.close()
        editor = self.open_editor(self.file)
        try:
            self.digest("saved and loaded: the same state digest", digest, editor.state_digest)
            name = "saved and loaded: bit-equal"
            for prompt in self.each("loading"):
                self.count(name, prompt, self.look(editor, prompt), self.seen[prompt])
        except BaseException:
            editor.close()
            raise
        return editor

    def delete_half(self, editor: SolaEditor, edits: Sequence[Edit]) -> list[Edit]:
        gone = self.random.sample(list(edits), (len(edits) + 1) // 2)
        for edit in gone:
            editor.delete(edit.id)
        ids = {edit.id for edit in gone}
        for prompt in self.each("after deleting"):
            was = self.seen[prompt].edit_id
            if was in ids:
                self.taken_back(editor, prompt, str(was), "deleted: bit-equal to base", "deleted")
            else:
                name = "surviving edits and untouched prompts: bit-equal to before"
                self.count(name, prompt, self.look(editor, prompt), self.seen[prompt])
        return [edit for edit in editor.edits if edit.id not in ids]

    def storage(self, editor: SolaEditor, survivors: Sequence[Edit]) -> None:
        host = editor.host
        with (
            Library.open(self.file, host_name=host.name, host_fingerprint=host.fingerprint) as source,
            Library.open(self.copy, host_name=host.name, host_fingerprint=host.fingerprint) as target,
        ):
            for edit in self.walk("copying", _another_order(survivors, self.random)):
                record = TrainedEdit(request=edit.request, tensors=source.tensors(edit.id), training=edit.training)
                target.add(record, keys={}, edit_id=edit.id, enabled=edit.enabled)  # keys are made from the texts again
        with self.open_editor(self.copy) as other:
            self.digest("storage: survivors copied in another order", editor.state_digest, other.state_digest)
            ids = {edit.id for edit in survivors}
            for prompt in self.walk("comparing", [p for p in self.prompts if self.seen[p].edit_id in ids]):
                self.count("storage: the copy answers bit-equal", prompt, self.look(other, prompt), self.seen[prompt])

    def training(self, edits: Sequence[Edit]) -> None:
        again = self.random.sample(list(edits), min(self.sample, len(edits)))
        with self.open_editor(":memory:") as other:
            for edit in self.walk("teaching again", again):
                try:
                    retaught = other.edit(edit.request)
                except EditFailed as error:
                    self.tally("training: taught again").case(f"{edit.prompt!r} could not be taught again: {error}")
                    continue
                same = dict(retaught.training.settings) == dict(edit.training.settings)
                self.tally("training: the same settings").case("" if same else f"{edit.prompt!r} has other settings")
                wrong = "" if retaught.digest == edit.digest else f"{edit.prompt!r} has other tensors"
                self.tally("training: taught again, bit-equal tensors").case(wrong)

    def delete_rest(self, editor: SolaEditor, empty: str) -> None:
        for edit in editor.edits:
            editor.delete(edit.id)
        self.digest("all deleted: the digest of an empty library", empty, editor.state_digest)
        for prompt in self.each("all deleted"):
            self.count("all deleted: bit-equal to base", prompt, self.look(editor, prompt), self.base[prompt])

    # ---- comparing -----------------------------------------------------------------------------------------------

    def taken_back(self, editor: SolaEditor, prompt: str, was: str, name: str, when: str) -> None:
        """Compare a prompt whose edit is off or gone with the base model, unless another edit answers it now."""
        seen = self.look(editor, prompt)
        if seen.edit_id is None:
            self.count(name, prompt, seen, self.base[prompt])
        else:
            wrong = f"{prompt!r} is still answered by {was}" if seen.edit_id == was else ""
            self.tally("an edit that is off or gone answers nothing").case(wrong)
            self.recaptured.append(Recaptured(prompt=prompt, was=was, now=seen.edit_id, when=when))

    def count(self, name: str, prompt: str, seen: _Seen, wanted: _Seen) -> None:
        wrong = seen.difference(wanted)
        if seen.edit_id != wanted.edit_id:
            wrong = f"answered by {seen.edit_id or 'base'}, not {wanted.edit_id or 'base'}"
        self.tally(name).case(f"{prompt!r}: {wrong}" if wrong else "")

    def digest(self, name: str, wanted: str, found: str) -> None:
        self.tally(name).case("" if found == wanted else f"{found[:12]}..., not {wanted[:12]}...")

    def compare_host(self, editor: SolaEditor, wanted: str) -> None:
        self.digest("the host's parameters: the same SHA-256", wanted, editor.host.parameters_digest())

    def look(self, editor: SolaEditor, prompt: str) -> _Seen:
        return _Seen(editor.route(prompt).edit_id, trace(editor.generation_logits(prompt, STEPS)))

    def answered_by(self, edit_id: str) -> list[str]:
        return [prompt for prompt in self.prompts if self.seen[prompt].edit_id == edit_id]

    def tally(self, name: str) -> Tally:
        return self.tallies.setdefault(name, Tally(name))

    def each(self, stage: str) -> Iterator[str]:
        return self.walk(stage, self.prompts)

    def walk(self, stage: str, items: Sequence[Item]) -> Iterator[Item]:
        for done, item in enumerate(items):
            self.on_stage(stage, done, len(items))
            yield item
        self.on_stage(stage, len(items), len(items))


def _another_order(edits: Sequence[Edit], chance: random.Random) -> list[Edit]:
    """Return the edits shuffled, except that edits with a key in common stay in order: precedence is part of the state."""
    groups: list[tuple[set[str], list[int]]] = []
    for index, edit in enumerate(edits):
        keys, members = set(map(canonical, edit.request.key_texts)), [index]
        apart = [group for group in groups if not group[0] & keys]
        for group in (group for group in groups if group[0] & keys):
            keys, members = keys | group[0], members + group[1]
        groups = [*apart, (keys, members)]
    queues = [iter(sorted(members)) for _, members in groups]
    slots = [number for number, (_, members) in enumerate(groups) for _ in members]
    chance.shuffle(slots)
    return [edits[next(queues[number])] for number in slots]
