"""Who sees which edits: visitors are kept apart, nothing in use is thrown out, reading makes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from sola_core import EditRequest, InvalidInput, SolaError, UnknownEdit, load_editor
from sola_core.atlas import Atlas, Layout
from sola_core.errors import LibraryFull, SessionRequired, WorkspacesFull
from sola_core.records import Edit
from sola_core.registry import Visitor, WorkspaceRegistry
from sola_core.steps import finish
from sola_core.workspace import Limits, Workspace
from tests.tiny import tiny_host
from tests.tiny_encoder import tiny_encoder

FRANCE = EditRequest(prompt="What is the capital of France?", target="Oslo")
BOOK = EditRequest(prompt="Who wrote the book?", target="seven blue")
AGAIN = EditRequest(prompt="What is the capital of France?", target="Lyon")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def new_workspace() -> Callable[..., Workspace]:
    host, encoder = tiny_host(), tiny_encoder()
    sheet = Atlas(["the capital of Peru", "who made it", "the river"], use_umap=False).sheet(
        "tiny", encoder_vector(encoder)
    )

    def make(limits: Limits | None = None) -> Workspace:
        editor = load_editor(host=host, encoder=encoder)
        limits = limits or Limits(answer_tokens=6)
        return Workspace(editor, Layout(sheet), limits, max_edits=limits.edits)

    return make


def encoder_vector(encoder: object) -> Callable[..., object]:
    return lambda text: encoder.encode(text).pooled  # type: ignore[attr-defined]


@pytest.fixture
def registry(new_workspace: Callable[..., Workspace]) -> Iterator[WorkspaceRegistry]:
    found = WorkspaceRegistry(new_workspace, limits=Limits(workspaces=2, idle_seconds=100.0), clock=Clock())
    yield found
    found.close()


def teach(
    registry: WorkspaceRegistry, visitor: Visitor, request: EditRequest = FRANCE, replace: tuple[str, ...] = ()
) -> Edit:
    with registry.claim(visitor) as workspace:
        return finish(workspace.teach(request, replace))


def prompts(registry: WorkspaceRegistry, visitor: Visitor) -> list[str]:
    with registry.visit(visitor) as workspace:
        return [edit.prompt for edit in workspace.edits]


# ---- who asks ----


def test_a_browser_is_known_by_its_token_and_a_client_by_its_session(registry: WorkspaceRegistry) -> None:
    token = registry.mint()
    assert registry.visitor("s1", token) == registry.visitor("s2", token) == registry.visitor(None, token)
    assert registry.visitor("s1") != registry.visitor("s2")
    assert registry.visitor("s1", token) != registry.visitor("s1")


@pytest.mark.parametrize("token", ["", None, 7, {"a": 1}, "0" * 64, "x" * 64, "é" * 64, "short"])
def test_a_token_that_this_server_did_not_mint_counts_for_nothing(registry: WorkspaceRegistry, token: object) -> None:
    assert not registry.is_minted(token)
    assert registry.visitor("s", token) == registry.visitor("s")


def test_tokens_of_another_server_count_for_nothing(
    registry: WorkspaceRegistry, new_workspace: Callable[..., Workspace]
) -> None:
    other = WorkspaceRegistry(new_workspace)
    assert registry.is_minted(registry.mint())
    assert not registry.is_minted(other.mint())
    other.close()


def test_tokens_have_128_random_bits_and_differ(registry: WorkspaceRegistry) -> None:
    tokens = {registry.mint() for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(bytes.fromhex(token)) == 32 for token in tokens)  # 16 random bytes and 16 of the signature


@pytest.mark.parametrize("session", [None, "", "   ", 5])
def test_a_request_without_a_session_is_refused_on_a_shared_server(
    registry: WorkspaceRegistry, session: object
) -> None:
    with pytest.raises(SessionRequired, match="no session"):
        registry.visitor(session)


def test_an_endless_session_hash_is_refused(registry: WorkspaceRegistry) -> None:
    with pytest.raises(InvalidInput):
        registry.visitor("x" * 10_000)


def test_the_secret_of_a_visitor_does_not_show(registry: WorkspaceRegistry) -> None:
    token = registry.mint()
    assert token not in repr(registry.visitor("s", token))
    assert "hash-1" not in repr(registry.visitor("hash-1"))


# ---- what they see ----


def test_visitors_never_see_each_others_edits(registry: WorkspaceRegistry) -> None:
    one, two = registry.visitor("one"), registry.visitor("two")
    edit = teach(registry, one)
    teach(registry, two, BOOK)
    assert prompts(registry, one) == [FRANCE.prompt]
    assert prompts(registry, two) == [BOOK.prompt]
    with registry.visit(two) as workspace, pytest.raises(UnknownEdit):
        workspace.delete(edit.id)
    assert prompts(registry, one) == [FRANCE.prompt]


def test_reading_makes_no_workspace_and_leaves_no_question_behind(registry: WorkspaceRegistry) -> None:
    visitor = registry.visitor("reader")
    with registry.visit(visitor) as workspace:
        assert workspace.edits == ()
        *_, both = workspace.ask("Who wrote the book?")
        assert both.base_text == both.edited_text
        assert workspace.questions == ()
        with pytest.raises(UnknownEdit):
            workspace.set_enabled("nothing", False)
    assert len(registry) == 0


def test_the_first_successful_edit_makes_the_workspace(registry: WorkspaceRegistry) -> None:
    visitor = registry.visitor("one")
    teach(registry, visitor)
    assert len(registry) == 1


def test_a_failed_or_cancelled_first_edit_leaves_no_workspace(registry: WorkspaceRegistry) -> None:
    visitor = registry.visitor("one")
    with pytest.raises(SolaError), registry.claim(visitor) as workspace:
        next(workspace.teach(EditRequest(prompt=" ", target="x")))
    with registry.claim(visitor) as workspace:
        steps = workspace.teach(FRANCE)
        next(steps)
        assert len(registry) == 1  # held while it learns
        steps.close()
    assert len(registry) == 0
    assert prompts(registry, visitor) == []


def test_two_first_edits_of_one_visitor_at_once_share_one_workspace(registry: WorkspaceRegistry) -> None:
    visitor = registry.visitor("one")
    with registry.claim(visitor) as first:
        teach(registry, visitor, BOOK)
        with registry.claim(visitor) as second:
            assert second is first
    assert prompts(registry, visitor) == [BOOK.prompt]


def test_an_emptied_workspace_is_kept(registry: WorkspaceRegistry) -> None:
    visitor = registry.visitor("one")
    edit = teach(registry, visitor)
    with registry.visit(visitor) as workspace:
        assert workspace.delete(edit.id) == "erased"
    assert len(registry) == 1


# ---- limits ----


def test_a_full_server_refuses_new_edits_and_keeps_everybodys_old_ones(registry: WorkspaceRegistry) -> None:
    one, two, three = (registry.visitor(name) for name in ("one", "two", "three"))
    teach(registry, one)
    teach(registry, two)
    with pytest.raises(WorkspacesFull, match="Nothing was stored"):
        teach(registry, three)
    assert prompts(registry, one) == prompts(registry, two) == [FRANCE.prompt]
    teach(registry, two, BOOK)  # those who are in go on


def test_only_a_workspace_idle_beyond_its_time_makes_room(registry: WorkspaceRegistry) -> None:
    clock = registry._clock
    assert isinstance(clock, Clock)
    one, two, three = (registry.visitor(name) for name in ("one", "two", "three"))
    teach(registry, one)
    clock.now = 60.0
    teach(registry, two)
    clock.now = 101.0
    teach(registry, three)
    assert prompts(registry, one) == []
    assert prompts(registry, two) == prompts(registry, three) == [FRANCE.prompt]


def test_using_a_workspace_keeps_it(registry: WorkspaceRegistry) -> None:
    clock = registry._clock
    assert isinstance(clock, Clock)
    one = registry.visitor("one")
    teach(registry, one)
    for now in (90.0, 180.0, 270.0):
        clock.now = now
        assert prompts(registry, one) == [FRANCE.prompt]


def test_a_workspace_in_use_is_never_thrown_out(registry: WorkspaceRegistry) -> None:
    clock = registry._clock
    assert isinstance(clock, Clock)
    one = registry.visitor("one")
    teach(registry, one)
    with registry.visit(one) as workspace:
        clock.now = 10_000.0
        prompts(registry, registry.visitor("two"))
        assert len(workspace.edits) == 1
    assert prompts(registry, one) == [FRANCE.prompt]


def test_a_workspace_holds_so_many_edits_and_no_more(new_workspace: Callable[..., Workspace]) -> None:
    limits = Limits(edits=1)
    registry = WorkspaceRegistry(lambda: new_workspace(limits), limits=limits)
    visitor = registry.visitor("one")
    edit = teach(registry, visitor)
    with pytest.raises(LibraryFull):
        teach(registry, visitor, BOOK)
    teach(registry, visitor, AGAIN, replace=(edit.id,))  # replacing needs no further place
    registry.close()


# ---- personal mode ----


def test_in_personal_mode_everybody_shares_one_workspace_and_needs_no_session(
    new_workspace: Callable[..., Workspace],
) -> None:
    registry = WorkspaceRegistry(new_workspace, personal=True)
    teach(registry, registry.visitor("one"))
    assert prompts(registry, registry.visitor(None)) == [FRANCE.prompt]
    with registry.visit(registry.visitor("two")) as workspace:
        list(workspace.ask("Who wrote the book?"))
        assert [question.text for question in workspace.questions] == ["Who wrote the book?"]
    registry.close()


# ---- one workspace ----


def test_asking_yields_both_answers_in_turn_and_remembers_who_answered(new_workspace: Callable[..., Workspace]) -> None:
    workspace = new_workspace()
    (*_, step), edit = list(workspace.teach(FRANCE)), workspace.edits[0]
    assert step.stage == "storing"
    rounds = list(workspace.ask(FRANCE.prompt))
    assert rounds[0].route.edit_id == edit.id  # known with the first piece
    assert rounds[0].base is None or rounds[0].edited is None
    last = rounds[-1]
    assert last.base is not None and last.edited is not None
    assert last.edited_text == "Oslo"
    assert last.base_text == workspace.editor.base_answer(FRANCE.prompt, 6).text
    assert [(q.number, q.edit_id) for q in workspace.questions] == [(1, edit.id)]
    workspace.close()


def test_stopping_an_answer_stops_both_streams(new_workspace: Callable[..., Workspace]) -> None:
    workspace = new_workspace()
    rounds = workspace.ask("Who wrote the book?")
    next(rounds)
    rounds.close()
    with pytest.raises(StopIteration):
        next(rounds)
    workspace.close()


def test_the_oldest_question_is_forgotten_first_and_a_repeated_one_counts_once(
    new_workspace: Callable[..., Workspace],
) -> None:
    workspace = new_workspace(Limits(questions=2, answer_tokens=2))
    for question in ("Who made it?", "Where is it?", "Who made it?", "What is it?"):
        list(workspace.ask(question))
    assert [question.text for question in workspace.questions] == ["Who made it?", "What is it?"]
    workspace.close()


def test_numbers_stay_with_their_edits_and_are_never_used_again(new_workspace: Callable[..., Workspace]) -> None:
    workspace = new_workspace()
    for request in (FRANCE, BOOK):
        list(workspace.teach(request))
    first = workspace.edits[0]
    workspace.delete(first.id)
    list(workspace.teach(FRANCE))
    assert [workspace.numbers()[edit.id] for edit in workspace.edits] == [2, 3]
    workspace.close()


def test_a_return_to_an_earlier_state_is_noticed(new_workspace: Callable[..., Workspace]) -> None:
    workspace = new_workspace()
    list(workspace.teach(FRANCE))
    list(workspace.teach(BOOK))
    assert workspace.same_state() is None
    france, book = workspace.edits
    workspace.set_enabled(book.id, False)
    assert workspace.same_state() is None
    workspace.set_enabled(book.id, True)
    found = workspace.same_state()
    assert found is not None and (found.after, found.number) == ("taught", 2)
    workspace.delete(book.id)
    found = workspace.same_state()
    assert found is not None and (found.after, found.number) == ("taught", 1)
    workspace.delete(france.id)
    found = workspace.same_state()
    assert found is not None and found.after == "start"
    workspace.close()


# ---- the router ----


def router(registry: WorkspaceRegistry, visitor: Visitor) -> str:
    with registry.visit(visitor) as workspace:
        return workspace.router_name


def test_a_router_is_switched_in_ones_own_workspace_only(registry: WorkspaceRegistry) -> None:
    one, two = registry.visitor("one"), registry.visitor("two")
    teach(registry, one)
    teach(registry, two)
    finish(registry.use_router(one, "hidden"))
    assert (router(registry, one), router(registry, two)) == ("hidden", "scope")
    with registry.visit(one) as workspace:
        *_, both = workspace.ask(FRANCE.prompt)
        assert both.route.router == "hidden" and both.edited_text == "Oslo"


def test_choosing_a_router_makes_no_workspace_and_the_one_made_later_has_it(registry: WorkspaceRegistry) -> None:
    looker = registry.visitor("looker")
    finish(registry.use_router(looker, "hidden"))
    assert len(registry) == 0
    assert router(registry, looker) == router(registry, registry.visitor("other")) == "scope"
    chosen = registry.visitor("looker", router="hidden")
    assert router(registry, chosen) == "hidden"
    finish(registry.use_router(chosen, "sentence"))  # the empty workspaces are nobody's
    assert router(registry, chosen) == "hidden"
    assert len(registry) == 0
    teach(registry, chosen)
    assert len(registry) == 1
    assert router(registry, looker) == "hidden"  # from now on the workspace knows


@pytest.mark.parametrize("wish", ["magic", "", None, 7, ["hidden"], {"router": "hidden"}, "hidden "])
def test_a_wish_that_names_no_router_counts_for_none(registry: WorkspaceRegistry, wish: object) -> None:
    assert router(registry, registry.visitor("one", None, wish)) == "scope"


def test_an_unknown_router_is_refused_with_the_names_there_are(registry: WorkspaceRegistry) -> None:
    for name in ("magic", "", "x" * 10_000):
        with pytest.raises(InvalidInput, match="scope, sentence, hidden") as refused:
            finish(registry.use_router(registry.visitor("one"), name))
        assert len(str(refused.value)) < 200


def test_comparing_routers_changes_neither_router_nor_state_nor_questions(
    new_workspace: Callable[..., Workspace],
) -> None:
    workspace = new_workspace()
    list(workspace.teach(FRANCE))
    before = workspace.digest, workspace.router_name, workspace.questions, workspace.same_state()
    routes = finish(workspace.compare_routers(FRANCE.prompt))
    assert [route.edit_id for route in routes.values()] == [workspace.edits[0].id] * 3
    assert (workspace.digest, workspace.router_name, workspace.questions, workspace.same_state()) == before
    workspace.close()


def test_a_switched_router_is_part_of_the_state_one_may_return_to(new_workspace: Callable[..., Workspace]) -> None:
    workspace = new_workspace()
    start = workspace.digest
    finish(workspace.use_router("hidden"))
    empty = workspace.digest
    list(workspace.teach(FRANCE))
    finish(workspace.use_router("scope"))
    assert workspace.same_state() is None
    finish(workspace.use_router("hidden"))
    found = workspace.same_state()
    assert found is not None and (found.after, found.number) == ("taught", 1)
    workspace.delete(workspace.edits[0].id)
    found = workspace.same_state()
    assert found is not None and found.after == "start"
    assert workspace.digest == empty != start
    workspace.close()
