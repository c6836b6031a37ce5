"""Put a note's generated sections in words: plain functions from what was measured to lines of markdown."""

from __future__ import annotations

from collections.abc import Sequence

from lab.notebook.figures import Figure
from lab.notebook.source import Attempt, NoteSource
from lab.notebook.words import elo_text, metric_text, number, percent, rate_text, table
from lab.stats import MatchCount
from lab.units import format_duration
from lab.verdict import PENDING, Outcome, Verdict

__all__ = [
    "decision",
    "figures",
    "finding",
    "head",
    "health",
    "protocol",
    "question",
    "results",
    "samples",
]

MAX_TABLE_ROWS = 60
MAX_TOLD_OUTCOMES = 2


def finding(source: NoteSource, verdict: Verdict) -> str:
    """The answer in one sentence, generated from the rule's outcome."""
    if verdict.word == PENDING:
        return "Not finished yet: some jobs have not ended, so the frozen rule has not been applied."
    if verdict.word == "exploratory":
        return "No decision rule was frozen before the run: the numbers below are descriptions, not tests."
    if verdict.word == "invalid":
        more = f" (and {len(verdict.reasons) - 1} more reasons)" if len(verdict.reasons) > 1 else ""
        return f"Nothing can be concluded: {verdict.reasons[0]}{more}."
    told = "; ".join(_condition_text(source, verdict, text) for text in dict.fromkeys(o.text for o in verdict.accept))
    ending = {
        "supported": "every condition of the frozen rule holds",
        "refuted": "the frozen rule is contradicted",
        "inconclusive": "the frozen rule is neither met nor contradicted",
    }[verdict.word]
    return f"{told[:1].upper()}{told[1:]}: {ending}."


def _condition_text(source: NoteSource, verdict: Verdict, text: str) -> str:
    """What became of one condition: in words if few jobs have it, else counted."""
    outcomes = [out for out in verdict.accept if out.text == text]
    if len(outcomes) <= MAX_TOLD_OUTCOMES:
        return "; ".join(outcome_text(source, out) for out in outcomes)
    against = sum(out.contradicted for out in outcomes)
    told = f"`{text}` holds in {sum(out.holds for out in outcomes)} of {len(outcomes)} jobs"
    return told + (f" and is contradicted in {against}" if against else "")


def outcome_text(source: NoteSource, out: Outcome) -> str:
    """One condition's outcome as part of a sentence."""
    if out.metric is None or out.compared is None:
        return f"`{out.text}` cannot be judged ({out.why})"
    attempt = next((item for item in source.attempts if item.job == out.job), None)
    if out.name == "winrate" and attempt is not None and len(attempt.matches) == 1:
        match = attempt.matches[0]
        arm = attempt.variant
        rate = match.rate
        interval = f"95 % interval {percent(rate.low)[:-2]} to {percent(rate.high)}, n = {rate.n}"
        who = f"{match.player} scores {percent(rate.value)} against {match.opponent}"
        return who + (f" with {arm}" if arm else "") + f" ({interval})"
    return f"{attempt.label if attempt else out.step}: {out.name} is {metric_text(out.metric, out.name)}"


def head(source: NoteSource, verdict: Verdict) -> list[str]:
    title = str(source.manifest.get("title") or source.exp)
    return [f"# {title}", "", f"**{verdict.word.capitalize()}.** {finding(source, verdict)}"]


def question(source: NoteSource) -> list[str]:
    protocol = source.protocol
    lines = ["## Question and hypothesis", "", str(protocol.get("question") or "–").strip(), ""]
    lines += [f"*Hypothesis, written before the run:* {str(protocol.get('hypothesis') or '–').strip()}"]
    if parents := protocol.get("parents"):
        lines += ["", f"Builds on: {', '.join(str(parent) for parent in parents)}."]
    if notes := protocol.get("notes"):
        lines += ["", str(notes).strip()]
    return lines


