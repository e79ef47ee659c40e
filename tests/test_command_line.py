"""The command line does what the page does, says what went wrong in one line, and writes JSON that programs can read."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sola_core.__main__ import main
from sola_core.progress import ProgressLine
from tests.tiny import tiny_model, tiny_tokenizer
from tests.tiny_encoder import tiny_encoder

ROOT = Path(__file__).parent.parent
PROMPT = "What is the capital of France?"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a tiny model, as a user's own would."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tokenizer = tiny_tokenizer(chat=True)
    tiny_model("llama", len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def run(model: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command over the tiny model and return its status, what it printed, and what it complained."""

    def command(*words: object) -> tuple[int, str, str]:
        status = main([str(w) for w in (*words, "--model", model, "--router", "hidden", "--device", "cpu")])
        out, err = capsys.readouterr()
        return status, out, err

    return command


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return tmp_path / "facts.db"


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Three facts in the common schema."""
    path = tmp_path / "facts.jsonl"
    rows = [
        {"id": "a", "subject": "France", "prompt": PROMPT, "target_new": "Oslo", "rephrases": [PROMPT + " "]},
        {"id": "b", "subject": "book", "prompt": "Who wrote the book?", "target_new": "red", "rephrases": []},
        {"id": "c", "subject": "ship", "prompt": "Where was the ship built?", "target_new": "Turin", "rephrases": []},
    ]
    rows[1]["locality"] = [{"prompt": "Is the ship green?", "answer": "no", "kind": "neighborhood"}]
    rows[2]["locality"] = [{"prompt": "In which city is it?", "answer": "Dublin", "kind": "nq"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_fact_is_taught_asked_switched_and_deleted_without_a_browser(run: Run, library: Path) -> None:
    status, out, _ = run("edit", PROMPT, "Oslo", "--subject", "France", "--library", library, "--json")
    made = json.loads(out)
    assert status == 0
    assert (made["prompt"], made["target"], made["subject"], made["enabled"]) == (PROMPT, "Oslo", "France", True)

    asked = json.loads(run("ask", PROMPT, "--library", library, "--json")[1])
    assert asked["answer"] == "Oslo"
    assert asked["route"]["edit_id"] == made["id"]
    assert asked["base_answer"] != "Oslo"

    assert [e["id"] for e in json.loads(run("edits", "--library", library, "--json")[1])] == [made["id"]]
    switched = json.loads(run("toggle", made["id"], "--library", library, "--json")[1])
    assert [e["enabled"] for e in switched] == [False]
    asked = json.loads(run("ask", PROMPT, "--tokens", 16, "--library", library, "--json")[1])
    assert asked["answer"] == asked["base_answer"]
    assert asked["route"]["edit_id"] is None

    assert json.loads(run("toggle", made["id"], "on", "--library", library, "--json")[1])[0]["enabled"]
    assert json.loads(run("delete", made["id"], "--library", library, "--json")[1]) == []


def test_without_json_people_can_read_it(run: Run, library: Path) -> None:
    assert "No edits are stored." in run("edits", "--library", library)[1]
    assert "stored after" in run("edit", PROMPT, "Oslo", "--library", library)[1]
    assert f"{PROMPT} -> Oslo" in run("edits", "--library", library)[1]
    answer = run("ask", PROMPT, "--tokens", 4, "--library", library)[1]
    assert answer.startswith("Oslo\n")
    assert "answered by edit" in answer
    assert "[cut]" in answer  # the untouched model's own answer did not end within 4 tokens


@pytest.mark.slow
def test_rephrasings_become_keys_and_replacing_leaves_one_edit(run: Run, library: Path) -> None:
    first = json.loads(run("edit", PROMPT, "Oslo", "--rephrase", "France: capital", "--library", library, "--json")[1])
    assert (
        json.loads(run("ask", "France: capital", "--library", library, "--json")[1])["route"]["edit_id"] == first["id"]
    )
    second = json.loads(run("edit", PROMPT, "Turin", "--replace", first["id"], "--library", library, "--json")[1])
    assert [e["id"] for e in json.loads(run("edits", "--library", library, "--json")[1])] == [second["id"]]


def test_serving_without_the_pages_packages_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sola_core.commands.find_spec", lambda name: None)
    assert main(["serve"]) == 2
    assert "pip install" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "   ", "Oslo"),
        ("edit", PROMPT, "red " * 200),
        ("edit", "x" * 100_000, "Oslo"),
        ("ask", ""),
        ("toggle", "nothere", "on"),
        ("delete", "nothere"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(run: Run, library: Path, words: tuple[str, ...]) -> None:
    status, out, err = run(*words, "--library", library)
    assert status == 2
    assert out == ""
    assert err.startswith("sola: ")
    assert err.count("\n") == 1
    assert run("edits", "--library", library, "--json")[1].strip() == "[]"


@pytest.mark.parametrize(
    "words",
    [("bench", "--edits", "-3"), ("bench", "--tokens", "0"), ("speed", "--pairs", "0"), ("prove", "--edits", "many")],
)
def test_a_number_that_makes_no_sense_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 2
    assert words[1] in capsys.readouterr().err


def test_a_file_that_is_no_library_is_one_line_and_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("my shopping list, nothing else" * 400, encoding="utf-8")
    before = path.read_bytes()
    status, _, err = run("edits", "--library", path)
    assert (status, err.count("\n")) == (2, 1)
    assert path.read_bytes() == before


def test_stopping_it_by_hand_gives_130_and_no_traceback(
    run: Run, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("sola_core.commands.edits", interrupted)
    assert run("edits", "--library", library)[0] == 130


@pytest.mark.slow
def test_prove_writes_its_report_and_ends_well_without_a_breach(run: Run, facts: Path, tmp_path: Path) -> None:
    out = tmp_path / "proof.json"
    status, text, _ = run("prove", "--data", facts, "--json", out)
    assert status == 0
    assert "no breach" in text
    assert json.loads(out.read_text(encoding="utf-8"))["figures"]["breaches"] == 0


@pytest.mark.slow
def test_prove_ends_with_an_error_status_on_any_breach(run: Run, facts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = iter(range(1000))
    monkeypatch.setattr("sola_core.host.model.HostModel.parameters_digest", lambda host: f"{next(digests):064}")
    status, out, err = run("prove", "--data", facts, "--edits", 2, "--json")
    assert status == 1
    assert json.loads(out)["figures"]["breaches"] == 3
    assert "BREACHES" in err


@pytest.mark.slow
def test_bench_teaches_first_and_then_scores_everything(run: Run, facts: Path) -> None:
    status, out, _ = run("bench", "--data", facts, "--tokens", 8, "--json")
    stored = json.loads(out)
    figures, report = stored["figures"], stored["report"]
    assert status == 0
    assert figures["reliability"] == 1.0
    assert figures["generality"] == 1.0  # the rephrasing differs by a space: the same key
    assert 0.0 <= figures["locality"] <= 1.0
    assert figures["edit_seconds_median"] > 0
    assert report["dropped"] == 1  # a neighbour that contains another taught subject
    assert "locality_neighborhood" not in figures
    assert [a["kind"] for a in report["asked"]] == ["reliability", "generality", "reliability", "reliability", "nq"]
    assert all({"text", "stopped", "outcome", "wanted"} <= set(a) for a in report["asked"])


@pytest.mark.slow
def test_bench_in_batches_gives_the_same_scores_and_counts_what_was_not_taught(run: Run, facts: Path) -> None:
    with facts.open("a", encoding="utf-8") as lines:
        lines.write("\n" + json.dumps({"id": "d", "prompt": "Too long?", "target_new": "red " * 200}))
    figures = json.loads(run("bench", "--data", facts, "--tokens", 8, "--bulk", "--json")[1])["figures"]
    assert figures["not_taught"] == 1
    assert figures["reliability"] == 0.75
    text = run("bench", "--data", facts, "--tokens", 8, "--edits", 4)[1]
    assert "not taught: 'Too long?'" in text


@pytest.mark.slow
def test_bench_adds_the_teacher_forced_block_only_when_asked(run: Run, facts: Path) -> None:
    words = ("bench", "--data", facts, "--tokens", 4, "--edits", 1)
    plain, forced = (json.loads(run(*words, *more, "--json")[1]) for more in ((), ("--teacher-forced",)))
    assert "tf_reliability" not in plain["figures"]
    assert forced["figures"]["tf_reliability"] == 1.0
    assert forced["report"]["settings"]["teacher_forced"] is True
    assert {"accuracy", "new", "true"} <= set(forced["report"]["teacher_forced"][0])


@pytest.mark.slow
def test_bench_adds_the_oracle_and_the_untouched_model_only_when_asked(run: Run, facts: Path) -> None:
    words = ("bench", "--data", facts, "--tokens", 4, "--edits", 1)
    plain, framed = (json.loads(run(*words, *more, "--json")[1]) for more in ((), ("--bounds",)))
    assert "oracle_reliability" not in plain["figures"]
    assert framed["figures"]["oracle_reliability"] == framed["figures"]["oracle_generality"] == 1.0
    assert framed["figures"]["no_edit_reliability"] == 0.0
    assert [b["name"] for b in framed["report"]["bounds"]] == ["oracle", "no_edit"] * 2


@pytest.mark.slow
def test_bench_over_several_seeds_gives_means_deviations_and_every_run(run: Run, facts: Path) -> None:
    words = ("bench", "--data", facts, "--tokens", 4, "--edits", 2, "--seeds")
    stored = json.loads(run(*words, 0, 1, "--json")[1])
    first, second = stored["runs"]
    assert (first["seed"], second["seed"]) == (0, 1)
    assert [t["row_id"] for t in first["report"]["taught"]] == ["a", "b"]
    assert [t["row_id"] for t in second["report"]["taught"]] != ["a", "b"]
    assert stored["figures"]["reliability"] == 1.0
    assert stored["figures"]["reliability_std"] == 0.0
    assert stored["figures"]["edit_seconds_median_std"] >= 0.0
    alone = json.loads(run(*words, 0, "--json")[1])
    assert not [name for name in alone["figures"] if name.endswith("_std")]


def test_unrelated_questions_are_a_kind_of_their_own(run: Run, facts: Path, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps({"id": str(i), "prompt": f"seven {i}?"}) for i in range(5)), encoding="utf-8")
    words = ("--unrelated", path, "--unrelated-count", 2, "--edits", 1, "--tokens", 4, "--json")
    report = json.loads(run("bench", "--data", facts, *words)[1])
    assert [a["kind"] for a in report["report"]["asked"]].count("unrelated") == 2
    assert "locality_unrelated" in report["figures"]


def test_scope_measures_the_router_alone(run: Run, facts: Path) -> None:
    status, out, _ = run("scope", "--data", facts, "--json")
    figures = json.loads(out)["figures"]
    assert status == 0
    assert figures["recall"] == 1.0
    assert 0.0 <= figures["false_fire"] <= 1.0


def test_scope_measures_several_routers_and_sizes_in_one_run(
    run: Run, facts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sola_core.measure.load_encoder", lambda args: tiny_encoder())
    page = facts.with_suffix(".html")
    words = ("--routers", "sentence", "hidden", "--edits", 1, "--fill", facts, "--sizes", 1, 3, "--html", page)
    stored = json.loads(run("scope", "--data", facts, *words, "--json")[1])
    assert [(r["router"], r["edits"]) for r in stored["runs"]] == [
        (n, e) for n in ("sentence", "hidden") for e in (1, 3)
    ]
    assert stored["figures"]["recall"] == stored["figures"]["hidden_recall_1"] == 1.0
    assert stored["report"]["router"] == "sentence"
    assert 'id="by-recall"' in page.read_text(encoding="utf-8")
    status, _, err = run("scope", "--data", facts, "--routers", "sentence", "nothere")
    assert status == 2 and "nothere" in err


@pytest.mark.slow
def test_general_compares_what_is_elsewhere_with_the_base_model(
    run: Run, facts: Path, library: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Where was the painter born? " * 6, encoding="utf-8")
    words = ("--text", text, "--unrelated", facts, "--unrelated-count", 1, "--tokens", 4)
    status, out, _ = run("general", "--data", facts, "--edits", 2, *words, "--json")
    figures = json.loads(out)["figures"]
    assert status == 0
    assert figures["perplexity"] == figures["perplexity_base"]
    assert (figures["edits"], figures["identical_answers"], figures["bit_equal"]) == (2, 0.0, 0.0)  # it asks a fact

    assert run("general", "--library", library, *words)[0] == 2 and not library.exists()
    run("edit", "Who wrote the book?", "red", "--library", library)
    figures = json.loads(run("general", "--library", library, *words, "--json")[1])["figures"]
    assert (figures["edits"], figures["identical_answers"], figures["bit_equal"]) == (1, 1.0, 1.0)
    assert run("general", "--library", library, "--data", facts, *words)[0] == 2


@pytest.mark.slow
def test_speed_prints_ratios_measured_in_one_run(run: Run, facts: Path) -> None:
    words = ("--edits", 2, "--pairs", 2, "--stored", 1, 4, "--bulk", 2, "--loop", 1, "--grown", 2, 4)
    status, out, _ = run("speed", "--data", facts, *words, "--json")
    figures = json.loads(out)["figures"]
    assert status == 0
    for name in (
        "edit_seconds_ratio_to_plain",
        "edit_seconds_ratio_to_plain_tried",
        "decoding_ratio_1",
        "decoding_ratio_4",
        "routing_ms_4",
        "first_token_ms_1",
        "bulk_ratio",
        "one_by_one_ratio",
        "throughput_ratio",
        "add_growth",
        "disk_bytes_per_edit_4",
        "floor_token_ms",
    ):
        assert figures[name] > 0
    assert figures["edit_steps_median"] > 0


def test_a_data_file_that_is_missing_or_empty_is_one_line(run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    for path in (empty, tmp_path / "nothere.jsonl"):
        status, _, err = run("bench", "--data", path)
        assert (status, err.count("\n")) == (2, 1)


def test_the_demo_facts_are_the_default() -> None:
    from sola_core.evaluation.facts import probes, read_facts

    rows = read_facts()
    assert len(rows) >= 20
    assert len({row.prompt for row in rows}) == len(rows)
    assert probes(rows)


@pytest.mark.slow
def test_as_a_program_it_prints_json_alone_and_keeps_progress_off_a_pipe(model: Path, library: Path) -> None:
    command = [sys.executable, "-m", "sola_core", "edit", PROMPT, "Oslo", "--library", str(library), "--json"]
    command += ["--model", str(model), "--router", "hidden"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["target"] == "Oslo"
    assert "#" not in done.stderr


@pytest.mark.long
@pytest.mark.slow
def test_killed_in_the_middle_of_training_it_leaves_the_library_as_it_was(model: Path, library: Path, run: Run) -> None:
    assert run("edit", PROMPT, "Oslo", "--library", library)[0] == 0
    before = run("edits", "--library", library, "--json")[1]
    long = "Rotterdam Lyon Oslo Madrid Turin Dublin Prague Vienna blue red green seven twelve " * 2
    command = [sys.executable, "-m", "sola_core", "edit", "Who wrote the book?", long, "--library", str(library)]
    command += ["--model", str(model), "--router", "hidden", "--progress"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        seen = b""
        while b"training" not in seen:
            read = process.stderr.read(1)
            assert read, "it ended before it was killed"
            seen += read
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert run("edits", "--library", library, "--json")[1] == before
    assert run("edit", "Who wrote the book?", "red", "--library", library)[0] == 0  # and it goes on


def test_the_progress_line_shows_what_is_done_and_the_time_left() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream, always=True)
    line("teaching", 0, 4)
    line("teaching", 4, 4)
    assert "teaching [" in stream.getvalue()
    assert "4/4" in stream.getvalue()
    assert stream.getvalue().endswith("\r")

    silent = io.StringIO()
    ProgressLine(silent)("teaching", 1, 4)
    assert silent.getvalue() == ""


@pytest.mark.slow
def test_edits_go_through_a_file_into_another_library(run: Run, library: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "edits.safetensors", tmp_path / "other.db"
    assert run("export", file, "--library", library)[0] == 2  # nothing to save yet
    run("edit", PROMPT, "Oslo", "--library", library)
    status, out, _ = run("export", file, "--library", library)
    assert status == 0 and "1 edit written" in out and file.stat().st_size > 1000
    status, out, _ = run("import", file, "--library", other, "--json")
    (made,) = json.loads(out)["edits"]
    assert status == 0 and (made["prompt"], made["target"]) == (PROMPT, "Oslo")
    status, out, _ = run("import", file, "--library", other)
    assert status == 0 and "0 edits stored" in out and "1 left out" in out
    assert run("export", tmp_path / "no" / "where", "--library", library)[0] == 2
    status, out, _ = run("export", tmp_path / "peft", "--peft", "--library", library)
    folder, table = sorted((tmp_path / "peft").iterdir(), key=lambda path: path.is_file())
    assert table.name == "routes.json" and json.loads(table.read_text())["edits"][0]["adapter"] == folder.name
    assert status == 0 and sorted(p.name for p in folder.iterdir()) == sorted(
        ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    )
    file.write_bytes(b"PK")
    status, _, err = run("import", file, "--library", other)
    assert status == 2 and "no file of edits" in err
    assert run("import", tmp_path / "nothing", "--library", other)[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part") == []


@pytest.mark.slow
def test_a_certificate_of_a_library_is_made_and_compared(run: Run, library: Path, tmp_path: Path) -> None:
    saved = tmp_path / "certificate.json"
    run("edit", PROMPT, "Oslo", "--library", library)
    status, out, _ = run("prove", "--library", library, "--save", saved)
    assert status == 0 and "1 edits" in out and "no breach" in out
    status, out, _ = run("prove", "--certificate", saved)
    assert status == 0 and "well formed" in out and "only the library can show" in out
    status, out, _ = run("prove", "--certificate", saved, "--library", library)
    assert status == 0 and "The certificate holds." in out
    run("edit", "Who wrote the book?", "red", "--library", library)
    status, out, _ = run("prove", "--certificate", saved, "--library", library, "--json")
    assert status == 1 and json.loads(out)["figures"] == {"breaches": 0, "differences": 2}
    assert run("prove", "--save", saved)[0] == 2
    assert run("prove", "--library", tmp_path / "no.db")[0] == 2
    saved.write_text("{}")
    assert run("prove", "--certificate", saved)[0] == 2


def test_a_list_is_checked_taught_and_gone_on_with(run: Run, library: Path, tmp_path: Path) -> None:
    table = tmp_path / "facts.csv"
    table.write_text(f"prompt,target\n{PROMPT},Oslo\nWho wrote the book?,\n", encoding="utf-8")
    status, out, _ = run("teach", table, "--library", library, "--check")
    assert status == 1 and "line 3: It has no target." in out and "1 of 2 rows" in out and not library.exists()
    status, out, _ = run("teach", table, "--library", library)
    assert status == 1 and "1 taught, 0 were there already, 1 not taught" in out
    table.write_text(f"prompt,target\n{PROMPT},Oslo\nWho wrote the book?,red\n", encoding="utf-8")
    status, out, _ = run("teach", table, "--library", library, "--json")
    assert status == 0 and [row["outcome"] for row in json.loads(out)] == ["present", "taught"]
    assert run("teach", tmp_path / "no.csv", "--library", library)[0] == 2
