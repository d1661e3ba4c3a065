"""The report as one HTML page that needs no network: tables, charts as SVG, every error in its article."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.errors import classify
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
    Raises as `render` does."""
    texts = read_texts(language)
    kinds = {name: text[0] for name, text in texts["kinds"].items()}
    results = []
    for result, (gold, predicted) in zip(report["data"], pairs, strict=True):
        shown = [
            {
                "id": one.id,
                "text": one.text,
                "cases": [brief(c.kind, c.gold, c.predicted) for c in classify(one, found)],
            }
            for one, found in zip(gold, predicted, strict=True)
        ]
        data = browsed({"gold": texts["gold"], "predicted": texts["predicted"]}, kinds, ["correct"], shown)
        more = {"lines": lines(result), "charts": charts(result), "browse_json": data, "kinds": kinds}
        cost = {**result.get("speed", {}), **report.get("cost", {})}
        results.append({"robustness": None, **result, **more, "cost": cost})
    return render("report.html", texts, report=report, results=results, least=LEAST)


def read_texts(language: str) -> dict[str, Any]:
    """What pages say in a language. Raises `ValueError` for one that they do not speak."""
    if language not in LANGUAGES:
        raise ValueError(f"unknown language {language!r}: the page speaks {', '.join(LANGUAGES)}")
    texts: dict[str, Any] = json.loads((_TEMPLATES / f"{language}.json").read_text(encoding="utf-8"))
    return texts


def render(template: str, texts: Mapping[str, Any], **values: Any) -> str:
    """A page from a template. Texts of articles stand in it as data and are set as text by the script, never as markup.

    Raises ImportError naming the extra where jinja2 is missing.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise ImportError("the page needs jinja2 and matplotlib: pip install 'kayan[eval]'") from None
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rendered = environment.get_template(template).render(
        t=texts,
        css=_verbatim("report.css"),
        script=_verbatim("report.js"),
        texts_json=as_data({key: texts[key] for key in ("open", "found")}),
        **values,
    )
    return rendered.lstrip()


def browsed(
    sides: Mapping[str, str], kinds: Mapping[str, str], quiet: Sequence[str], articles: Sequence[Mapping[str, Any]]
) -> Markup:
    """The data of a list of mentions: its sides (a class of the style sheet → a name), its kinds of cases with the names
    that they bear, those not shown at first, and the articles with their id, text and cases (`brief`)."""
    return as_data({"sides": list(sides.items()), "kinds": kinds, "quiet": quiet, "articles": articles})


def brief(kind: str, *sides: Sequence[Span]) -> list[Any]:
    """A case: its kind, then each side's mentions as [start, end, label], with their score behind if they have one."""
    return [kind, *([_mention(span) for span in spans] for spans in sides)]


def lines(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The rows of the score table: a name and its strict, partial and type figures."""
    names = ("strict", "partial", "type")
    rows: list[Any] = [("all", *(result[f"character_span_{name}"]["micro"] for name in names))]
    for label in result["annotates"]:
        row = (label, *(result[f"character_span_{name}"]["per_type"][label] for name in names))
        if row[1]["gold"] or row[1]["predicted"]:
            rows.append(row)
    return rows


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


def charts(result: Mapping[str, Any]) -> dict[str, Markup | str]:
    """The charts of a data set as SVG, legible in print and without colour."""
    drawn: dict[str, Markup | str] = {"types": svg(lambda axes: _types(axes, result), 4.6, 2.6)}
    if result["calibration"] and result["calibration"]["curve"]:
        drawn["reliability"] = svg(lambda axes: _reliability(axes, result["calibration"]), 3.4, 3.2)
        drawn["threshold"] = svg(lambda axes: _threshold(axes, result["calibration"]), 3.8, 3.2)
    if result.get("robustness"):
        drawn["robustness"] = svg(lambda axes: _robustness(axes, result["robustness"]), 4.6, 3.4)
    return {name: drawn.get(name, "") for name in ("types", "reliability", "threshold", "robustness")}


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
    rows: list[Any] = lines(result)[::-1]
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