def decision(source: NoteSource, verdict: Verdict) -> list[str]:
    rule = source.manifest.get("decision") or source.protocol.get("decision") or {}
    lines = ["## Decision rule", ""]
    frozen = f"Frozen at {source.manifest.get('created', '?')}, before the first result"
    lines += [f"{frozen}; rule `{rule.get('rule', '?')}`, primary metric `{rule.get('primary', '–')}`."]
    outcomes = [("accept", out) for out in verdict.accept] + [("guard", out) for out in verdict.guards]
    if outcomes:
        rows = [
            (
                kind,
                f"`{out.text}`",
                "–" if out.compared is None else number(out.compared),
                "–" if out.metric is None or out.metric.n is None else out.metric.n,
                _outcome_word(kind, out),
                f"`{out.job}`" if out.job else "–",
            )
            for kind, out in outcomes
        ]
        lines += ["", *table(("Kind", "Condition", "Found", "n", "Outcome", "Job"), rows)]
    elif verdict.word == PENDING:
        conditions = [("accept", text) for text in rule.get("accept") or ()]
        conditions += [("guard", text) for text in rule.get("guards") or ()]
        lines += ["", *(f"- {kind}: `{text!s}`" for kind, text in conditions)]
    if verdict.word not in (PENDING, "exploratory"):
        lines += ["", f"Verdict: **{verdict.word}**."]
        if verdict.word == "invalid":
            lines += [f"- {reason}" for reason in verdict.reasons]
    return lines


def _outcome_word(kind: str, out: Outcome) -> str:
    if out.compared is None:
        return f"unknown: {out.why}"
    if out.holds:
        return "holds"
    if kind == "guard":
        return "failed"
    return "contradicted" if out.contradicted else "not shown"


def protocol(source: NoteSource, deviations: Sequence[str]) -> list[str]:
    lines = ["## Protocol as run", ""]
    accepted = {attempt.job: attempt for attempt in source.attempts}
    rows = []
    for job in source.jobs[:MAX_TABLE_ROWS]:
        attempt = accepted.get(job["job"])
        state = source.states.get(job["job"])
        what = job.get("task") or " ".join(str(part) for part in job.get("argv") or ())[:60]
        rows.append(
            (
                f"`{job['job']}`",
                f"`{what}`",
                job.get("seed", "–"),
                state[0].word if state else "unknown",
                format_duration(attempt.number("wall_s")) if attempt else "–",
                format_duration(float(job.get("time_limit_s") or 0)),
            )
        )
    lines += table(("Job", "Task", "Seed", "State", "Wall time", "Limit"), rows)
    if len(source.jobs) > MAX_TABLE_ROWS:
        lines += ["", f"{len(source.jobs) - MAX_TABLE_ROWS} more jobs are in the manifest."]
    if source.protocol_path:
        lines += ["", f"The protocol as submitted: [{source.protocol_path}]({source.protocol_path})."]
    lines += ["", "### Deviations", ""]
    lines += [f"- {text}" for text in deviations] or ["None: every job's first attempt was accepted."]
    return lines


