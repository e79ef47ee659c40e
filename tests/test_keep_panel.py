"""Saving, loading, teaching a list and proving: within a visitor's limits, stoppable, and without a trace of the uploads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from sola_core import EditRequest
from sola_core.errors import InvalidInput, LibraryFull, SessionRequired
from sola_core.fact_lists import ListedFact
from sola_core.studio import Studio, open_studio
from sola_core.ui.keep import KeepHandlers
from sola_core.ui.proof import ProofHandlers
from sola_core.workspace import Limits
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
BOOK = EditRequest(prompt="Who wrote the book? <b>", target="seven blue")
TABLE = b"prompt,target\nWhat is the capital of France?,Oslo\nWho wrote the book? <b>,seven blue\nWhere?,\n"
ME, YOU = gr.Request(session_hash="me"), gr.Request(session_hash="you")
STATUS, ROWS, WAITING, TEACH, STOP = range(5)


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    found = open_studio(
        host=tiny_host(), encoder=tiny_encoder(), limits=Limits(answer_tokens=4, edits=3), use_umap=False
    )
    yield found
    found.registry.close()


@pytest.fixture(autouse=True)
def forgotten(studio: Studio) -> Iterator[None]:
    """Let nobody have a workspace when a test begins."""
    yield
    for who in ("me", "you"):
        with studio.registry.visit(studio.registry.visitor(who)) as workspace:
            for edit in workspace.edits:
                workspace.delete(edit.id)


def teach(studio: Studio, *requests: EditRequest, who: str = "me") -> None:
    with studio.registry.claim(studio.registry.visitor(who)) as workspace:
        for request in requests:
            workspace.edit(request)


def edits(studio: Studio, who: str = "me") -> list[EditRequest]:
    with studio.registry.visit(studio.registry.visitor(who)) as workspace:
        return [edit.request for edit in workspace.edits]


def uploaded(content: bytes, name: str = "x.csv") -> str:
    folder = Path(get_upload_folder()) / "test-upload"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder / name)


def saved(studio: Studio) -> bytes:
    _, offered = KeepHandlers(studio).save("", ME)
    return Path(offered["value"]).read_bytes()  # type: ignore[index]


@pytest.mark.slow
def test_what_one_visitor_saves_another_loads(studio: Studio) -> None:
    teach(studio, FRANCE, BOOK)
    file = uploaded(saved(studio))
    assert edits(studio, "you") == []
    *running, last = KeepHandlers(studio).load(file, "skip", "", YOU)
    assert len(running) == 4 and all("<progress" in str(one[STATUS]) for one in running)
    assert running[0][STOP]["interactive"] is True and last[STOP]["visible"] == "hidden"  # type: ignore[index]
    assert "2 edits stored" in str(last[STATUS]) and edits(studio, "you") == [FRANCE, BOOK]
    assert not Path(file).exists()  # an upload does not stay


def test_two_saved_files_lie_in_folders_that_nobody_can_guess(studio: Studio) -> None:
    teach(studio, FRANCE)
    places = [KeepHandlers(studio).save("", ME)[1]["value"] for _ in range(2)]  # type: ignore[index]
    first, second = (Path(str(place)).parent for place in places)
    assert first != second and first.is_relative_to(Path(get_upload_folder()))


def test_a_file_with_more_edits_than_fit_stores_none(studio: Studio) -> None:
    teach(studio, FRANCE, BOOK)
    content = saved(studio)
    teach(studio, EditRequest(prompt="a", target="red"), EditRequest(prompt="b", target="blue"), who="you")
    with pytest.raises(LibraryFull, match="holds 2 edits, and there is room for 1"):
        list(KeepHandlers(studio).load(uploaded(content), "both", "", YOU))
    assert len(edits(studio, "you")) == 2


def test_a_file_that_is_none_makes_no_workspace(studio: Studio) -> None:
    before = len(studio.registry)
    with pytest.raises(InvalidInput, match="no file of edits"):
        list(KeepHandlers(studio).load(uploaded(b"PK\x03\x04"), "skip", "", gr.Request(session_hash="nobody")))
    assert len(studio.registry) == before


@pytest.mark.parametrize(
    "value", [None, 7, "", "/etc/hostname", "../../etc/hostname", ["x"], {"path": "/etc/hostname"}]
)
def test_only_what_was_uploaded_is_read(studio: Studio, value: Any) -> None:
    handlers = KeepHandlers(studio)
    with pytest.raises(InvalidInput):
        list(handlers.load(value, "skip", "", ME))
    with pytest.raises(InvalidInput):
        handlers.choose(value)


def test_an_upload_that_is_too_large_is_refused_and_goes(studio: Studio) -> None:
    file = uploaded(b"x" * 200_001)
    with pytest.raises(InvalidInput, match="larger than 200 kB"):
        KeepHandlers(studio).choose(file)
    assert not Path(file).exists()


def test_a_list_is_shown_before_it_is_taught(studio: Studio) -> None:
    handlers = KeepHandlers(studio)
    read = handlers.choose(uploaded(TABLE))
    assert "2 facts can be taught. 1 row cannot" in str(read[STATUS])
    assert "&lt;b&gt;" in str(read[ROWS]) and "It has no target." in str(read[ROWS])
    assert edits(studio) == [] and read[TEACH]["visible"] is True  # type: ignore[index]
    *running, last = handlers.teach(read[WAITING], "skip", "", ME)
    assert len(running) == 5 and "2 facts taught. 1 row not taught" in str(last[STATUS])
    assert edits(studio) == [FRANCE, BOOK] and last[WAITING] == ()
    *_, again = handlers.teach(read[WAITING], "skip", "", ME)
    assert "0 facts taught. 2 had been taught before." in str(again[STATUS])


def test_a_list_that_is_stopped_keeps_what_is_taught(studio: Studio) -> None:
    handlers = KeepHandlers(studio)
    running = handlers.teach(handlers.choose(uploaded(TABLE))[WAITING], "skip", "", ME)
    for _ in range(3):  # the first row is behind the third step
        next(running)
    running.close()
    assert edits(studio) == [FRANCE]
    assert "stays" in str(handlers.unfinished()[STATUS])


def test_a_list_longer_than_what_fits_says_which_rows_were_not_tried(studio: Studio) -> None:
    rows = b"prompt,target\n" + b"".join(b"Question %c?,red\n" % letter for letter in b"abcde")
    handlers = KeepHandlers(studio)
    *_, last = handlers.teach(handlers.choose(uploaded(rows))[WAITING], "skip", "", ME)
    assert len(edits(studio)) == 3 and str(last[ROWS]).count("not tried") == 2 and "At most 3" in str(last[ROWS])


@pytest.mark.parametrize("waiting", [None, (), "x", [1], ("x",), {"a": 1}])
def test_no_list_is_taught_that_was_not_read_here(studio: Studio, waiting: Any) -> None:
    with pytest.raises(InvalidInput, match="no list waiting"):
        list(KeepHandlers(studio).teach(waiting, "skip", "", ME))


@pytest.mark.parametrize("policy", [None, "all", 1, ["skip"]])
def test_an_unknown_choice_is_refused(studio: Studio, policy: Any) -> None:
    fact = ListedFact(line=1, request=FRANCE)
    with pytest.raises(InvalidInput):
        list(KeepHandlers(studio).teach((fact,), policy, "", ME))


def test_a_request_without_a_session_is_refused(studio: Studio) -> None:
    nobody = gr.Request(session_hash=None)
    for act in (KeepHandlers(studio).save, ProofHandlers(studio).prove):
        with pytest.raises(SessionRequired):
            found = act("", nobody)
            list(found)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_proof_tells_how_far_it_is_and_gives_a_certificate_without_texts(studio: Studio) -> None:
    teach(studio, FRANCE, BOOK)
    *running, last = ProofHandlers(studio).prove("", ME)
    assert all("<progress" in str(one[0]) for one in running) and len(running) == 6
    status, checks, offered, stop = last
    assert "All 2 edits were taken back" in str(status) and "no difference in a single bit" in str(status)
    assert "bit-equal" in str(checks) and stop["interactive"] is False  # type: ignore[index]
    content = Path(offered["value"]).read_text()  # type: ignore[index]
    assert len(json.loads(content)["witnesses"]) == 2 and "France" not in content
    assert edits(studio) == [FRANCE, BOOK]


def test_nothing_taught_is_nothing_to_prove(studio: Studio) -> None:
    with pytest.raises(InvalidInput, match="no fact is taught"):
        list(ProofHandlers(studio).prove("", ME))
    with pytest.raises(InvalidInput, match="no edit to save"):
        KeepHandlers(studio).save("", ME)
