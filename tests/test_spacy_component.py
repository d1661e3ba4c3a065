import tomllib
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from kayan import CheckpointError, Document, Span, Tagger

spacy = pytest.importorskip("spacy")
pytest.importorskip("torch")

from kayan.spacy_component import Kayan, create  # noqa: E402 (it needs spaCy)

ROOT = Path(__file__).parent.parent


class Fake:
    """A tagger that finds what it was told to."""

    def __init__(self, *spans: Span) -> None:
        self.spans = spans

    def stream(self, articles: Any, chunk: int) -> Any:
        return (Document(text, self.spans) for text in articles)


def pipeline(component: Kayan, *spans: Span) -> Any:
    nlp = spacy.blank("ar")
    component.tagger = Fake(*spans)  # type: ignore[assignment]
    nlp.add_pipe("kayan", config={"model": None})
    nlp.get_pipe("kayan").__dict__.update(component.__dict__)
    return nlp


def test_spacy_finds_the_factory() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = project["entry-points"]["spacy_factories"]
    assert [EntryPoint(name, value, "spacy_factories").load() for name, value in named.items()] == [create]
    assert "spacy" in project["optional-dependencies"]
    assert spacy.Language.get_factory_meta("kayan").default_config == {
        "model": None,
        "threshold": None,
        "alignment_mode": "expand",
    }


def test_mentions_of_the_embedded_starter() -> None:
    nlp = spacy.blank("ar")
    nlp.add_pipe("kayan")
    text = "استقبل محمد العلوي، يوم الثلاثاء 11 نونبر 2025 بمراكش، وفدا من منظمة الأمم المتحدة."
    doc = nlp(text)
    assert doc._.kayan == list(Tagger.load()(text).spans)
    # spaCy has no token for a name behind a particle.
    assert ("مراكش", "LOC") in {(span.text, span.label) for span in doc._.kayan}
    assert ("بمراكش", "LOC") in {(ent.text, ent.label_) for ent in doc.ents}
    assert doc._.kayan_lost == []


@pytest.mark.parametrize(
    ("mode", "entities", "lost"),
    [("expand", ["عاد", "بمراكش"], []), ("contract", ["عاد"], ["مراكش"]), ("strict", ["عاد"], ["مراكش"])],
)
def test_what_becomes_of_a_part_of_a_token(mode: str, entities: list[str], lost: list[str]) -> None:
    nlp = pipeline(Kayan(alignment_mode=mode), Span(0, 3, "X", 0.5), Span(5, 10, "LOC", 0.75))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        doc = nlp("عاد بمراكش")
    assert [ent.text for ent in doc.ents] == entities
    assert [span.text for span in doc._.kayan_lost] == lost
    assert doc._.kayan == [Span(0, 3, "X", 0.5), Span(5, 10, "LOC", 0.75)]
    told = [str(warning.message) for warning in caught if "mentions" in str(warning.message)]
    assert [message.split(";")[0] for message in told] == [
        "1 of 2 mentions are no entities of spaCy's tokens, or of tokens that another entity has: 'مراكش' at 5"
        for _ in lost
    ]


def test_the_likelier_of_two_in_one_token_is_its_entity() -> None:
    nlp = pipeline(Kayan(), Span(0, 4, "A", 0.5), Span(5, 8, "B", 0.75))
    with pytest.warns(UserWarning, match="1 of 2 mentions .*'طنجة' at 0; doc._.kayan_lost"):
        doc = nlp("طنجة_فاس")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("طنجة_فاس", "B")]


def test_entities_that_are_there_stay() -> None:
    nlp = pipeline(Kayan(), Span(0, 3, "PER", 0.5), Span(4, 7, "PER", 0.75))
    nlp.add_pipe("entity_ruler", before="kayan").add_patterns([{"label": "LOC", "pattern": "فاس"}])
    with pytest.warns(UserWarning, match="1 of 2 mentions .*'فاس' at 4"):
        doc = nlp("زار فاس")
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("زار", "PER"), ("فاس", "LOC")]


def test_a_stream_alone_and_stored(checkpoint: Path, articles: list[Document]) -> None:
    nlp = spacy.blank("ar")
    nlp.add_pipe("kayan", config={"model": str(checkpoint)})
    texts = [document.text for document in articles] * 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        docs = list(nlp.pipe(iter([*texts, ""]), batch_size=4))
        assert [doc.text for doc in docs] == [*texts, ""]
        tagged = Tagger.load(checkpoint)(texts)
        assert sum(len(document.spans) for document in tagged) > len(tagged)
        for doc, document in zip(docs, tagged, strict=False):
            edges = [[(s.start, s.end, s.label) for s in spans] for spans in (doc._.kayan, document.spans)]
            assert edges[0] == edges[1]
            assert [s.score for s in doc._.kayan] == pytest.approx([s.score for s in document.spans], abs=1e-4)
    again = spacy.tokens.Doc(nlp.vocab).from_bytes(docs[0].to_bytes())
    assert again._.kayan == docs[0]._.kayan
    assert again._.kayan_lost == docs[0]._.kayan_lost


def test_the_pipeline_is_saved_with_the_name_of_the_model(tmp_path: Path, checkpoint: Path) -> None:
    nlp = spacy.blank("ar")
    nlp.add_pipe("kayan", config={"model": str(checkpoint), "threshold": 0.25, "alignment_mode": "strict"})
    nlp.to_disk(tmp_path / "nlp")
    assert sum(file.stat().st_size for file in (tmp_path / "nlp" / "kayan").iterdir()) < 1000
    for again in (spacy.load(tmp_path / "nlp"), spacy.blank("ar", config=nlp.config)):
        component = again.get_pipe("kayan")
        assert component.settings == {"model": str(checkpoint), "threshold": 0.25, "alignment_mode": "strict"}
        assert component.tagger.threshold == 0.25
    # The settings of the component that was saved, not those that another one was made with.
    assert Kayan().from_bytes(nlp.get_pipe("kayan").to_bytes()).alignment_mode == "strict"


def test_wrong_settings(tmp_path: Path) -> None:
    nlp = spacy.blank("ar")
    with pytest.raises(ValueError, match="alignment_mode must be one of strict, contract, expand, not 'outside'"):
        nlp.add_pipe("kayan", config={"alignment_mode": "outside"})
    with pytest.raises(ValueError, match="threshold must be a probability"):
        nlp.add_pipe("kayan", config={"threshold": 2})
    with pytest.raises(CheckpointError, match="none"):
        nlp.add_pipe("kayan", config={"model": str(tmp_path / "none")})
