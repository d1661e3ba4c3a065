"""The page of the web service in a real browser; passed over where Chromium and its driver are not installed."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("selenium")

from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from kayan.document import Document, Span
from kayan.formats import jsonl
from kayan.server import Settings, create_app, run
from tests.serving import POLICY, Quick, soon
from tests.test_browser import browser, visible

__all__ = ["browser"]  # the fixture

TEXT = "😀 زار كريم الوزاني مدينة طنجة.\n\nوقال كريم الوزاني إن مقر منظمة الصحة العالمية ببركان، وعرض للأمم المتحدة تقريرا بطنجة."
HOSTILE = 'زار كريم الوزاني <img src=x onerror="alert(1)"> و</script><script>alert(2)</script> &amp; طنجة'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    settings = Settings(port=0, batch_wait_ms=0)
    app = create_app(POLICY, Quick, settings, "quick")
    thread = threading.Thread(target=run, args=(app, settings), daemon=True)
    thread.start()
    soon(lambda: app.state.batcher.ready and hasattr(app.state, "url"))
    yield app.state.url
    app.state.stop()
    thread.join(20)


@pytest.fixture
def page(browser: Any, url: str, tmp_path: Path) -> Iterator[Any]:
    """The page, fresh, in Arabic; afterwards its console must be empty."""
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    browser.get("about:blank")
    browser.get(url)
    browser.execute_script("unsaved = false; localStorage.clear()")
    browser.refresh()
    soon(lambda: "quick" in browser.find_element(By.ID, "model").text)
    browser.get_log("browser")
    yield browser
    browser.execute_script("unsaved = false")  # so that nothing asks whether to leave
    trouble = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert trouble == []


def by_id(page: Any, name: str) -> Any:
    return page.find_element(By.ID, name)


def tag(page: Any, text: str = TEXT) -> None:
    """Types the text as a paste does, and waits for its marks."""
    by_id(page, "text").clear()
    page.execute_cdp_cmd("Input.insertText", {"text": ""})
    by_id(page, "text").click()
    page.execute_cdp_cmd("Input.insertText", {"text": text})
    by_id(page, "tag").click()
    soon(lambda: by_id(page, "tag").is_enabled())
    assert by_id(page, "result").is_displayed()


def marks(page: Any) -> list[tuple[str, str]]:
    """Mentions and types as they are shown."""
    return [(mark.text, mark.get_attribute("aria-label").split("، ")[1]) for mark in visible(page, "mark[role]")]


def mark(page: Any, text: str, number: int = 0) -> Any:
    return [one for one in visible(page, "mark[role]") if one.text == text][number]


def count(page: Any, label: str) -> str:
    return str(page.find_element(By.CSS_SELECTOR, f"#legend [data-label={label}] .count").text)


def slide(page: Any, value: float) -> None:
    page.execute_script(
        "const s = document.getElementById('threshold'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'));",
        value,
    )
    time.sleep(0.1)


def press(page: Any, *keys: str, held: str = "") -> None:
    actions = ActionChains(page)
    for key in held:
        actions.key_down(key)
    actions.send_keys(*keys)
    for key in held:
        actions.key_up(key)
    actions.perform()


def drawn(page: Any) -> Any:
    """What stands in the article, and how much of it is marked."""
    return page.execute_script(
        "return [...document.querySelectorAll('#article > p')].map((p) => [...p.childNodes].map((n) =>"
        "[n.nodeName, n.textContent, n.span?.start, n.className, n.role]))"
    )


def exported(page: Any, tmp_path: Path) -> list[Document]:
    before = set(tmp_path.glob("*.jsonl"))
    by_id(page, "export").click()
    # Chromium makes the file before it writes it.
    soon(lambda: [path for path in set(tmp_path.glob("*.jsonl")) - before if path.stat().st_size])
    [path] = set(tmp_path.glob("*.jsonl")) - before
    return jsonl.read(path)


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(span.text, span.label) for span in document.spans]


def test_an_article_is_marked_counted_and_listed(page: Any) -> None:
    tag(page)
    assert marks(page) == [
        ("كريم الوزاني", "شخص"),
        ("كريم الوزاني", "شخص"),
        ("منظمة الصحة العالمية", "مؤسسة"),
        ("لأمم المتحدة", "مؤسسة"),
    ]
    assert [count(page, label) for label in ("PER", "ORG", "LOC", "DATE")] == ["2", "2", "0", "0"]
    names = [row.text.split("\n") for row in visible(page, "#names li")]
    assert names == [["كريم الوزاني", "×2 · 0.90"], ["منظمة الصحة العالمية", "0.70"], ["الأمم المتحدة", "0.70"]]
    assert by_id(page, "live").get_attribute("textContent") == "الأسماء الظاهرة: 4"
    assert page.switch_to.active_element.get_attribute("id") == "result-title", "a screen reader goes on there"
    letters = {mark.get_attribute("data-letter") for mark in visible(page, "mark[role]")}
    assert letters == {"ش", "م"}, "a letter beside the colour"
    shown = page.execute_script(
        "return [...document.querySelectorAll('#article > p')].map(p => p.textContent).join('\\n')"
    )
    assert shown == TEXT


def test_the_slider_and_the_legend_filter(page: Any) -> None:
    tag(page)
    slide(page, 0)
    assert [name for name, kind in marks(page) if kind == "مكان"] == ["طنجة", "طنجة"]
    assert count(page, "LOC") == "2"
    slide(page, 0.8)
    assert marks(page) == [("كريم الوزاني", "شخص")] * 2
    slide(page, 0)
    button = page.find_element(By.CSS_SELECTOR, "#legend [data-label=PER]")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert "شخص" not in {kind for _, kind in marks(page)}
    assert count(page, "PER") == "2", "the count stays"
    assert by_id(page, "total").text == "4"
    button.send_keys(Keys.SPACE)
    assert len(marks(page)) == 6
    by_id(page, "search").send_keys("المتحدة")
    assert [row.text.split("\n")[0] for row in visible(page, "#names li")] == ["الأمم المتحدة"]


def test_a_name_in_the_list_leads_from_mention_to_mention(page: Any) -> None:
    tag(page)
    button = visible(page, "#names li button")[0]
    for number in (0, 1, 0):
        button.click()
        assert page.switch_to.active_element == mark(page, "كريم الوزاني", number)


def test_corrections_by_mouse(page: Any, tmp_path: Path) -> None:
    tag(page)
    mark(page, "منظمة الصحة العالمية").click()
    [editor] = visible(page, "#editor")
    assert "0.70" in editor.text
    editor.find_element(By.CSS_SELECTOR, "[data-label=EVENT]").click()
    assert ("منظمة الصحة العالمية", "حدث") in marks(page)
    assert visible(page, "#editor") == []

    mark(page, "كريم الوزاني").click()
    by_id(page, "remove").click()
    assert marks(page).count(("كريم الوزاني", "شخص")) == 1

    # A double click selects the word «ببركان»; the particle is then moved out.
    box = page.execute_script(
        "const range = document.createRange(); const at = article.text.indexOf('ببركان');"
        "range.setStart(...pointAt(at)); range.setEnd(...pointAt(at + 6)); const r = range.getBoundingClientRect();"
        "scrollBy(0, r.top - 400); const s = range.getBoundingClientRect();"
        "return [Math.round(s.left + s.width / 2), Math.round(s.top + s.height / 2)]"
    )
    place = ActionChains(page)
    place.w3c_actions.pointer_action.move_to_location(*box)
    place.double_click().perform()
    soon(lambda: visible(page, "#editor"))
    assert by_id(page, "editor-text").text == "ببركان"
    page.find_element(By.CSS_SELECTOR, "#types [data-label=LOC]").click()
    mark(page, "ببركان").click()
    page.find_element(By.CSS_SELECTOR, "[data-edge=start][data-step='1']").click()
    assert by_id(page, "editor-text").text == "بركان"
    by_id(page, "close").click()
    assert "التصحيحات: 3" in by_id(page, "corrections").text

    [document] = exported(page, tmp_path)
    assert document.text == TEXT
    assert mentions(document) == [
        ("كريم الوزاني", "PER"),
        ("منظمة الصحة العالمية", "EVENT"),
        ("بركان", "LOC"),
        ("لأمم المتحدة", "ORG"),
    ]
    assert document.spans[0].start == TEXT.index("كريم", 20), "code points: the emoji is one"
    assert document.meta == {"tagger": "quick 0.1.0", "threshold": 0.5, "corrections": 3}


def test_corrections_by_keyboard(page: Any, tmp_path: Path) -> None:
    tag(page)
    mark(page, "كريم الوزاني").send_keys(Keys.ARROW_LEFT)
    second = page.switch_to.active_element
    assert second == mark(page, "كريم الوزاني", 1), "left is forward in Arabic"
    press(page, "5")
    assert marks(page)[1] == ("كريم الوزاني", "تاريخ")
    assert page.switch_to.active_element.text == "كريم الوزاني", "focus stays"
    press(page, Keys.ARROW_DOWN, Keys.DELETE)
    assert ("منظمة الصحة العالمية", "مؤسسة") not in marks(page)
    assert page.switch_to.active_element.text == "لأمم المتحدة"
    press(page, Keys.HOME)
    assert page.switch_to.active_element == mark(page, "كريم الوزاني")
    press(page, Keys.ENTER)
    assert visible(page, "#editor")
    assert page.switch_to.active_element.get_attribute("data-label") == "PER"
    press(page, Keys.ESCAPE)
    assert visible(page, "#editor") == []
    assert page.switch_to.active_element == mark(page, "كريم الوزاني")
    press(page, Keys.ARROW_LEFT, held=Keys.SHIFT)
    assert marks(page)[0] == ("كريم الوزاني مدينة", "شخص"), "the end by a word"
    press(page, "z", held=Keys.CONTROL)
    assert marks(page)[0] == ("كريم الوزاني", "شخص")

    press(page, Keys.END)
    press(page, "n")
    assert page.execute_script("return getSelection().toString()") == "تقريرا"
    press(page, Keys.ARROW_LEFT)
    assert page.execute_script("return getSelection().toString()") == "بطنجة"
    assert by_id(page, "live").get_attribute("textContent") == "بطنجة", "a screen reader hears it"
    press(page, Keys.ARROW_LEFT, held=Keys.CONTROL + Keys.SHIFT)
    assert page.execute_script("return getSelection().toString()") == "طنجة"
    press(page, "3")
    assert marks(page)[-1] == ("طنجة", "مكان")
    [document] = exported(page, tmp_path)
    assert mentions(document) == [
        ("كريم الوزاني", "PER"),
        ("كريم الوزاني", "DATE"),
        ("لأمم المتحدة", "ORG"),
        ("طنجة", "LOC"),
    ]


def test_undo_takes_every_correction_back(page: Any, tmp_path: Path) -> None:
    tag(page)
    before, whole = marks(page), drawn(page)
    first = mark(page, "كريم الوزاني")
    first.send_keys("2")
    press(page, Keys.DELETE)
    press(page, "4")
    page.execute_script("select({ start: article.text.indexOf('طنجة'), end: article.text.indexOf('إن مقر') })")
    press(page, "1")
    assert mentions(exported(page, tmp_path)[0])[0] == ("طنجة.\n\nوقال كريم الوزاني", "PER"), "over lines too"
    changed = drawn(page)
    page.execute_script("draw()")
    assert drawn(page) == changed, "changed in place as if all were drawn anew"
    assert by_id(page, "undo").is_enabled()
    for _ in range(4):
        by_id(page, "undo").click()
    assert marks(page) == before
    assert drawn(page) == whole
    assert not by_id(page, "undo").is_enabled()
    assert by_id(page, "corrections").text == ""


def test_corrected_articles_are_exported_together(page: Any, tmp_path: Path) -> None:
    tag(page)
    mark(page, "كريم الوزاني").send_keys("2")
    tag(page, "زار كريم الوزاني فاس.")
    mark(page, "كريم الوزاني").send_keys(Keys.DELETE)
    documents = exported(page, tmp_path)
    assert [len(document.spans) for document in documents] == [4, 0]
    assert documents[0].spans[0].label == "ORG"


def test_a_file_is_tagged_as_it_is(page: Any, tmp_path: Path) -> None:
    file = tmp_path / "مقال.txt"
    text = "زار كريم الوزاني\r\n\r\nمقر منظمة الصحة العالمية\r\n"
    file.write_bytes(text.encode("utf-8-sig"))
    by_id(page, "file").send_keys(str(file))
    soon(lambda: by_id(page, "text").get_attribute("value"))
    by_id(page, "tag").click()
    soon(lambda: visible(page, "mark[role]"))
    assert [name for name, _ in marks(page)] == ["كريم الوزاني", "منظمة الصحة العالمية"]
    [document] = exported(page, tmp_path)
    assert (document.id, document.text) == ("مقال", text)
    assert document.spans == (Span(4, 16, "PER"), Span(24, 44, "ORG"))
    file.write_bytes(b"\xff\xfe\x00")
    by_id(page, "file").send_keys(str(file))
    soon(lambda: visible(page, "#alert"))
    assert "UTF-8" in by_id(page, "alert").text


def test_hostile_text_stays_text(page: Any, tmp_path: Path) -> None:
    tag(page, HOSTILE)
    assert by_id(page, "article").text.replace("\n", " ") == HOSTILE
    assert page.find_elements(By.CSS_SELECTOR, "#result img, #result script") == []
    page.execute_script("select({ start: 17, end: article.text.length })")
    press(page, "6")
    assert page.find_elements(By.CSS_SELECTOR, "#result img, #editor img, #names img") == []
    assert mentions(exported(page, tmp_path)[0])[1][0].startswith("<img")


@pytest.mark.parametrize("lines", [1, 400], ids=["in one line", "in paragraphs"])
def test_twenty_thousand_words_stay_usable(page: Any, lines: int) -> None:
    sentence = "زار كريم الوزاني منظمة الصحة العالمية ثم طنجة وفاس ومراكش. "
    text = "\n".join([sentence * (2000 // lines)] * lines)
    page.execute_script("put(arguments[0], 'long')", text)
    assert re.search(r"\b20[.,]000 كلمة", by_id(page, "size").text)
    by_id(page, "tag").click()
    soon(lambda: by_id(page, "total").text, 60)
    slide(page, 0)
    assert len(page.find_elements(By.CSS_SELECTOR, "mark[role]")) == 10_000
    took = page.execute_async_script(
        """const done = arguments[0], took = {}, time = (name, f) => { const t = performance.now(); f();
             document.body.getBoundingClientRect(); took[name] = Math.round(performance.now() - t); };
        time("threshold", () => { article.threshold = 0.5; refresh(); });
        time("filter", () => toggle("PER"));
        time("filter back", () => toggle("PER"));
        time("correct", () => assign("EVENT", { ...article.spans[0], span: article.spans[0] }));
        time("export", () => asJsonl());
        requestAnimationFrame(() => done(took));"""
    )
    print(took)
    assert max(took.values()) < 5000, took


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", ["ar", "en"])
def test_nothing_is_wider_than_the_window(page: Any, width: int, scheme: str, language: str) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        if language == "en":
            by_id(page, "language").click()
        tag(page)
        page.execute_script("document.getElementById('help').open = true")
        mark(page, "منظمة الصحة العالمية").click()
        [editor] = visible(page, "#editor")
        box = editor.rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        root = "document.documentElement"
        assert page.execute_script(f"return {root}.scrollWidth - {root}.clientWidth") <= 0
        assert page.execute_script(f"return [{root}.lang, {root}.dir]") == [
            language,
            "rtl" if language == "ar" else "ltr",
        ]
        paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (scheme == "dark")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_can_be_read(page: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colours = page.execute_script(
        """const probe = document.createElement("i"); document.body.append(probe);
        const read = (name) => { probe.style.setProperty("color", `var(--${name})`); return getComputedStyle(probe).color; };
        const pairs = [["ink", "paper"], ["soft", "paper"], ["soft", "tint"], ["bad", "paper"], ["on", "link"]];
        for (let i = 0; i < 8; i++) pairs.push(["ink", `b${i}`], ["on", `c${i}`]);
        const result = pairs.map(([a, b]) => [`${a} on ${b}`, read(a), read(b)]); probe.remove(); return result;"""
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for name, one, other in colours:
        low, high = sorted([light(one), light(other)])
        assert (high + 0.05) / (low + 0.05) >= 4.5, name  # WCAG 2.2, 1.4.3


def test_everything_has_a_name(page: Any) -> None:
    tag(page)
    mark(page, "كريم الوزاني").click()
    nameless = page.execute_script(
        """return [...document.querySelectorAll("button, input, textarea, [role=button], [role=group], [role=dialog]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length
            || document.getElementById(e.getAttribute("aria-labelledby")))).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    slide(page, 0)
    stops = page.find_elements(By.CSS_SELECTOR, "#article [tabindex='0']")
    assert len(stops) == 1, "the marks are one stop of the tab key"


