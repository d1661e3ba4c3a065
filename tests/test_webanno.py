from pathlib import Path

import pytest
from hypothesis import given, settings

from kayan.document import Document, Span
from kayan.formats import FormatError, webanno
from tests.conftest import marked
from tests.strategies import documents

# An export of INCEpTION: a feature that nobody filled, a mention of two tokens, stacked ones, parts of a token, an emoji
# of two UTF-16 units before the second sentence, a carriage return at the end of a line.
EXPORT = (Path(__file__).parent / "fixtures" / "inception.tsv").read_text(encoding="utf-8")
TEXT = "عاد وفد جامعة فاس 😀 .\r\nوبمراكش ، \\_[\nانتهى"
ENTITY = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|value"


def save(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def body(*rows: str, layer: str = ENTITY) -> str:
    return "\n".join(["#FORMAT=WebAnno TSV 3.3", layer, "", "", *rows, ""])


def test_an_export_of_inception(tmp_path: Path) -> None:
    [document] = webanno.read(save(tmp_path / "خبر.tsv", EXPORT))
    assert (document.text, document.id, document.meta) == (TEXT, "خبر", {})
    assert [(span.text, span.label) for span in document.spans] == [
        ("جامعة فاس", "ORG"),
        ("فاس", "LOC"),
        ("مر", "a|b_c"),
        ("مراكش", "LOC"),
    ]
    assert webanno.read(save(tmp_path / "crlf.tsv", EXPORT.replace("\n", "\r\n")))[0].text == TEXT


def test_what_is_written(tmp_path: Path) -> None:
    document = marked("😀 زار [PER كريم الوزاني] ب[LOC فاس].\n  ثم عاد", "ع-1")
    webanno.write(tmp_path / "a.tsv", [document])
    assert (tmp_path / "a.tsv").read_text(encoding="utf-8") == body(
        '#kayan={"id": "ع-1"}',
        "#Text=😀 زار كريم الوزاني بفاس.",
        "1-1	0-2	😀	_	",
        "1-2	3-6	زار	_	",
        "1-3	7-11	كريم	PER[1]	",
        "1-4	12-19	الوزاني	PER[1]	",
        "1-5	20-24	بفاس	_	",
        "1-5.1	21-24	فاس	LOC	",
        "1-6	24-25	.	_	",
        "",
        "#Text=ثم عاد",
        "2-1	28-30	ثم	_	",
        "2-2	31-34	عاد	_	",
    )
    assert webanno.read(tmp_path / "a.tsv") == [document]


def test_a_folder_of_articles(tmp_path: Path, articles: list[Document]) -> None:
    odd = [Document("فاس", (), name, {"date": "2025-11-03"}) for name in ("2025/11/03", "..", "", "%", "أ" * 50)]
    webanno.write(tmp_path / "all", [*articles, *odd])
    again = webanno.read(tmp_path / "all")
    assert sorted(again, key=lambda d: d.id) == sorted([*articles, *odd], key=lambda d: d.id)
    assert {"2025%2F11%2F03.tsv", "%2E..tsv", "%.tsv", "%25.tsv", "tiny-0.tsv"} < {
        p.name for p in (tmp_path / "all").iterdir()
    }
    assert next(d for d in again if d.id == "..").meta == {"date": "2025-11-03"}


@given(documents(minimum=1, visible=True))
@settings(max_examples=150, deadline=None)
def test_any_article_survives(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    if not document.text.strip():
        return
    path = tmp_path_factory.mktemp("webanno") / "a.tsv"
    webanno.write(path, [document])
    assert webanno.read(path) == [document]
    # INCEpTION passes over the line of kayan's own, and gives spaces for what stands before the first token.
    plain = "".join(line for line in path.open(encoding="utf-8", newline="\n") if not line.startswith("#kayan="))
    [again] = webanno.read(save(path, plain))
    assert again.text.lstrip() == document.text.lstrip()
    assert again.spans == document.spans


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_a_token_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="article 'x' has no visible character"):
        webanno.write(tmp_path / "a.tsv", [Document(text, (), "x")])
    assert not list(tmp_path.iterdir())


def test_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"article 'x': ' فاس' at 2.*white space"):
        webanno.write(tmp_path / "a.tsv", [Document("في فاس", [Span(2, 6, "LOC")], "x")])
    with pytest.raises(ValueError, match="holds one article, not 2; name a folder"):
        webanno.write(tmp_path / "a.tsv", [marked("فاس", "a"), marked("فاس", "b")])
    with pytest.raises(ValueError, match="article 'a' is there twice"):
        webanno.write(tmp_path / "all", [marked("فاس", "A"), marked("فاس", "a")])
    webanno.write(tmp_path / "all", [marked("فاس", "a")])
    with pytest.raises(ValueError, match=r"holds other articles, a\.tsv for one"):
        webanno.write(tmp_path / "all", [marked("فاس", "b")])
    with pytest.warns(UserWarning, match="no place for scores; 1 are left out"):
        webanno.write(tmp_path / "b.tsv", [Document("فاس", [Span(0, 3, "LOC", 0.5)], "x")])


