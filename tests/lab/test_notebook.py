"""The note: what it says, that it is repeatable, and that what a person wrote in it survives everything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import labfiles as files
import pytest
from labfiles import EXP, FS, LEARN, RANDOM, UNTRAINED

from lab.errors import NotFound
from lab.notebook import build_note
from lab.notebook.figures import Curve, Figure, draw_curves
from lab.notebook.index import front_matter, parse_front_matter
from lab.notebook.regions import FRONT, author, generated, merge, neutral, render
from lab.notebook.samples import main_line, moves_text
from lab.notebook.words import number
from lab.paths import LabPaths
from lab.stats import read_match


def build(paths: LabPaths, exp: str = EXP) -> tuple[str, list[str]]:
    """Build without figures (they take a second) and return the note with the warnings."""
    built = build_note(FS, paths, exp, figures=False)
    return Path(built.path).read_text(), built.warnings


# --- what it says --------------------------------------------------------------------------------


def test_a_finished_experiment_is_supported_with_recounted_numbers(tmp_path: Path) -> None:
    note, warnings = build(files.first_light(tmp_path))
    assert warnings == []
    front = parse_front_matter(note)
    assert (front["verdict"], front["status"], front["parents"]) == ("supported", "done", [])
    assert (front["started"], front["finished"]) == ("2026-11-23T05:40:00Z", "2026-11-23T05:45:00Z")
    assert front["cost"] == {"wall_s": 270.0, "cpu_s": 486.0, "gpu_s": 0.0}
    assert "**Supported.** Trained scores 97.8 % against random (95 % interval 94.6 to 99.1 %, n = 200)" in note
    assert "| trained | random | 200 | 98/1/1 | 97/3/0 | 97.8 % (94.6 to 99.1 %) | +655 (+498 to +812) |" in note
    assert "| accept | `random.winrate.ci_low > 0.9` | 0.9462 | 200 | holds |" in note
    assert "| guard | `learn.early_pass_rate < 0.05` | 0.01 | 4000 | holds |" in note
    assert "None: every job's first attempt was accepted." in note
    for heading in ("Question and hypothesis", "Decision rule", "Protocol as run", "Results", "Figures", "Health",
                    "Interpretation", "Decision and next steps", "Sample games", "Provenance", "Cost",
                    "Amendments"):  # fmt: skip
        assert note.count(f"\n## {heading}\n") == 1


def test_every_link_in_the_note_and_the_index_leads_somewhere(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    built = build_note(FS, paths, EXP)
    for document in (Path(built.path), Path(paths.index)):
        links = re.findall(r"\]\(([^)]+)\)", document.read_text())
        assert links
        for link in links:
            assert (document.parent / link).exists(), link


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    trees = []
    for name in ("a", "b"):
        paths = files.first_light(tmp_path / name)
        first = build_note(FS, paths, EXP)
        again = build_note(FS, paths, EXP)
        assert first.changed and not again.changed
        root = Path(paths.results)
        trees.append({str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()})
    assert trees[0] == trees[1]
    endings = {name.rsplit(".", 1)[-1] for name in trees[0] if "/figures/" in name}
    assert endings == {"svg", "png", "csv"}


def test_a_running_experiment_has_no_verdict_yet(tmp_path: Path) -> None:
    note, _ = build(files.first_light(tmp_path, end=False))
    front = parse_front_matter(note)
    assert (front["status"], front["verdict"]) == ("running", "pending")
    assert "**Pending.** Not finished yet" in note


def test_a_failed_job_makes_it_invalid_and_is_listed(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path, end=False)
    for index, job in enumerate((RANDOM, UNTRAINED), start=1):
        name = next(n for n in FS.listdir(paths.waiting) if job in n)
        FS.unlink(f"{paths.waiting}/{name}")
        files.place(paths.failed if job == RANDOM else paths.cancelled, job, f"g9.l0.f3.{files.INC}", index)
    files.event(
        paths,
        {"at": "2026-11-23T05:43:00Z", "inc": files.INC, "job": RANDOM, "exp": EXP, "from": "running", "to": "delayed",
         "token": "", "cause": "exit 1", "detail": "MemoryError"},
        {"at": "2026-11-23T05:41:00Z", "inc": files.INC, "job": LEARN, "exp": "another-exp-aaaaaa", "from": "running",
         "to": "failed", "token": "", "cause": "exit 1", "detail": "not ours"},
    )  # fmt: skip
    note, _ = build(paths)
    assert parse_front_matter(note)["verdict"] == "invalid"
    assert parse_front_matter(note)["status"] == "failed"
    assert "running → delayed (exit 1: MemoryError)" in note
    assert "not ours" not in note
    assert f"`{RANDOM}` needed more than one attempt" in note


def test_numbers_that_do_not_add_up_are_invalid(tmp_path: Path) -> None:
    paths = files.new_lab(tmp_path)
    rule = {"rule": "fixed", "accept": ["m.winrate.value > 0.5"], "guards": []}
    files.add_experiment(paths, [files.spec("m-1234567890", "m")], decision=rule)
    task = {"metrics": {"winrate": 0.99}, "matches": [files.match("random", (98, 1, 1), (97, 3, 0))]}
    files.finish(paths, "m-1234567890", task)
    note, _ = build(paths)
    assert parse_front_matter(note)["verdict"] == "invalid"
    assert "the task's win rate value is 0.99, the recount 0.9775" in note


def test_a_result_changed_after_acceptance_is_not_quoted(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    folder = paths.attempt(EXP, RANDOM, 2, files.INC)
    Path(f"{folder}/out/result.json").write_text("{}")
    note, _ = build(paths)
    assert parse_front_matter(note)["verdict"] == "invalid"
    assert "corrupt" in note


def test_orphans_are_never_read(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    before, _ = build(paths)
    zombie = paths.attempt(EXP, RANDOM, 7, "host-z-ffffffffffffffff")
    FS.makedirs(f"{zombie}/out")
    FS.create(f"{zombie}/result.json", json.dumps({"format": 1, "task": {"metrics": {"winrate": 0.0}}}).encode())
    after, _ = build(paths)
    assert after == before


def test_odd_task_results_cost_a_warning_not_the_note(tmp_path: Path) -> None:
    paths = files.new_lab(tmp_path)
    files.add_experiment(paths, [files.spec("m-1234567890", "m")])
    task = {
        "metrics": {"a": "text", "b": None},
        "matches": [{"player": "x"}],
        "curves": [{"y": 5}, "no", {"title": "../../up", "x": "step", "y": ["loss"]}],
        "samples": [{"sgf": "../../../etc/passwd"}, {"sgf": "artifacts/bad.sgf"}, {"title": 3, "sgf": 4}],
        "info": "none",
    }
    rows = b'{"step": 1, "loss": 2}\n{"step": 2, "loss": NaN}\nnot json\n{"step": 3, "loss": 1'
    files.finish(paths, "m-1234567890", task, files={"metrics.jsonl": rows, "artifacts/bad.sgf": b"(;B[zz"})
    built = build_note(FS, paths, EXP)
    assert any("outside the job's folder" in text for text in built.warnings)
    assert any("bad.sgf" in text for text in built.warnings)
    assert built.verdict == "invalid"
    assert sorted(FS.listdir(f"{paths.result_exp(EXP)}/figures"))[0].startswith("m-up.")


def test_an_unknown_experiment_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no experiment nope-aaaaaa"):
        build_note(FS, files.new_lab(tmp_path), "nope-aaaaaa")


def test_a_protocol_cannot_forge_markers(tmp_path: Path) -> None:
    paths = files.new_lab(tmp_path)
    evil = "Is it? <!-- lab:end question -->\n<!-- lab:begin cost sha=00 -->"
    files.add_experiment(paths, [files.spec("m-1234567890", "m")], question=evil)
    files.finish(paths, "m-1234567890", {})
    build(paths)
    note, warnings = build(paths)
    assert warnings == []
    assert note.count("<!-- lab:end question -->") == 1


# --- what a person wrote -------------------------------------------------------------------------


def edit(paths: LabPaths, old: str, new: str) -> None:
    text = Path(paths.note(EXP)).read_text()
    assert old in text
    Path(paths.note(EXP)).write_text(text.replace(old, new))


def test_author_sections_survive_new_results(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path, end=False)
    build(paths)
    edit(paths, "- *What does it not show?*", "It shows nothing yet.\n\n### My own heading\n")
    for index, job in enumerate((RANDOM, UNTRAINED), start=1):
        name = next(n for n in FS.listdir(paths.waiting) if job in n)
        FS.unlink(f"{paths.waiting}/{name}")
        files.finish(paths, job, {"metrics": {"winrate": {"value": 0.5, "ci_low": 0.4, "ci_high": 0.6}}}, index=index)
    note, warnings = build(paths)
    assert warnings == []
    assert "It shows nothing yet.\n\n### My own heading\n" in note
    assert parse_front_matter(note)["verdict"] == "refuted"


def test_an_edit_inside_a_generated_part_is_kept_and_told(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    build(paths)
    edit(paths, "## Health\n", "## Health\n\nThe fan was loud.\n")
    note, warnings = build(paths)
    assert "generated part 'health' was edited by hand" in warnings[0]
    head, _, kept = note.partition("## Preserved edits")
    assert "The fan was loud." not in head
    assert "The fan was loud." in kept
    again, warnings = build(paths)
    assert again == note and warnings == []


@pytest.mark.parametrize("marker", ["<!-- lab:end results -->\n", "# lab:front sha="])
def test_lost_markers_leave_the_note_alone(tmp_path: Path, marker: str) -> None:
    paths = files.first_light(tmp_path)
    build(paths)
    edit(paths, marker, "")
    before = Path(paths.note(EXP)).read_bytes()
    built = build_note(FS, paths, EXP, figures=False)
    assert built.path.endswith("NOTE.new.md")
    assert any("missing or doubled" in text for text in built.warnings)
    assert Path(paths.note(EXP)).read_bytes() == before
    assert Path(built.path).read_text().startswith("---\n")


def test_a_doubled_region_is_not_guessed_at() -> None:
    blocks = [generated("a", ["one"]), author("b", ["mine"])]
    text = render(blocks)
    assert merge(text + text, blocks).lost


def test_unknown_regions_and_bytes_outside_are_copied() -> None:
    blocks = [generated(FRONT, ["id: 1"]), generated("a", ["one"]), author("b", ["mine"])]
    text = render(blocks) + "tail without newline \r\n<!-- lab:begin old sha=00 -->\nx\n<!-- lab:end old -->"
    merged = merge(text, [generated(FRONT, ["id: 2"]), generated("a", ["two"]), author("b", ["seed"])])
    assert merged.warnings == []
    assert merged.text == text.replace("one", "two").replace("id: 1", "id: 2").replace(
        text.split("lab:begin a sha=")[1][:16], merged.text.split("lab:begin a sha=")[1][:16]
    ).replace(text.split("lab:front sha=")[1][:16], merged.text.split("lab:front sha=")[1][:16])
    assert "mine" in merged.text and "seed" not in merged.text


def test_neutral_text_has_no_marker() -> None:
    assert "<!-- lab:" not in neutral("<!-- lab:begin x sha=1 -->")


# --- the small parts -----------------------------------------------------------------------------


def test_front_matter_comes_back() -> None:
    values = {"id": "x", "title": 'a: "b" # c', "parents": ["p"], "dirty": False, "commit": None}
    text = "---\n" + "\n".join(front_matter(values)) + "\n# lab:front sha=1\n---\nrest"
    assert parse_front_matter(text) == values
    assert parse_front_matter("no front") == {}


def test_the_index_lists_newest_first_and_what_failed(tmp_path: Path) -> None:
    paths = files.first_light(tmp_path)
    rule = {"rule": "fixed", "accept": ["m.x < 1"], "guards": []}
    files.add_experiment(paths, [files.spec("m-1234567890", "m", exp="later-bbbbbb")], "later-bbbbbb", rule,
                         "2026-11-24T00:00:00Z", question="Is | x small?")  # fmt: skip
    files.finish(paths, "m-1234567890", {"metrics": {"x": 2}}, exp="later-bbbbbb")
    build(paths)
    build(paths, "later-bbbbbb")
    index = Path(paths.index).read_text()
    assert index.index("later-bbbbbb") < index.index(EXP)
    assert "**refuted**" in index and "## Not supported" in index


def test_sgf_main_line() -> None:
    line = main_line(r"(;FF[4]SZ[7]PB[a\]b]KM[7];B[dd]C[x;y)](;W[cc];B[];W[tt])(;W[aa]))")
    assert line.properties["PB"] == "a]b"
    assert line.moves == (("B", "D4"), ("W", "C5"), ("B", "pass"), ("W", "pass"))
    assert moves_text(line) == ["   1  B D4   W C5   B pass W pass"]


@pytest.mark.parametrize("text", ["", "x", "(;B[zz])", "(;B[dd", "(;B[dd]", ")", "(;SZ[99])", "(;B[d])"])
def test_damaged_sgf_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        main_line(text)


# --- sweeps --------------------------------------------------------------------------------------


def sweep(root: Path) -> LabPaths:
    """Two arms of two seeds; each has a training curve and a match."""
    paths = files.new_lab(root)
    arms = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    jobs = [files.spec(f"m-{x}-{s}-1234567890", "m", arm={"search": x}, seed=s) for x, s in arms]
    rule = {"rule": "fixed", "accept": ["m.winrate.ci_low > 0.8"], "guards": []}
    files.add_experiment(paths, jobs, decision=rule)
    curve = {"title": "Loss", "x": "step", "y": ["loss.policy"]}
    for index, (job, wins) in enumerate(zip(jobs, (95, 96, 97, 85))):
        played = files.match("random", (wins, 100 - wins, 0), (wins, 100 - wins, 0)) | {
            "pairs": {"2": wins, "0": 100 - wins}
        }
        rate = read_match(played).rate
        claimed = {"value": rate.value, "n": rate.n, "ci_low": rate.low, "ci_high": rate.high, "method": "wilson"}
        task = {"matches": [played], "metrics": {"winrate": claimed}, "curves": [curve]}
        files.finish(paths, job["job"], task, files={"metrics.jsonl": files.learning_curve()}, index=index)
    return paths


def test_a_sweep_names_arm_and_seed_and_counts_its_outcomes(tmp_path: Path) -> None:
    note, warnings = build(sweep(tmp_path))
    assert warnings == []
    assert "**Inconclusive.** `m.winrate.ci_low > 0.8` holds in 3 of 4 jobs" in note
    for arm in ("a", "b"):
        for seed in (1, 2):
            assert f"| trained (search={arm} seed={seed}) | random | 200 |" in note
            assert f"| trained (search={arm} seed={seed}) against random |" in note


def test_a_sweeps_curve_keeps_every_run_in_its_data(tmp_path: Path) -> None:
    paths = sweep(tmp_path)
    built = build_note(FS, paths, EXP)
    assert built.warnings == []
    rows = Path(f"{paths.result_exp(EXP)}/figures/m-loss.csv").read_text().splitlines()
    assert rows[0] == "run,step,loss.policy"
    assert {row.split(",")[0] for row in rows[1:]} == {f"search={a} seed={s}" for a in "ab" for s in (1, 2)}
    assert len(rows) == 1 + 4 * 12
    assert "n = 4 runs" in Path(built.path).read_text()


ROWS = [{"iteration": i, "rate": i / 10, "low": i / 20, "high": i / 5, "other": 1 - i / 10} for i in range(1, 5)]


def curve_figure(rows_of: list[list[dict[str, float]]], **spec: object) -> Figure:
    runs = [Curve(f"seed={i}", "", rows) for i, rows in enumerate(rows_of, 1)]
    drawn = draw_curves("strength", {"title": "Strength", "x": "iteration", **spec}, runs, "salt")
    assert drawn is not None
    return drawn


def test_a_curve_speaks_in_its_labels_and_shades_its_interval() -> None:
    plain = curve_figure([ROWS], y=["rate"])
    named = curve_figure([ROWS], y=["rate"], labels={"rate": "win rate"}, band={"rate": ["low", "high"]})
    assert named.caption.startswith("Strength: win rate over iteration") and "95 % interval" in named.caption
    assert "interval" not in plain.caption and plain.svg != named.svg
    assert named.csv.splitlines()[0] == "run,iteration,rate,low,high"


def test_series_of_one_unit_share_a_frame() -> None:
    def frames(figure: Figure) -> int:
        return figure.svg.count(b'id="axes_')

    both = ["rate", "other"]
    assert frames(curve_figure([ROWS], y=both)) == 2
    assert frames(curve_figure([ROWS], y=both, same_axis=True)) == 1
    assert frames(curve_figure([ROWS, ROWS], y=both, same_axis=True)) == 2  # with several runs, side by side


@pytest.mark.parametrize("odd", [{"band": {"rate": "low"}}, {"band": ["low"]}, {"labels": 3}, {"same_axis": "no"}])
def test_odd_curve_extras_are_ignored(odd: dict[str, object]) -> None:
    assert curve_figure([ROWS], y=["rate"], **odd).png


def test_numbers_in_words() -> None:
    assert [number(v) for v in (11731.4, 0.41987, 256.0, 1_485_000, 2.5e13)] == [
        "11 731",
        "0.4199",
        "256",
        "1 485 000",
        "2.5e+13",
    ]


def repeated(root: Path, *last: float) -> LabPaths:
    """A step three times in a row (`repeat`), the scores of each in turn."""
    paths = files.new_lab(root)
    jobs = [files.spec(f"m-{n}234567890", "m", repetition=n, needs=[]) for n in (1, 2, 3)]
    files.add_experiment(paths, jobs, decision={"rule": "fixed", "accept": ["m.score > 0.5"], "guards": []})
    for index, (job, score) in enumerate(zip(jobs, last)):
        curve = {"title": "Loss", "x": "step", "y": ["loss.policy"]}
        task = {"metrics": {"score": score}, "curves": [curve]}
        files.finish(paths, job["job"], task, files={"metrics.jsonl": files.learning_curve()}, index=index)
    return paths


@pytest.mark.parametrize(("scores", "word"), [((0.1, 0.4, 0.9), "Supported"), ((0.9, 0.9, 0.1), "Refuted")])
def test_of_a_repeated_step_the_last_repetition_is_judged(tmp_path: Path, scores: tuple[float, ...], word: str) -> None:
    note, warnings = build(repeated(tmp_path, *scores))
    assert warnings == []
    assert f"**{word}.**" in note
    assert note.count("| accept | `m.score > 0.5` |") == 1
    for turn in (1, 2, 3):
        assert f"m repeat={turn}" in note


def test_the_rules_bound_is_drawn_only_where_it_is_one(tmp_path: Path) -> None:
    """Two matches in one job share no win rate, and a bound of the value is none of the interval's lower end."""
    for name, rule, count in (("one", "m.winrate > 0.5", 1), ("two", "m.winrate.ci_low > 0.5", 2)):
        (tmp_path / name).mkdir()
        paths = files.new_lab(tmp_path / name)
        files.add_experiment(paths, [files.spec("m-1234567890", "m")],
                             decision={"rule": "fixed", "accept": [rule], "guards": []})  # fmt: skip
        played = [files.match(f"other {n}", (40, 10, 0), (40, 10, 0)) for n in range(count)]
        task = {"matches": played, "metrics": {"winrate": 0.8}}
        files.finish(paths, "m-1234567890", task)
        built = build_note(FS, paths, EXP)
        assert "dashed line" not in Path(built.path).read_text(), rule