def results(source: NoteSource) -> list[str]:
    lines = ["## Results"]
    matches = [(attempt, match) for attempt in source.attempts for match in attempt.matches]
    if matches:
        lines += ["", "### Matches", "", "Recounted by the lab from the results by colour.", ""]
        lines += table(
            ("Player", "Opponent", "n", "as Black W/L/D", "as White W/L/D", "Win rate (95 % Wilson)", "Elo (95 %)"),
            [_match_row(attempt, match) for attempt, match in matches[:MAX_TABLE_ROWS]],
        )
        conditions = sorted({f"{m.player} against {m.opponent}: {m.conditions}" for _, m in matches if m.conditions})
        lines += ["", *(f"- {text}" for text in conditions)]
        for attempt, match in matches:
            if match.no_result:
                share = f"{match.no_result} of {match.games} games"
                who = f"{_player(attempt, match)} against {match.opponent}"
                lines.append(f"- {who}: {share} ended without result and are not in n")
        pairs = [(attempt, match, match.pairs) for attempt, match in matches if match.pairs]
        if pairs:
            scores = sorted({score for _, _, counts in pairs for score, _ in counts}, reverse=True)
            lines += [
                "",
                "Colour-swapped pairs (one opening each, from both sides) by the player's points:",
                "",
            ]
            rows = [
                (f"{_player(a, m)} against {m.opponent}", *(dict(counts).get(s, 0) for s in scores))
                for a, m, counts in pairs
            ]
            lines += table(("Match", *(f"{score:g}" for score in scores)), rows)
    rows = [
        (
            f"`{name}`",
            attempt.label,
            metric_text(metric, name),
            metric.unit or "–",
            metric.method or "–",
        )
        for attempt in source.attempts
        for name, metric in attempt.metrics.items()
    ]
    if rows:
        lines += ["", "### Metrics", "", *table(("Metric", "Job", "Value", "Unit", "Method"), rows[:MAX_TABLE_ROWS])]
        if len(rows) > MAX_TABLE_ROWS:
            lines += ["", f"{len(rows) - MAX_TABLE_ROWS} more are in the jobs' result.json."]
    if len(lines) == 1:
        lines += ["", "No accepted result yet."]
    return lines


def _match_row(attempt: Attempt, match: MatchCount) -> tuple[str, ...]:
    wld = ["/".join(str(count) for count in side) for side in (match.black, match.white)]
    return (
        _player(attempt, match),
        match.opponent,
        str(match.rate.n),
        *wld,
        rate_text(match.rate),
        elo_text(match.rate),
    )


def _player(attempt: Attempt, match: MatchCount) -> str:
    return f"{match.player} ({attempt.variant})" if attempt.variant else match.player


def figures(drawn: Sequence[Figure]) -> list[str]:
    lines = ["## Figures"]
    for index, figure in enumerate(drawn, start=1):
        base = f"figures/{figure.name}"
        lines += ["", f"![{figure.title}]({base}.svg)", ""]
        lines += [f"**Figure {index}.** {figure.caption} ([PNG]({base}.png), [data]({base}.csv))"]
    return lines if drawn else [*lines, "", "No job declared a curve or a match."]


def health(source: NoteSource, verdict: Verdict, problems: Sequence[str]) -> list[str]:
    lines = ["## Health", ""]
    if verdict.guards:
        for out in verdict.guards:
            mark = "✓" if out.holds else "✗"
            found = f"found {number(out.compared)}" if out.compared is not None else out.why
            lines.append(f"- {mark} `{out.text}`: {found}" + (f" in `{out.job}`" if out.job else ""))
    else:
        lines.append("- The protocol names no guards.")
    recounted = sum(len(attempt.matches) for attempt in source.attempts)
    if problems:
        lines += [f"- ✗ {problem}" for problem in problems]
    elif recounted:
        count = f"{recounted} match" + ("es" if recounted != 1 else "")
        lines.append(f"- ✓ The lab's recount agrees with the tasks' own figures ({count}).")
    if source.missing and source.ended:
        lines.append(f"- ✗ {len(source.missing)} jobs without an accepted result.")
    return lines


def samples(copied: Sequence[tuple[str, str, Sequence[str]]]) -> list[str]:
    """`copied`: (title, file in the experiment's folder, lines of text for it; none where the link is enough)."""
    lines = ["## Sample games"]
    listed = False
    for title, path, text in copied:
        if text:
            lines += ["", f"[{title}]({path})", "", "```text", *(line.replace("```", "'''") for line in text), "```"]
        else:
            lines += [*([] if listed else [""]), f"- [{title}]({path})"]
        listed = not text
    return lines if copied else [*lines, "", "None."]
