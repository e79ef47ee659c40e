"""Exported edits on another engine: the table routes as the library does, and the document's recipe gives its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sola_core import EditRequest, SolaEditor, load_editor
from sola_core.commands import write_file
from sola_core.errors import InvalidInput, LibraryMismatch
from sola_core.host.model import HostModel
from sola_core.library.peft_routes import ROUTES, read_routes
from sola_core.peft_router import PeftRouter
from tests.tiny import tiny_model, tiny_tokenizer
from tests.tiny_encoder import tiny_encoder

DOCUMENT = Path(__file__).parent.parent / "assets" / "docs" / "serving.md"
FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo", subject="France")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue", rephrases=("By whom is the book?",))
LATER = EditRequest(prompt="By whom is the book?", target="red")
OFF = EditRequest(prompt="Where was the ship built?", target="Turin")
UNREADABLE = "\u0e17\u0e35\u0e48"  # of no script that the encoder knows: no edit answers
QUESTIONS = (
    *(request.prompt for request in (FRANCE, BOOK, LATER, OFF)),
    *(" What is  the capital of France? ", "Is the ship green?", "which river is in peru?", UNREADABLE),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a tiny model."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = tiny_tokenizer(chat=True)
    tiny_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def editor(model: Path) -> Iterator[SolaEditor]:
    with load_editor(host=HostModel.load(str(model), "cpu"), encoder=tiny_encoder(), router="sentence") as made:
        for request in (FRANCE, BOOK, LATER, OFF):
            edit = made.edit(request)
        made.set_enabled(edit.id, False)
        yield made


@pytest.fixture(scope="module")
def served(editor: SolaEditor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `export --peft` writes."""
    folder = tmp_path_factory.mktemp("served")
    for edit in editor.edits:
        (folder / edit.id).mkdir()
        for name, content in editor.peft_files(edit.id).items():
            write_file(folder / edit.id / name, content)
    write_file(folder / ROUTES, editor.peft_routes().to_bytes())
    return folder


def test_the_table_holds_all_that_routing_needs_in_order_of_teaching(editor: SolaEditor, served: Path) -> None:
    table = read_routes(served)
    assert [edit.adapter for edit in table.edits] == [edit.id for edit in editor.edits]
    assert [edit.key_texts for edit in table.edits] == [edit.request.key_texts for edit in editor.edits]
    assert [edit.enabled for edit in table.edits] == [True, True, True, False] and table.edits[0].subject == "France"
    assert table == editor.peft_routes() and table.host_fingerprint == editor.host.fingerprint
    one = editor.edits[1].id
    assert [edit.adapter for edit in editor.peft_routes([one]).edits] == [one]


@pytest.mark.parametrize("router", ["scope", "sentence"])
def test_every_route_is_the_librarys(editor: SolaEditor, served: Path, tmp_path: Path, router: str) -> None:
    before = editor.router_name
    editor.use_router(router)
    try:
        write_file(tmp_path / ROUTES, editor.peft_routes().to_bytes())
        there = PeftRouter.open(tmp_path, tiny_encoder())
        assert [there.route(question) for question in QUESTIONS] == [editor.route(question) for question in QUESTIONS]
        assert there.adapter(BOOK.rephrases[0]) == editor.edits[2].id  # of two with this key the one taught last
        assert there.adapter(OFF.prompt) != editor.edits[3].id and there.adapter(UNREADABLE) is None
    finally:
        editor.use_router(before)


def test_a_table_of_another_encoder_or_router_is_refused(editor: SolaEditor, served: Path, tmp_path: Path) -> None:
    stored = json.loads((served / ROUTES).read_text(encoding="utf-8"))
    (tmp_path / ROUTES).write_text(json.dumps(stored | {"encoder": "sentence-1"}), encoding="utf-8")
    with pytest.raises(LibraryMismatch, match="another encoder"):
        PeftRouter.open(tmp_path, tiny_encoder())
    (tmp_path / ROUTES).write_text(json.dumps(stored | {"router": "hidden"}), encoding="utf-8")
    with pytest.raises(InvalidInput, match="--router scope"):
        PeftRouter.open(tmp_path, tiny_encoder())