def test_one_of_several_layers_by_name(tmp_path: Path) -> None:
    layers = (
        "#T_SP=webanno.custom.Topic\n#T_SP=webanno.custom.Person|kind|role\n#T_RL=webanno.custom.Link|BT_webanno.Person"
    )
    path = save(tmp_path / "a.tsv", body("#Text=كريم", "1-1	0-4	كريم	*	*	علم	_	", layer=layers))
    with pytest.raises(FormatError, match=r"a.tsv:2: has the layers webanno\.custom\.Topic, .*; choose .* layer=…"):
        webanno.read(path)
    with pytest.raises(FormatError, match="has no layer 'NER'; found are webanno"):
        webanno.read(path, layer="NER")
    with pytest.raises(
        FormatError, match=r"has the features \['kind', 'role'\], not None; choose the label: feature=…"
    ):
        webanno.read(path, layer="Person")
    assert webanno.read(path, layer="Person", feature="role")[0].spans == (Span(0, 4, "علم"),)
    # The annotations of a layer without features say no more than that they are of this layer.
    assert webanno.read(path, layer="webanno.custom.Topic")[0].spans == (Span(0, 4, "Topic"),)
    with pytest.raises(FormatError, match=r"a.tsv:8: article 'a': the annotation 'كريم' has no kind"):
        webanno.read(path, layer="Person", feature="kind")
    # In a folder another file may have it: the header leaves out layers without an annotation.
    save(tmp_path / "b.tsv", body("#Text=فاس", "1-1	0-3	فاس	", layer="").replace("\n\n\n", "\n\n", 1))
    assert [len(d.spans) for d in webanno.read(tmp_path, layer="Topic")] == [1, 0]


def test_values_of_other_features_are_told(tmp_path: Path) -> None:
    layer = ENTITY.replace("|value", "|identifier|value")
    path = save(
        tmp_path / "a.tsv", body("#Text=فاس", "1-1	0-3	فاس	http://example.org/Fes	LOC	", layer=layer)
    )
    with pytest.warns(UserWarning, match="the values of identifier are not read"):
        assert webanno.read(path)[0].spans == (Span(0, 3, "LOC"),)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["#Text=😀 فاس", "1-1	0-1	😀	_	"],
            ":6: article 'a': token 0-1 is '😀' but the text there is no character; .*UTF-16",
        ),
        (
            ["#Text=😀 فاس", "1-1	0-2	😀	_	", "1-2	2-5	فاس	LOC	"],
            ":7: .*token 2-5 is 'فاس' but the text there is ' فا'",
        ),
        (["#Text=فاس", "1-1	0-9	فاس	_	"], ":6: .*no character"),
        (["#Text=فاس", "1-1	0-3	فاس"], ":6: .*expected a token: .* a value in each of 1 columns; found '1-1"),
        (["#Text=فاس", "1-1	0-3	فاس	*	"], ":6: .*the annotation 'فاس' has no value"),
        (["#Text=فاس", "1-1	0-3	فاس		"], ":6: .*expected values like"),
        (
            ["#Text=فاس", "1-1	0-3	فاس	LOC[x]	"],
            r":6: .*expected values like LOC or LOC\[1\]\|PER\[2\], found 'LOC\[x\]'",
        ),
        (
            ["#Text=فاس", "1-1	0-3	فاس	_	", "1-1.1	1-1		LOC	"],
            ":7: .*annotation 'LOC' at 1-1 has no character",
        ),
        (
            ["#Text=أ ب", "1-1	0-1	أ	LOC[1]	", "1-2	2-3	ب	PER[1]	"],
            r":7: .*annotation \[1\] is 'PER' at 'ب', 'LOC' before",
        ),
        (
            ["#Text=فاس", "1-1	0-3	فاس	_	", "", "#Text=عاد", "2-1	2-5	عاد	_	"],
            ":9: .*1 UTF-16 units before the end",
        ),
        (["#Text=فاس", "", "#Text=عاد"], ":6: .*the sentence 'فاس' has no tokens"),
        ([], "expected a token, found the end of the file"),
        (["#kayan={", "#Text=فاس"], ":5: .*broken JSON at column 9"),
        (["#kayan=[]", "#Text=فاس"], ":5: .*expected an object"),
    ],
)
def test_broken_bodies(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        webanno.read(save(tmp_path / "a.tsv", body(*rows)))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"is a folder without \.tsv files"):
        webanno.read(tmp_path)
    with pytest.raises(
        FormatError, match=r"a.tsv:1: expected '#FORMAT=WebAnno TSV 3.3' or 3.2, found '#FORMAT=WebAnno TSV 3.1'"
    ):
        webanno.read(save(tmp_path / "a.tsv", EXPORT.replace("TSV 3.3", "TSV 3.1")))
    with pytest.raises(FormatError, match=r"a.tsv:2: expected a layer"):
        webanno.read(save(tmp_path / "a.tsv", body("", layer="#T_XX=a")))
    save(tmp_path / "a.tsv", body('#kayan={"id": "b"}', "#Text=فاس", "1-1	0-3	فاس	_	"))
    save(tmp_path / "b.tsv", body("#Text=فاس", "1-1	0-3	فاس	_	"))
    with pytest.raises(FormatError, match=r"b.tsv: article 'b' has the id of the one in .*a\.tsv"):
        webanno.read(tmp_path)
