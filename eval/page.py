"""The report as one HTML page that needs no network: tables, charts as SVG, every error in its article."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.errors import Case, classify
from kayan.document import Document, Span

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

_TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("ar", "en")
# Parts with fewer gold mentions are greyed out.
LEAST = 30


def page(
    report: Mapping[str, Any], pairs: Sequence[tuple[Sequence[Document], Sequence[Document]]], language: str = "ar"
) -> str:
    """The page of a report (`eval.report.run`) and, for each of its data sets, the gold and predicted articles scored.

    Texts of articles stand in it as data and are set as text by the script, never as markup. Raises `ValueError` for an
    unknown language and ImportError naming the extra where jinja2 or matplotlib is missing.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise ImportError("the page needs jinja2 and matplotlib: pip install 'kayan[eval]'") from None
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}: the page speaks {', '.join(LANGUAGES)}")
    texts = json.loads((_TEMPLATES / f"{language}.json").read_text(encoding="utf-8"))
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    results = [
        {**result, "lines": lines(result), "charts": charts(result), "articles_json": as_data(articles(*pair))}
        for result, pair in zip(report["data"], pairs, strict=True)
    ]
    for result in results:
        result.setdefault("robustness", None)
        result.setdefault("speed", None)
    script_texts = {key: texts[key] for key in ("kinds", "gold", "predicted", "open", "found")}
    rendered = environment.get_template("report.html").render(
        report=report,
        results=results,
        t=texts,
        least=LEAST,
        css=_verbatim("report.css"),
        script=_verbatim("report.js"),
        texts_json=as_data(script_texts),
    )
    return rendered.lstrip()


def lines(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of the score table: a name and its strict, partial and type figures."""
    names = ("strict", "partial", "type")
    rows: list[Any] = [("all", *(result[f"character_span_{name}"]["micro"] for name in names))]
    for label in result["annotates"]:
        row = (label, *(result[f"character_span_{name}"]["per_type"][label] for name in names))
        if row[1]["gold"] or row[1]["predicted"]:
            rows.append(row)
    return rows


def articles(gold: Sequence[Document], predicted: Sequence[Document]) -> list[dict[str, Any]]:
    """What the script shows of the articles: id, text, and cases as [kind, gold, predicted], each mention as
    [start, end, label] with its score behind if it has one."""

    def brief(case: Case) -> list[Any]:
        return [case.kind, [_mention(span) for span in case.gold], [_mention(span) for span in case.predicted]]

    return [
        {"id": one.id, "text": one.text, "cases": [brief(case) for case in classify(one, found)]}
        for one, found in zip(gold, predicted, strict=True)
    ]


def _mention(span: Span) -> list[Any]:
    return [span.start, span.end, span.label, *([] if span.score is None else [round(span.score, 4)])]


def as_data(value: Any) -> Markup:
    """JSON that can stand inside a script element: no character in it opens or closes a tag or comment."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)


def _verbatim(name: str) -> Markup:
    from markupsafe import Markup

    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def charts(result: Mapping[str, Any]) -> dict[str, Markup]:
    """The charts of a data set as SVG, legible in print and without colour."""
    drawn: dict[str, Markup] = {"types": svg(lambda axes: _types(axes, result), 4.6, 2.6)}
    if result["calibration"] and result["calibration"]["curve"]:
        drawn["reliability"] = svg(lambda axes: _reliability(axes, result["calibration"]), 3.4, 3.2)
        drawn["threshold"] = svg(lambda axes: _threshold(axes, result["calibration"]), 3.8, 3.2)
    if result.get("robustness"):
        drawn["robustness"] = svg(lambda axes: _robustness(axes, result["robustness"]), 4.6, 3.4)
    return {name: drawn.get(name, "") for name in ("types", "reliability", "threshold", "robustness")}  # type: ignore[misc]


def svg(draw: Callable[[Axes], None], width: float, height: float) -> Markup:
    """One chart, `width` by `height` inches, without anything that changes from run to run."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {
        "svg.hashsalt": "kayan",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return Markup(text[text.index("<svg") :])


def _types(axes: Axes, result: Mapping[str, Any]) -> None:
    rows = lines(result)[::-1]
    places = range(len(rows))
    f1 = [row[1]["f1"] for row in rows]
    axes.barh(places, f1, color=["#1c1c1c" if row[0] == "all" else "#9fb8c8" for row in rows], height=0.62)
    intervals = [row[1].get("f1_interval_95") or (row[1]["f1"],) * 2 for row in rows]
    spread = [[max(0, value - low) for value, (low, _) in zip(f1, intervals, strict=True)]]
    spread.append([max(0, high - value) for value, (_, high) in zip(f1, intervals, strict=True)])
    axes.errorbar(f1, places, xerr=spread, fmt="none", ecolor="#c05a00", elinewidth=1.4, capsize=3)
    axes.set_yticks(places, [row[0] for row in rows])
    axes.set_xlim(0, 1)
    axes.grid(axis="x", alpha=0.3)


def _reliability(axes: Axes, calibration: Mapping[str, Any]) -> None:
    rows = calibration["reliability"]
    axes.plot([0, 1], [0, 1], color="#8a8a8a", linestyle=":", linewidth=1)
    sizes = [12 + 160 * row["predictions"] / calibration["predictions"] for row in rows]
    axes.plot([row["score"] for row in rows], [row["right"] for row in rows], color="#0a5a8a", linewidth=1)
    axes.scatter([row["score"] for row in rows], [row["right"] for row in rows], s=sizes, color="#0a5a8a", zorder=3)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="score", ylabel="right", aspect="equal")


def _threshold(axes: Axes, calibration: Mapping[str, Any]) -> None:
    curve = calibration["curve"]
    for name, style in (("precision", "-"), ("recall", "--"), ("f1", ":")):
        label = "F1" if name == "f1" else name
        axes.plot([point["threshold"] for point in curve], [point[name] for point in curve], style, label=label)
    for line, colour in zip(axes.lines, ("#0a5a8a", "#c05a00", "#1c1c1c"), strict=True):
        line.set_color(colour)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="threshold")
    axes.legend(frameon=False, loc="lower left")


def _robustness(axes: Axes, rows: Mapping[str, Any]) -> None:
    lost = {name: row["points_lost"] for name, row in rows.items() if name != "unchanged"}
    names = list(lost)[::-1]
    axes.barh(range(len(names)), [lost[name] for name in names], color="#9fb8c8", edgecolor="#1c1c1c", linewidth=0.6)
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.axvline(0, color="#1c1c1c", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
