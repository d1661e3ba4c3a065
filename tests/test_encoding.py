import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, Metaspace
from tokenizers.processors import BertProcessing, TemplateProcessing

from kayan.decoding import decode
from kayan.document import Document, DocumentError, Span
from kayan.encoding import IGNORED, MOST, Encoder, TextPolicy, Unreachable, word_tags
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


def spaced(template: str | None = None, pieces: str = "▁زار ▁فاس ▁فاس، ▁و ▁ا") -> Tokenizer:
    """A tokenizer whose sub-words begin with the space before them, as those of XLM-R do."""
    made = Tokenizer(Unigram([(piece, -1.0) for piece in ["<s>", "</s>", "<unk>", "▁", *pieces.split()]], unk_id=2))
    made.pre_tokenizer = Metaspace()
    if template:
        made.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 0), ("</s>", 1)])
    return made


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
        assert encoded.windows == [(0, 0)]
        assert encoded.ids.dtype == encoded.first.dtype == np.int64
        assert encoder.merge(encoded, [np.zeros((2, 5), dtype=np.float32)]).shape == (0, 5)
        labels, particles, lost = encoder.targets(Document(text), encoded, TagSets(SCHEMA), Declaration())
        assert (labels.dtype, particles.dtype, len(labels), len(particles), lost) == (np.int64, np.int64, 0, 0, [])


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
    with pytest.raises(ValueError, match="shorter"):
        encoder.merge(encoded, rows[:-1])


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


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (0, 5, None),
        (1, 5, "it begins inside a word, not behind particles"),
        (5, 6, "no word stands in it"),
        (5, 9, "it begins before its first word"),
        (6, 8, "it does not end at the end of a word"),
        (6, 9, None),
        # One sub-word covers «فاس،», two words: the comma has none.
        (6, 10, "its first or last word has no sub-word of its own"),
        (9, 15, "its first or last word has no sub-word of its own"),
        (6, 15, None),
        (15, 16, "no word stands in it"),
    ],
)
def test_a_mention_is_expressed_or_listed(start: int, end: int, reason: str | None) -> None:
    document = Document("مراكش فاس، وجدة ", [Span(start, end, "LOC")], "n1")
    encoder = Encoder(spaced(), TextPolicy("light", 24, 8))
    lost = encoder.targets(document, encoder.encode(document.text), TagSets(SCHEMA), Declaration())[2]
    assert lost == ([Unreachable("n1", document.spans[0], reason)] if reason else [])


def test_words_bear_tags_and_first_words_particles() -> None:
    text = "زار كريم العلوي بفاس مراكش"
    words = [(0, 3), (4, 8), (9, 15), (16, 20), (21, 26)]
    spans = [Span(4, 15, "PER"), Span(9, 15, "PER"), Span(17, 20, "LOC"), Span(23, 26, "LOC")]
    tags, counts, lost = word_tags(Document(text, spans), words)
    # A mention is taught by its words though its edge cannot be returned; of two that overlap, the first.
    assert tags == ["O", "B-PER", "I-PER", "B-LOC", "B-LOC"]
    assert counts == [IGNORED, 0, IGNORED, 1, IGNORED]
    assert [(item.span.start, item.reason) for item in lost] == [
        (9, "it overlaps another mention"),
        (23, "it begins inside a word, not behind particles"),
    ]


def test_a_sub_word_may_begin_with_the_space_before_it_and_cover_two_words() -> None:
    text = "زار  فاس، و فاس"
    encoded = Encoder(spaced(), TextPolicy("raw", 24, 8)).encode(text)
    assert [text[a:b] for a, b in encoded.words] == ["زار", "فاس", "،", "و", "فاس"]
    assert encoded.first.tolist() == [0, 2, -1, 3, 4]
    document = Document(text, [Span(5, 8, "LOC")])
    encoder = Encoder(spaced(), TextPolicy("raw", 24, 8))
    labels, particles, lost = encoder.targets(document, encoded, TagSets(SCHEMA), Declaration())
    assert (labels == IGNORED).tolist() == [False, False, True, False, False]
    assert (particles == IGNORED).tolist() == [True, False, True, True, True]
    assert (labels.dtype, particles.dtype, lost) == (np.int64, np.int64, [])


