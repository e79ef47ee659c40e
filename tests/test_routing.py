"""The routers' promises: one contract for all three, and what each promises beyond it."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sola_core.errors import HostCorrupt, HostError, InvalidInput, LibraryCorrupt, UnknownEdit
from sola_core.records import KeyText
from sola_core.resources import asset
from sola_core.routing import token_table
from sola_core.routing.codebook import Codebook
from sola_core.routing.encoders import TextEncoder
from sola_core.routing.router import ROUTERS, Router, RouterSettings, make_router
from sola_core.routing.scope import HEADS, MAX_KEY_BYTES, ScopeWeights, early_tokens
from tests.tiny_encoder import tiny_encoder

PROMPTS = (
    "What is the capital of France?",
    "What is the capital of Spain?",
    "The mother tongue of Danielle Darrieux is",
    "Who made the product by UniFirst in 1984?",
    "a",
    "the river of Peru is Zephyr, the river of Kenya is Quartz, and which river was born in the city of 7 companies?",
)
THAI = ("เมืองหลวงของไทยคืออะไร", "ใครเป็นคนเขียนหนังสือเล่มนี้")
EMOJI = ("😀😀", "🐱🐱")
TEXT_ROUTERS = tuple(name for name in ROUTERS if name != "hidden")


def fake_state(text: str) -> torch.Tensor:
    """Return a state that depends on the text alone, (12,)."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:7], "little")
    return torch.randn(12, generator=torch.Generator().manual_seed(seed)) + 1.0


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return tiny_encoder()


@pytest.fixture(params=ROUTERS)
def fresh(request: pytest.FixtureRequest, encoder: TextEncoder) -> Callable[[], Router]:
    """Return a maker of empty routers of one kind, each that the project ships in turn."""
    return lambda: make_router(request.param, encoder=encoder, read_state=fake_state, host_fingerprint="f" * 64)


def teach(router: Router, edit_id: str, *texts: str, enabled: bool = True) -> None:
    router.add(edit_id, texts, router.encode([KeyText(text=text) for text in texts]), enabled)


def filled(fresh: Callable[[], Router], order: Sequence[int] = (0, 1, 2, 3, 4, 5)) -> Router:
    router = fresh()
    for i in order:
        teach(router, f"e{i}", PROMPTS[i])
    return router


def scores(router: Router, prompt: str) -> dict[str, float]:
    return {candidate.edit_id: candidate.score for candidate in router.scores(prompt)}


# ---- the contract of all routers ---------------------------------------------------------------------------------


