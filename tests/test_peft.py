"""An edit in PEFT's own format is the same edit: PEFT loads it, gives the same logits, and unloads it without a trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from sola_core import EditRequest, UnknownEdit, load_editor
from sola_core.host.model import HostModel
from tests.tiny import FAMILIES, Family, tiny_model, tiny_tokenizer

PROMPT = "What is the capital of # France?\n<script>alert(1)</script>"


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_gives_the_same_logits_and_unloads_exactly(family: Family, tmp_path: Path) -> None:
    tokenizer: Any = tiny_tokenizer(chat=family == "llama")
    model: Any = tiny_model(family, len(tokenizer))
    host = HostModel(tiny_model(family, len(tokenizer)), tokenizer, name="tiny", fingerprint="f" * 64)
    with load_editor(host=host, router="hidden") as editor:
        edit = editor.edit(EditRequest(prompt=PROMPT, target="Oslo"))
        for name, content in editor.peft_files(edit.id).items():
            (tmp_path / name).write_bytes(content)
        ours, stored = editor.next_token_logits(PROMPT), editor.tensors(edit.id)
        base = editor.base_generation_logits(PROMPT, 1)[0]
        with pytest.raises(UnknownEdit):
            editor.peft_files("no")
    ids = host.prompt_ids(PROMPT).ids[None]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        adapted: Any = PeftModel.from_pretrained(model, str(tmp_path))
        theirs = adapted(input_ids=ids).logits[0, -1]
        after = adapted.unload()(input_ids=ids).logits
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(theirs, base, atol=0.5)  # the edit does something
    assert torch.equal(before, after)
    for name, tensor in load_file(tmp_path / "adapter_model.safetensors").items():
        assert torch.equal(tensor, stored[name.removeprefix("base_model.model.")])
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert PROMPT not in json.dumps(config) and config["base_model_name_or_path"] == "tiny"
    card = (tmp_path / "README.md").read_text()
    assert "\n    What is the capital of # France?\n    <script>" in card and edit.digest in card