@pytest.mark.parametrize(
    ("word", "count", "windows"),
    [
        ("فاس", 22, [(0, 22)]),
        ("فاس", 23, [(0, 22), (14, 23)]),
        ("فاس", 45, [(0, 22), (14, 36), (28, 45)]),
        # A space and two letters are three sub-words: a window begins with the first letter.
        ("اب", 12, [(0, 22), (13, 35), (25, 36)]),
        # A word longer than a window is cut.
        ("ب" * 29, 1, [(0, 22), (14, 30)]),
    ],
)
def test_windows_begin_at_a_word_about_a_stride_back(word: str, count: int, windows: list[tuple[int, int]]) -> None:
    encoder = Encoder(spaced("<s> $A </s>", "▁فاس ا ب"), TextPolicy("light", 24, 8))
    assert encoder.encode(" ".join([word] * count)).windows == windows


@pytest.mark.parametrize(
    ("template", "ids"),
    [(None, [5]), ("$A </s>", [5, 1]), ("<s> $A", [0, 5]), ("<s> <s> $A </s>", [0, 0, 5, 1])],
)
def test_special_tokens_stand_where_the_tokenizer_puts_them(template: str | None, ids: list[int]) -> None:
    encoder = Encoder(spaced(template), TextPolicy("light", 24, 8))
    encoded = encoder.encode("فاس")
    assert encoder.inputs(encoded, encoded.windows[0]) == ids
    assert encoder.encode("فاس " * 40).windows[0] == (0, 24 - len(ids) + 1)
    [row] = encoder.examples(encoded, np.array([7]), np.array([2]))
    assert row["input_ids"] == ids
    assert row["labels"] == [7 if i == 5 else IGNORED for i in ids]
    assert row["particles"] == [2 if i == 5 else IGNORED for i in ids]
    [[value]] = encoder.merge(encoded, [np.array([[float(i)] for i in ids])])
    assert value == 5


def test_a_tokenizer_that_changes_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="changes the text's own sub-words; it cannot be used for windows"):
        Encoder(spaced("$A </s> $A"), TextPolicy())


def test_rows_are_padded_together(tokenizer: Tokenizer) -> None:
    encoder = Encoder(tokenizer, TextPolicy("light", 24, 8), pad_id=9)
    ids, mask = encoder.pad([[1, 2, 3], [4]], multiple=4)
    assert ids.tolist() == [[1, 2, 3, 9], [4, 9, 9, 9]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
    for length, multiple, width in ((8, 8, 8), (9, 8, 16), (20, 16, 24), (24, 16, 24)):
        assert encoder.pad([[1] * length], multiple)[0].shape == (1, width), "never wider than the window"
    assert encoder.pad([[1] * 9])[0].shape == (1, 16), "multiples of 8 if nothing is said"
    assert Encoder(tokenizer, TextPolicy()).pad([[1]])[0].tolist() == [[1] + [0] * 7]


def test_open_ranges_that_are_none_are_refused_by_name(encoder: Encoder) -> None:
    for bad in ([[3, 1]], [[0, 99]], "0-3"):
        document = Document("فاس ومراكش", meta={"open": bad}, id="n7")
        with pytest.raises(DocumentError, match=r"document 'n7': meta\['open'\] must be a list of \[start, end\]"):
            encoder.targets(document, encoder.encode(document.text), TagSets(SCHEMA), Declaration())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("lite",), "'lite': known are raw, light"),
        ((["light"],), "known are raw, light"),
        (("light", 64.0), "window must be a whole number of sub-words, not 64.0"),
        (("light", 64, True), "stride must be a whole number of sub-words, not True"),
        (("light", 7, 0), f"window must be between 8 and {MOST} sub-words, not 7"),
        (("light", MOST + 1, 0), f"not {MOST + 1}"),
        (("light", 65, 33), r"stride must be between 0 and half the window \(32\), not 33"),
        (("light", 64, -1), "not -1"),
    ],
)
def test_policies_that_are_refused(values: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextPolicy(*values)


def test_policies_at_the_bounds() -> None:
    for window, stride in ((8, 0), (8, 4), (65, 32), (MOST, MOST // 2)):
        assert TextPolicy("light", window, stride).to_dict() == {"profile": "light", "window": window, "stride": stride}


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