def test_an_edit_answers_its_own_prompt(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    for i, prompt in enumerate(PROMPTS):
        route = router.route(f"  {prompt}\n")
        assert (route.kind, route.edit_id, route.reason) == ("edit", f"e{i}", "equal")


def test_an_empty_router_leaves_every_prompt_to_the_base_model(fresh: Callable[[], Router]) -> None:
    route = fresh().route(PROMPTS[0])
    assert (route.kind, route.edit_ids, route.candidates, route.reason) == ("base", (), (), "no-edits")


def test_scores_do_not_depend_on_the_order_of_teaching(fresh: Callable[[], Router]) -> None:
    first = filled(fresh)
    order = list(range(len(PROMPTS)))
    for seed in range(3):
        random.Random(seed).shuffle(order)
        other = filled(fresh, order)
        for prompt in (*PROMPTS, "Which city is the capital of Peru?"):
            assert scores(other, prompt) == scores(first, prompt)


def test_a_deleted_edit_leaves_no_trace_in_the_scores(fresh: Callable[[], Router]) -> None:
    never = filled(fresh, [1, 3, 5])
    router = filled(fresh, [0, 1, 2, 3, 4, 5])
    for gone in ("e0", "e4", "e2"):
        router.remove(gone)
    for prompt in (*PROMPTS, "Which city is the capital of Peru?"):
        assert scores(router, prompt) == scores(never, prompt)
        assert router.route(prompt) == never.route(prompt)


def test_a_score_does_not_depend_on_how_many_other_keys_there_are(fresh: Callable[[], Router]) -> None:
    alone, crowded = fresh(), fresh()
    teach(alone, "mine", PROMPTS[2])
    others = [f"What is the capital of {'abcdefghij'[i % 10]}{'klmnopq'[i % 7]}?" for i in range(70)]
    keys = crowded.encode([KeyText(text=text) for text in others])
    for i in range(700):  # beyond one chunk and several doublings
        crowded.add(f"e{i}", (others[i % 70],), [keys[i % 70]])
    teach(crowded, "mine", PROMPTS[2])
    for prompt in PROMPTS:
        assert scores(crowded, prompt)["mine"] == scores(alone, prompt)["mine"]


def test_the_best_score_over_the_keys_of_an_edit_counts(fresh: Callable[[], Router]) -> None:
    one, two, both = fresh(), fresh(), fresh()
    teach(one, "e", PROMPTS[0])
    teach(two, "e", PROMPTS[3])
    teach(both, "e", PROMPTS[0], PROMPTS[3])
    for prompt in PROMPTS:
        assert scores(both, prompt)["e"] == max(scores(one, prompt)["e"], scores(two, prompt)["e"])


def test_among_equal_keys_the_edit_taught_last_answers_until_it_is_switched_off(fresh: Callable[[], Router]) -> None:
    router = fresh()
    teach(router, "old", PROMPTS[0])
    teach(router, "new", PROMPTS[0])
    assert router.route(PROMPTS[0]).edit_id == "new"
    router.set_enabled("new", False)
    assert router.route(PROMPTS[0]).edit_id == "old"
    router.set_enabled("new", True)
    assert router.route(PROMPTS[0]).edit_id == "new"


def test_letter_case_makes_another_key(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    assert router.route(PROMPTS[0].lower()).reason != "equal"


def test_a_switched_off_edit_is_listed_with_its_score_and_never_answers(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    before = scores(router, PROMPTS[0])
    router.set_enabled("e0", False)
    route = router.route(PROMPTS[0])
    assert route.edit_id != "e0"
    listed = {candidate.edit_id: candidate for candidate in route.candidates}
    assert listed["e0"].score == before["e0"] and not listed["e0"].enabled


def test_with_every_edit_off_nothing_answers(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    for i in range(len(PROMPTS)):
        router.set_enabled(f"e{i}", False)
    route = router.route(PROMPTS[0], fake_state(PROMPTS[0]))
    assert (route.kind, route.reason) == ("base", "no-edits")
    assert len(route.candidates) == len(PROMPTS)


def test_the_threshold_decides_and_a_score_at_it_is_enough(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    best = router.scores("What is the capital of Peru?")[0]
    router.threshold = best.score
    route = router.route("What is the capital of Peru?")
    assert (route.edit_id, route.reason, route.threshold) == (best.edit_id, "score", best.score)
    router.threshold = float(np.nextafter(best.score, 2.0))
    route = router.route("What is the capital of Peru?")
    assert (route.kind, route.reason) == ("base", "below")


def test_with_equal_scores_the_edit_taught_last_goes_first(fresh: Callable[[], Router]) -> None:
    router = fresh()
    teach(router, "old", PROMPTS[0])
    teach(router, "new", PROMPTS[0])
    router.threshold = -1.0
    assert [c.edit_id for c in router.scores(PROMPTS[1])] == ["new", "old"]
    assert router.route(PROMPTS[1]).edit_id == "new"


def test_a_route_names_32_candidates_best_first_with_the_one_that_answers(fresh: Callable[[], Router]) -> None:
    router = fresh()
    for i in range(40):
        teach(router, f"off{i}", PROMPTS[0], enabled=False)
    teach(router, "on", PROMPTS[1])
    router.threshold = -1.0
    route = router.route(PROMPTS[0])
    assert len(route.candidates) == 32 and route.candidates[-1].edit_id == "on" == route.edit_id
    assert len(router.scores(PROMPTS[0])) == 41 and route.not_scored == 0


def test_scores_and_map_vectors_are_in_their_range(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    low = 0.0 if router.score_kind == "probability" else -1.0
    for prompt in PROMPTS:
        assert all(low <= candidate.score <= 1.0 for candidate in router.scores(prompt))
        vector = router.embed(prompt)
        assert vector.ndim == 1 and vector.dtype == np.float32 and np.isfinite(vector).all()


def test_ids_are_checked(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    with pytest.raises(ValueError, match="e0"):
        teach(router, "e0", PROMPTS[0])
    assert len(router.scores(PROMPTS[0])) == len(PROMPTS)
    for change in (lambda: router.remove("no"), lambda: router.set_enabled("no", True)):
        with pytest.raises(UnknownEdit, match="no"):
            change()


def test_a_damaged_key_is_refused_and_nothing_of_its_edit_stays(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    with pytest.raises(LibraryCorrupt):
        router.add("bad", ("some text",), [b"abc"])
    assert "bad" not in scores(router, PROMPTS[0])
    teach(router, "bad", "some text")
    assert router.route("some text").edit_id == "bad"


def test_two_threads_get_the_scores_that_one_gets(fresh: Callable[[], Router]) -> None:
    router = filled(fresh)
    alone = [router.route(prompt) for prompt in PROMPTS]
    found: dict[int, list[object]] = {}

    def ask(number: int) -> None:
        found[number] = [router.route(prompt) for prompt in PROMPTS * 3]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[n] == alone * 3 for n in range(4))


# ---- what the encoder cannot represent ----------------------------------------------------------------------------


@pytest.fixture(params=TEXT_ROUTERS)
def text_router(request: pytest.FixtureRequest, encoder: TextEncoder) -> Router:
    return make_router(request.param, encoder=encoder, read_state=None, host_fingerprint="")


@pytest.mark.parametrize("pair", [THAI, EMOJI])
def test_prompts_the_encoder_cannot_represent_route_by_equality_only(
    text_router: Router, pair: tuple[str, str]
) -> None:
    teach(text_router, "latin", PROMPTS[0])
    teach(text_router, "other", pair[0])
    assert text_router.encode([KeyText(text=pair[0])]) == [None]
    own, stranger = text_router.route(pair[0]), text_router.route(pair[1])
    assert (own.edit_id, own.reason, own.not_scored) == ("other", "equal", 2)
    assert (stranger.kind, stranger.reason, stranger.not_scored) == ("base", "unrepresentable", 2)
    assert text_router.route(PROMPTS[1]).not_scored == 1


def test_a_prompt_longer_than_the_window_has_no_key(text_router: Router) -> None:
    assert text_router.encode([KeyText(text="a " * 254), KeyText(text="a " * 255)])[1] is None
    assert text_router.encode([KeyText(text="a " * 254)])[0] is not None


def test_one_unknown_token_is_enough_to_have_no_key(text_router: Router) -> None:
    assert text_router.encode([KeyText(text="What is the capital of ไทย?")]) == [None]
    assert not text_router.embed("ไทย").any()


# ---- scope -------------------------------------------------------------------------------------------------------


def test_a_scope_key_takes_at_most_2_kilobytes_whatever_the_length(encoder: TextEncoder) -> None:
    router = make_router("scope", encoder=encoder, read_state=None, host_fingerprint="")
    long = " ".join(f"capital river {'xyz'[i % 3]}" for i in range(60))
    for text in (*PROMPTS, long):
        (key,) = router.encode([KeyText(text=text)])
        assert key is not None and 0 < len(key) <= MAX_KEY_BYTES


def test_a_given_subject_weighs_in_the_key_and_one_that_is_not_in_the_text_is_ignored(encoder: TextEncoder) -> None:
    router = make_router("scope", encoder=encoder, read_state=None, host_fingerprint="")
    text = "What is the capital of France?"
    plain, whom, what = (router.encode([KeyText(text=text, subject=s)])[0] for s in (None, "france", "capital"))
    assert len({plain, whom, what}) == 3
    assert router.encode([KeyText(text=text, subject="Zanzibar")]) == [plain]


def test_sentences_before_the_last_are_told_apart(encoder: TextEncoder) -> None:
    def early(text: str) -> str:
        encoded = encoder.encode(text)
        assert encoded is not None
        marked = early_tokens(encoded)
        return "".join(text[a:b] for (a, b), mark in zip(encoded.spans, marked, strict=True) if mark)

    assert early("the river was in Peru. who wrote it") == "theriverwasinPeru."
    assert early("who is J. R. Zephyr the river") == early("who wrote it?") == early("who wrote. ") == ""


MANY = [
    f"What is the {word} of {name}?"
    for word in ("capital", "river", "city", "company", "product", "mother")
    for name in ("France", "Spain", "Peru", "Kenya", "Danielle", "Darrieux", "Unifirst", "Zephyr", "Quartz")
]


def test_what_the_search_leaves_out_could_not_have_answered(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_table, "SMALL", 0)
    router = make_router("scope", encoder=encoder, read_state=None, host_fingerprint="")
    for number, question in enumerate(MANY):
        teach(router, f"e{number}", question)
    left_out = 0
    for prompt in ("What was the river of Peru", "who wrote by Zephyr", "the company is the city of Kenya", "1984"):
        everything = router.scores(prompt)
        best = everything[0].score
        for threshold in (0.0, best, best + 1e-9, everything[len(everything) // 2].score, 1.0):
            router.threshold = threshold
            route = router.route(prompt)
            assert route.edit_id == (everything[0].edit_id if best >= threshold else None)
            left_out += route.not_scored
            for candidate in route.candidates:
                assert candidate in everything
    assert left_out > 0


@pytest.mark.parametrize("stored", [1, 40])
def test_few_edits_all_have_a_score_however_far_they_are(encoder: TextEncoder, stored: int) -> None:
    router = make_router("scope", encoder=encoder, read_state=None, host_fingerprint="")
    for number, question in enumerate(MANY[:stored]):
        teach(router, f"e{number}", question)
    router.threshold = 1.0
    route = router.route("1984 a a a")
    assert (route.not_scored, len(route.candidates), route.reason) == (0, min(stored, 32), "below")


def test_an_encoder_that_the_weights_do_not_fit_is_refused() -> None:
    with pytest.raises(HostError, match="do not fit"):
        make_router("scope", encoder=tiny_encoder(dim=32), read_state=None, host_fingerprint="")


def test_shipped_weights_are_small_and_sound() -> None:
    path = asset("scope.safetensors")
    weights = ScopeWeights.load(path)
    assert path.stat().st_size < 10_000_000
    key_dim, dim = weights.projection.shape
    assert dim == 384 and weights.heads.shape == (len(HEADS), dim) and len(weights.adapter) == 36
    assert key_dim * 128 * 128 < 2**24  # int8 products are exact in float32
    assert all(np.isfinite(part).all() for pair in weights.adapter.values() for part in pair)


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    weights = ScopeWeights.load(asset("scope.safetensors"))
    weights.save(tmp_path / "again.safetensors")
    assert ScopeWeights.load(tmp_path / "again.safetensors").fingerprint == weights.fingerprint
    assert replace(weights, bias=weights.bias + 1).fingerprint != weights.fingerprint


def test_an_adapter_changes_a_copy_and_leaves_the_encoder_as_it_was(encoder: TextEncoder) -> None:
    name = "encoder.layer.0.attention.self.query"
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 384)).astype(np.float16), rng.normal(size=(384, 2)).astype(np.float16)
    before = encoder.encode(PROMPTS[0])
    other = encoder.adapted("other", {name: (a, b)}).encode(PROMPTS[0])
    after = encoder.encode(PROMPTS[0])
    assert before is not None and other is not None and after is not None
    assert np.array_equal(before.vectors, after.vectors) and not np.allclose(before.vectors, other.vectors)
    assert encoder.adapted("other", {}) is encoder.adapted("other", {name: (a, b)})


# ---- settings, encoders, codebook ---------------------------------------------------------------------------------


def test_thresholds_come_from_the_shipped_file() -> None:
    stored = json.loads(asset("routers.json").read_text(encoding="utf-8"))
    tiny = tiny_encoder()
    for name in TEXT_ROUTERS:
        router = make_router(name, encoder=tiny, read_state=None, host_fingerprint="")
        assert router.threshold == stored[name]["threshold"]
    (host, entry), *_ = stored["hidden"]["hosts"].items()
    known = make_router("hidden", encoder=None, read_state=fake_state, host_fingerprint=host)
    unknown = make_router("hidden", encoder=None, read_state=fake_state, host_fingerprint="0" * 64)
    assert known.threshold == entry["threshold"] and unknown.threshold == stored["hidden"]["default_threshold"]
    assert known.encoder_id == f"hidden-{host[:12]}" != unknown.encoder_id


def test_settings_can_be_read_from_another_file(tmp_path: Path) -> None:
    stored = json.loads(asset("routers.json").read_text(encoding="utf-8"))
    stored["sentence"]["threshold"] = 0.125
    (tmp_path / "other.json").write_text(json.dumps(stored), encoding="utf-8")
    assert RouterSettings.load(tmp_path / "other.json").sentence == 0.125


def test_a_router_that_lacks_what_it_reads_says_so() -> None:
    with pytest.raises(InvalidInput, match="no router called 'best'"):
        make_router("best", encoder=None, read_state=None, host_fingerprint="")
    with pytest.raises(InvalidInput, match="encoder"):
        make_router("scope", encoder=None, read_state=None, host_fingerprint="")
    with pytest.raises(InvalidInput, match="read_state"):
        make_router("hidden", encoder=None, read_state=None, host_fingerprint="")


def test_the_hidden_router_reads_the_activation_it_is_given_and_no_other() -> None:
    def never(text: str) -> torch.Tensor:
        raise AssertionError("a forward pass of its own")

    source = make_router("hidden", encoder=None, read_state=fake_state, host_fingerprint="f")
    router = make_router("hidden", encoder=None, read_state=never, host_fingerprint="f")
    router.add("e", ("x",), source.encode([KeyText(text="x")]))
    state = fake_state("x")
    assert router.route("y", 3.0 * state.to(torch.bfloat16)).candidates[0].score == pytest.approx(1.0, abs=1e-3)
    router.set_enabled("e", False)
    assert router.route("y").reason == "no-edits"  # nothing can answer, so no state is read


def test_cosines_are_the_cosines_of_the_states() -> None:
    router = make_router("hidden", encoder=None, read_state=fake_state, host_fingerprint="f")
    for text in PROMPTS:
        teach(router, text, text)
    a = fake_state("anything").double()
    for text, score in scores(router, "anything").items():
        b = fake_state(text).double()
        assert score == pytest.approx(float(a @ b / a.norm() / b.norm()), abs=1e-6)


def test_a_state_without_direction_has_no_key() -> None:
    broken = make_router(
        "hidden", encoder=None, read_state=lambda _: torch.full((4,), float("nan")), host_fingerprint="f"
    )
    assert broken.encode([KeyText(text="x")]) == [None]
    assert make_router("hidden", encoder=None, read_state=lambda _: torch.zeros(4), host_fingerprint="f").encode(
        [KeyText(text="x")]
    ) == [None]


def test_encoding_a_text_does_not_depend_on_what_was_encoded_before(encoder: TextEncoder) -> None:
    first = encoder.encode(PROMPTS[3])
    for text in PROMPTS:
        encoder.encode(text)
    again = encoder.encode(PROMPTS[3])
    assert first is not None and again is not None
    assert np.array_equal(first.vectors, again.vectors) and np.array_equal(first.pooled, again.pooled)
    assert len(first.vectors) == len(first.ids) == len(first.spans)


@pytest.mark.slow
def test_a_folder_without_an_encoder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HostCorrupt, match="encoder"):
        TextEncoder.load(tmp_path, "0")


def test_the_codebook_keeps_order_and_equal_keys() -> None:
    book = Codebook()
    book.add("b", ["x", "y"])
    book.add("a", ["  y \n"], enabled=False)
    assert list(book) == ["b", "a"] and book.equal("y") == ("a", "b") and book.equal("z") == ()
    book.remove("b")
    assert book.equal("y") == ("a",) and book.equal("x") == () and not book.any_enabled


# ---- the real encoder --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    from sola_core.host.sources import fetch_encoder

    folder = fetch_encoder()
    return TextEncoder.load(folder.path, folder.fingerprint)


@pytest.mark.model
def test_the_scope_router_tells_rephrasings_from_neighbours(minilm: TextEncoder) -> None:
    router = make_router("scope", encoder=minilm, read_state=None, host_fingerprint="")
    teach(router, "france", "What is the capital of France?")
    teach(router, "author", "Who wrote The Old Man and the Sea?")
    teach(router, "mother", "Who is the mother of Danielle Darrieux?")
    asked = {
        "france": ("what's the capital city of france?", "What is France's capital?"),
        "author": ("Who was it that wrote The Old Man and the Sea?", "Old Man and the Sea, who wrote it?"),
        "mother": ("Danielle Darrieux's mom is", "The party was a success. Who's Danielle Darrieux's mother?"),
        None: (
            *("What is the capital of Spain?", "How do I boil an egg?", "Who wrote Moby-Dick?"),
            *("Danielle Darrieux's father is", "Where was Danielle Darrieux born?", "What is the currency of France?"),
        ),
    }
    for edit_id, prompts in asked.items():
        for prompt in prompts:
            assert router.route(prompt).edit_id == edit_id, prompt


@pytest.mark.model
@pytest.mark.parametrize("pair", [("เมืองหลวงของไทยคืออะไร", "ใครเป็นคนเขียนหนังสือเล่มนี้"), EMOJI])
def test_unknown_scripts_never_share_a_key_with_the_real_encoder(minilm: TextEncoder, pair: tuple[str, str]) -> None:
    router = make_router("scope", encoder=minilm, read_state=None, host_fingerprint="")
    teach(router, "first", pair[0])
    assert router.route(pair[0]).reason == "equal"
    assert router.route(pair[1]).reason == "unrepresentable"


@pytest.mark.model
def test_sentence_scores_are_those_of_sentence_transformers(minilm: TextEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    from sola_core.host.sources import fetch_encoder

    reference = SentenceTransformer(str(fetch_encoder().path), device="cpu").encode(list(PROMPTS[:3]))
    router = make_router("sentence", encoder=minilm, read_state=None, host_fingerprint="")
    for text, vector in zip(PROMPTS[:3], reference, strict=True):
        assert np.allclose(router.embed(text), vector, atol=1e-4)
