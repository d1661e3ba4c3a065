import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from kayan.decoding import decode
from kayan.document import Document, Span
from kayan.encoding import IGNORED, Encoder, TextPolicy
from kayan.schema import Declaration, Schema, TagSets
from tests.conftest import SPECIALS, TYPES, marked

SCHEMA = Schema(TYPES)


@pytest.fixture(scope="module")
def tokenizer(vocabulary: list[str]) -> Tokenizer:
    """What `BertTokenizerFast` makes of the tiny vocabulary, without waiting for transformers and torch."""
    made = Tokenizer(WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = BertNormalizer(lowercase=False)
    made.pre_tokenizer = BertPreTokenizer()
    made.add_special_tokens(list(SPECIALS[:5]))
    made.post_processor = BertProcessing(*((token, vocabulary.index(token)) for token in ("[SEP]", "[CLS]")))
    return made


@pytest.fixture(scope="module")
def encoder(tokenizer: Tokenizer) -> Encoder:
    return Encoder(tokenizer, TextPolicy("light", 24, 8))


def oracle(encoder: Encoder, document: Document) -> list[Span]:
    """The spans that a model would return which says exactly what it was taught, through windows and merging."""
    encoded = encoder.encode(document.text)
    labels, particles, _ = encoder.targets(document, encoded, TagSets(SCHEMA), Declaration())
    tags, counts = [], []
    for row in encoder.examples(encoded, labels, particles):
        for key, width, out in (("labels", len(SCHEMA.tags), tags), ("particles", 4, counts)):
            logits = np.zeros((len(row["input_ids"]), width), dtype=np.float32)
            for i, label in enumerate(row[key]):
                if label != IGNORED:
                    logits[i, label] = 9
            out.append(logits)
    merged = encoder.merge(encoded, tags), encoder.merge(encoded, counts)
    [spans] = decode([document.text], [encoded], [merged[0]], [merged[1]], SCHEMA)
    return spans


def edges(spans: object) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in spans]  # type: ignore[attr-defined]


def test_what_is_taught_comes_back_to_the_character(encoder: Encoder, articles: list[Document]) -> None:
    for document in articles:
        assert edges(oracle(encoder, document)) == edges(document.spans)


def test_a_long_article_comes_back_whole_through_windows(encoder: Encoder, articles: list[Document]) -> None:
    text, spans = "", []
    for k in range(40):
        document = articles[k % len(articles)]
        spans += [Span(s.start + len(text), s.end + len(text), s.label) for s in document.spans]
        text += document.text + "\n"
    long = Document(text, spans, "long")
    assert len(encoder.encode(text).windows) > 100
    assert edges(oracle(encoder, long)) == edges(long.spans)


@pytest.mark.parametrize(
    "text",
    [
        "زار [PER كَـــريم] فاس",
        "في [LOC مُــرَّاكُش] و\u200f[LOC فاس]\u200f.",
        "ب\u200b[LOC مراكش]",
        'لـ[DATE 3 نونبر] بـ"[LOC فاس]"',
        "😀😀 [LOC فاس] 😀",
        "وَبِ[LOC الرباط]",
        "([ORG OCP]) و[LOC ﻓﺎس]",
    ],
)
def test_spans_are_exact_whatever_normalisation_removes(encoder: Encoder, text: str) -> None:
    document = marked(text)
    assert edges(oracle(encoder, document)) == edges(document.spans)


def test_windows_cover_everything_and_are_never_longer_than_allowed(encoder: Encoder) -> None:
    encoded = encoder.encode("زار كريم فاس و" * 60)
    assert encoded.windows[0][0] == 0
    assert encoded.windows[-1][1] == len(encoded.ids)
    for (_, end), (start, _) in zip(encoded.windows, encoded.windows[1:], strict=False):
        assert start <= end - encoder.policy.stride
    assert all(len(encoder.inputs(encoded, window)) <= 24 for window in encoded.windows)


def test_a_short_document_is_not_padded_to_the_window(encoder: Encoder) -> None:
    encoded = encoder.encode("فاس")
    ids, mask = encoder.pad([encoder.inputs(encoded, encoded.windows[0])])
    assert ids.shape[1] == 8
    assert mask.sum() == len(encoded.ids) + 2


def test_an_empty_text_has_one_empty_window(encoder: Encoder) -> None:
    for text in ("", " \n", "\u200f"):
        encoded = encoder.encode(text)
        assert encoded.words == []
        assert len(encoded.windows) == 1