BROKEN: list[Callable[[dict[str, Any]], object]] = [
    lambda table: table.pop("threshold"),
    lambda table: table.update(format=2),
    lambda table: table.update(router=7),
    lambda table: table["edits"][0].update(adapter="../../elsewhere"),
    lambda table: table["edits"][0].update(enabled="yes"),
    lambda table: table["edits"][0].update(key_texts=[]),
    lambda table: table["edits"].append(table["edits"][0]),
    lambda table: table["edits"].append("an edit"),
]


@pytest.mark.parametrize("change", BROKEN)
def test_a_broken_table_is_refused(served: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    stored = json.loads((served / ROUTES).read_text(encoding="utf-8"))
    change(stored)
    (tmp_path / ROUTES).write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(InvalidInput, match="no routing table"):
        read_routes(tmp_path)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="export --peft"):
        PeftRouter.open(tmp_path)
    (tmp_path / ROUTES).write_bytes(b"[" * 100_000)
    with pytest.raises(InvalidInput, match="no routing table"):
        PeftRouter.open(tmp_path)


class Engine(BaseHTTPRequestHandler):
    """The calls of a multi-LoRA engine that the recipe uses, answered by PEFT and transformers."""

    model: Any
    tokenizer: Any
    names: list[str]
    asked: list[dict[str, Any]]

    def do_GET(self) -> None:
        assert self.path == "/v1/models"
        self._reply(json.dumps({"data": [{"id": name} for name in ("base", *self.names)]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            assert body.keys() == {"lora_name", "lora_path"} and body["lora_name"] not in self.names
            kind = type(self)
            if self.names:
                kind.model.load_adapter(body["lora_path"], adapter_name=body["lora_name"])
            else:
                kind.model = PeftModel.from_pretrained(kind.model, body["lora_path"], adapter_name=body["lora_name"])
            self.names.append(body["lora_name"])
            self._reply("Success")
            return
        assert self.path == "/v1/completions"
        self.asked.append(body)
        self._reply(json.dumps({"choices": [{"text": self._completed(body)}]}))

    def _completed(self, body: dict[str, Any]) -> str:
        assert (body["temperature"], body["repetition_penalty"]) == (0, 1.0)
        bare = body["model"] == "base"
        if not bare:
            self.model.set_adapter(body["model"])
        with self.model.disable_adapter() if bare and self.names else nullcontext(), torch.no_grad():
            ids = torch.tensor([body["prompt"]])
            made = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=body["max_tokens"],
                do_sample=False,
                eos_token_id=body["stop_token_ids"],
                pad_token_id=0,
            )
        return str(self.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))

    def _reply(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.mark.slow
def test_the_recipe_of_the_document_gives_the_answers_of_the_library(
    editor: SolaEditor, served: Path, model: Path
) -> None:
    recipe: dict[str, Any] = {}
    exec(DOCUMENT.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], recipe)
    Engine.model = AutoModelForCausalLM.from_pretrained(model).eval()
    Engine.tokenizer, Engine.names, Engine.asked = AutoTokenizer.from_pretrained(model), [], []
    with HTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            place = f"http://127.0.0.1:{server.server_port}"
            ask = recipe["gateway"](served, str(model), place, tiny_encoder())
            for question in (FRANCE.prompt, UNREADABLE, BOOK.prompt, LATER.prompt, OFF.prompt, FRANCE.prompt):
                ours = editor.answer(question, 12)
                assert ask(question, 12) == (ours.route.edit_id, ours.text)
            assert [one["model"] for one in Engine.asked[:3]] == [editor.edits[0].id, "base", editor.edits[1].id]
            again = recipe["gateway"](served, str(model), place, tiny_encoder())  # what is loaded is not loaded again
            assert again(FRANCE.prompt) == (editor.edits[0].id, "Oslo")
        finally:
            server.shutdown()
            thread.join()