def test_refusals_are_told_in_the_language_of_the_page(page: Any) -> None:
    page.execute_script("put('ا'.repeat(200001), '')")
    assert "over" in by_id(page, "size").get_attribute("class")
    by_id(page, "tag").click()
    soon(lambda: visible(page, "#alert"))
    assert by_id(page, "alert").text == "المقال أطول من 200.000 محرف؛ قسّمه."
    page.execute_script("put('', '')")
    by_id(page, "tag").click()
    assert by_id(page, "alert").text == "لا نص لاستخراج أسمائه."
    [entry] = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert "413" in entry["message"]


def test_what_is_shown_can_be_copied_and_downloaded(page: Any, tmp_path: Path) -> None:
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    tag(page)
    by_id(page, "copy").click()
    soon(lambda: by_id(page, "copy").text == "نُسخ")
    copied = page.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    by_id(page, "download").click()
    soon(lambda: [path for path in tmp_path.glob("*.json") if path.stat().st_size])
    [path] = tmp_path.glob("*.json")
    assert path.read_text(encoding="utf-8") == copied
    record = json.loads(copied)
    assert record["text"] == TEXT
    assert [span["name"] for span in record["spans"]][-1] == "الأمم المتحدة"
    assert all(TEXT[span["start"] : span["end"]] == span["text"] for span in record["spans"])


def test_leaving_with_unexported_corrections_is_asked_about(page: Any, tmp_path: Path) -> None:
    asks: Callable[[], Any] = lambda: page.execute_script(  # noqa: E731
        "const e = new Event('beforeunload', { cancelable: true }); dispatchEvent(e); return e.defaultPrevented"
    )
    tag(page)
    assert not asks()
    mark(page, "كريم الوزاني").send_keys("2")
    assert asks()
    exported(page, tmp_path)
    assert not asks()
