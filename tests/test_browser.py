"""The pages in a real browser; passed over where Chromium and its driver are not installed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("jinja2")
pytest.importorskip("selenium")

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from eval.compare import page as compare_page
from eval.page import page
from eval.report import judge
from kayan.corpus import Corpus
from kayan.document import Document, Span
from kayan.schema import Schema
from kayan.scoring import SpanScorer
from tests.test_page import HOSTILE

ARTICLES = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not program or not driver:
        pytest.skip("no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
        "--force-prefers-reduced-motion",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield session
    session.quit()


@pytest.fixture(scope="module")
def judged() -> tuple[Corpus, list[Document]]:
    """Articles whose name is found and whose place is missed; the second of them carries markup."""
    text = "زار علي مدينة فاس رقم {}"
    gold = [
        Document(text.format(i), [Span(4, 7, "PER"), Span(14, 17, "LOC")], f"n{i}", {"source": "a"})
        for i in range(ARTICLES)
    ]
    gold[1] = Document(HOSTILE, [Span(4, 7, "PER")], "hostile", {"source": "b"})
    found = [one.with_spans([Span(4, 7, "PER", 0.5 + i / 200)]) for i, one in enumerate(gold)]
    return Corpus("x", tuple(gold), sha256="0" * 64), found


def opened(browser: Any, path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    browser.get(path.as_uri())
    trouble = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert trouble == []


def visible(browser: Any, selector: str) -> list[Any]:
    return [element for element in browser.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]


def test_filters_and_the_article_view(browser: Any, judged: Any, tmp_path: Path) -> None:
    corpus, found = judged
    result = judge(corpus, found, Schema(("PER", "LOC")))
    report = {"checkpoint": "tiny", "kayan": "0", "threshold": 0.0, "data": [result]}
    opened(browser, tmp_path / "report.html", page(report, [(corpus.documents, found)]))

    assert len(visible(browser, "ol.cases li")) == 50, "errors alone, fifty at first"
    [more] = visible(browser, "button.more")
    more.click()
    assert len(visible(browser, "ol.cases li")) == ARTICLES - 1
    kind, label = (Select(visible(browser, f"select[name={name}]")[0]) for name in ("kind", "type"))
    kind.select_by_value("correct")
    assert "50" in visible(browser, "output")[0].text
    label.select_by_visible_text("LOC")
    assert visible(browser, "ol.cases li") == []
    kind.select_by_value("*")
    assert len(visible(browser, "ol.cases li")) == 50
    label.select_by_value("")
    search = visible(browser, "input[name=words]")[0]
    search.send_keys("علي")
    assert all("علي" in item.text for item in visible(browser, "ol.cases li"))
    search.clear()
    search.send_keys("لا شيء")
    assert visible(browser, "ol.cases li") == []

    visible(browser, "button[data-kind=missed]")[0].click()
    assert kind.first_selected_option.get_attribute("value") == "missed"
    browser.execute_script("document.querySelector('input[name=words]').value = ''")
    kind.select_by_value("*")
    visible(browser, "ol.cases li button")[2].click()
    [dialog] = visible(browser, "dialog[open]")
    assert dialog.find_element(By.TAG_NAME, "h3").text == "hostile"
    assert HOSTILE.split(" ", 2)[2][:20] in dialog.text.replace("\n", " "), "markup is text"
    visible(browser, "dialog .next")[0].click()
    assert dialog.find_element(By.TAG_NAME, "h3").text == "n2"
    dialog.send_keys(Keys.ESCAPE)
    assert visible(browser, "dialog[open]") == []


def test_excerpts_hold_whole_words(browser: Any, tmp_path: Path) -> None:
    text = " ".join(["قبلها", "كلام"] * 30) + " زار علي فاس " + " ".join(["وبعدها", "كلام"] * 30)
    at = text.index("علي")
    gold = Document(text, [Span(at, at + 3, "PER")], "n1")
    result = judge(Corpus("x", (gold,), sha256="0" * 64), [gold.with_spans([])], Schema(("PER", "LOC")))
    report = {"checkpoint": "tiny", "kayan": "0", "threshold": 0.0, "data": [result]}
    opened(browser, tmp_path / "report.html", page(report, [(Corpus("x", (gold,)).documents, [gold.with_spans([])])]))
    [excerpt] = visible(browser, "ol.cases .text")
    shown = browser.execute_script("return arguments[0].textContent", excerpt)
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert set(shown.replace("PER", "").split()) == {"…", "قبلها", "كلام", "زار", "علي", "فاس", "وبعدها"}


def test_tables_sort_by_keyboard(browser: Any, judged: Any, tmp_path: Path) -> None:
    corpus, found = judged
    result = judge(corpus, found, Schema(("PER", "LOC")))
    report = {"checkpoint": "tiny", "kayan": "0", "threshold": 0.0, "data": [result]}
    opened(browser, tmp_path / "report.html", page(report, [(corpus.documents, found)], "en"))
    table = browser.find_element(By.CSS_SELECTOR, "table.sortable")
    head = table.find_elements(By.CSS_SELECTOR, "thead th")[5]
    button = head.find_element(By.TAG_NAME, "button")
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    names = [row.text.split()[0] for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert names == ["PER", "all", "LOC"]
    button.send_keys(Keys.ENTER)
    names = [row.text.split()[0] for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert names == ["LOC", "all", "PER"]


@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_is_wider_than_the_window(browser: Any, judged: Any, tmp_path: Path, width: int) -> None:
    corpus, found = judged
    result = judge(corpus, found, Schema(("PER", "LOC")))
    report = {"checkpoint": "tiny", "kayan": "0", "threshold": 0.0, "data": [result]}
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    opened(browser, tmp_path / "report.html", page(report, [(corpus.documents, found)]))
    wide = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 0


def test_a_comparison_lists_who_alone_is_right(browser: Any, judged: Any, tmp_path: Path) -> None:
    corpus, found = judged
    scorer = SpanScorer(("PER", "LOC"))
    for one, other in zip(corpus.documents, found, strict=True):
        scorer.add(one, other)
    row = {"gold": 1, "f1": [0.5, 1.0], "difference": 0.5, "interval": [0.4, 0.6], "p": 0.01, "p_holm": 0.01}
    micro = {"f1": 0.5, "f1_interval_95": [0.4, 0.6]}
    result = {
        "data": "x.jsonl",
        "name": "x",
        "sha256": "0" * 64,
        "articles": ARTICLES,
        "words": 1,
        "types": ["PER", "LOC"],
        "scores": {name: {"micro": micro} for name in "ab"},
        "pairs": [{"first": "a", "second": "b", "figures": {"all": row, "LOC": row}}],
    }
    report = {"kayan": "0", "threshold": 0.0, "systems": ["a", "b"], "cost": [{}, {}], "data": [result]}
    opened(browser, tmp_path / "c.html", compare_page(report, [corpus], [[found], [list(corpus.documents)]], "en"))
    assert "only b" in visible(browser, "ol.cases li")[0].text
    data = json.loads(browser.find_element(By.CSS_SELECTOR, "section.browse script").get_attribute("textContent"))
    assert len(data["articles"]) == ARTICLES
    visible(browser, "button[data-kind=both]")[0].click()
    assert all("both" in item.text for item in visible(browser, "ol.cases li"))