def test_a_word_takes_the_window_with_most_context(encoder: Encoder) -> None:
    encoded = encoder.encode("كلمة " * 60)
    rows = [np.full((end - start + 2, 1), i, dtype=np.float32) for i, (start, end) in enumerate(encoded.windows)]
    merged = encoder.merge(encoded, rows)[:, 0].astype(int)
    for at, chosen in zip(encoded.first, merged, strict=True):
        contexts = {}
        for i, (start, end) in enumerate(encoded.windows):
            if start <= at < end:
                left = np.inf if start == 0 else at - start
                right = np.inf if end == len(encoded.ids) else end - 1 - at
                contexts[i] = min(left, right)
        assert contexts[chosen] == max(contexts.values())


def test_special_tokens_in_the_text_are_characters(encoder: Encoder, tokenizer: Tokenizer) -> None:
    encoded = encoder.encode("قال [SEP] [CLS] [PAD] نعم")
    specials = {tokenizer.token_to_id(token) for token in ("[SEP]", "[CLS]", "[PAD]")}
    assert not specials & set(encoded.ids.tolist())


def test_padding_and_continuations_are_never_taught(encoder: Encoder) -> None:
    document = marked("[PER كريم الوزاني] في فاس")
    encoded = encoder.encode(document.text)
    labels, particles, _ = encoder.targets(document, encoded, TagSets(SCHEMA), Declaration())
    [row] = encoder.examples(encoded, labels, particles)
    taught = [i for i, label in enumerate(row["labels"]) if label != IGNORED]
    assert taught == [first + 1 for first in encoded.first]
    assert [i for i, count in enumerate(row["particles"]) if count != IGNORED] == [1]
    inside = encoder.targets(document, encoded, TagSets(SCHEMA), Declaration(proclitics=False))[1]
    assert (inside == IGNORED).all()


def test_nothing_is_taught_in_open_ranges(encoder: Encoder, articles: list[Document]) -> None:
    text = articles[0].text
    name = articles[0].spans[0]
    # It begins and ends inside words.
    document = Document(
        text, articles[0].spans, meta={"open": [[name.start + 2, name.end - 1], [len(text) - 1, len(text)]]}
    )
    encoded = encoder.encode(text)
    sets = TagSets(SCHEMA)
    before, _, _ = encoder.targets(articles[0], encoded, sets, Declaration())
    labels, particles, _ = encoder.targets(document, encoded, sets, Declaration())
    touched = np.array([(a < name.end - 1 and name.start + 2 < b) or b == len(text) for a, b in encoded.words])
    assert touched.sum() > 2
    assert (labels[touched] == IGNORED).all()
    assert (particles[touched] == IGNORED).all()
    assert (labels[~touched] == before[~touched]).all()


def test_unreachable_gold_is_listed_with_a_reason(encoder: Encoder) -> None:
    text = "مراكش الحمراء، بنك المغرب"
    spans = [Span(2, 5, "LOC"), Span(6, 10, "MISC"), Span(15, 25, "ORG"), Span(19, 25, "LOC"), Span(13, 14, "DATE")]
    document = Document(text, spans, "n1")
    lost = encoder.targets(document, encoder.encode(text), TagSets(SCHEMA), Declaration())[2]
    assert [(item.span.text, item.reason) for item in lost] == [
        ("اكش", "it begins inside a word, not behind particles"),
        ("الحم", "it does not end at the end of a word"),
        ("المغرب", "it overlaps another mention"),
    ]
    assert all(item.article == "n1" for item in lost)


def test_policy_checks() -> None:
    with pytest.raises(ValueError, match="light"):
        TextPolicy("lite")
    with pytest.raises(ValueError, match="stride"):
        TextPolicy("light", 64, 40)
    with pytest.raises(ValueError, match="window"):
        TextPolicy("light", 4, 0)


def test_the_callers_tokenizer_is_left_alone(tokenizer: Tokenizer) -> None:
    tokenizer.enable_truncation(4)
    encoder = Encoder(tokenizer, TextPolicy("light", 64, 8))
    assert len(encoder.encode("فاس " * 30).ids) >= 30
    assert tokenizer.truncation is not None
    tokenizer.no_truncation()


@given(st.text(alphabet="ابمرف وكشلـ َُ\n«»،.3٣aé\u200f\u200d😀ﻻ[]", max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_is_encoded_and_words_are_found_again(encoder: Encoder, text: str) -> None:
    encoded = encoder.encode(text)
    logits = [np.zeros((end - start + 2, 2), dtype=np.float32) for start, end in encoded.windows]
    merged = encoder.merge(encoded, logits)
    assert np.isnan(merged[:, 0]).tolist() == (encoded.first < 0).tolist()
    assert sorted(set(encoded.first[encoded.first >= 0])) == encoded.first[encoded.first >= 0].tolist()
