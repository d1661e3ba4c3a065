"""Tiny articles and a tiny BERT with AraBERT's tokenizer class and special tokens, made anew in every test session."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kayan.document import Document, Span
from kayan.formats import jsonl
from kayan.words import words

TYPES = ("PER", "ORG", "LOC", "EVENT", "DATE", "MISC")
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[رابط]", "[بريد]", "[مستخدم]")


def marked(text: str, identity: str = "a") -> Document:
    """A document from text with mentions written `[TYPE mention]`."""
    plain, spans = "", []
    for i, piece in enumerate(text.split("[")):
        if i == 0:
            plain = piece
            continue
        inside, after = piece.split("]", 1)
        label, mention = inside.split(" ", 1)
        spans.append(Span(len(plain), len(plain) + len(mention), label))
        plain += mention + after
    return Document(plain, spans, identity)


ARTICLES = [
    "زار [PER كريم الوزاني] مدينة [LOC فاس] يوم [DATE 3 نونبر 2025].\nوالتقى ب[LOC مراكش] وفدا من [ORG الأمم المتحدة].",
    "أعلنت [ORG وزارة الصحة] بـ«[LOC الرباط]» عن تنظيم [EVENT المعرض الدولي للكتاب] في [DATE دجنبر المقبل].",
    "قدم [PER سعيد آيت علي] روايته [MISC ظل النخلة] لل[PER جمهور] و[LOC طنجة] و[LOC أكادير].",
    "وصل وفد [ORG الاتحاد الأوروبي] إلى [LOC وجدة] قادما من [LOC باريس]، حيث استقبله [PER نبيل المرابط].",
    "نظمت [ORG جامعة القاضي عياض] ب[LOC آسفي] ندوة حول [MISC الأمازيغية] يوم [DATE الثلاثاء].",
    "فاز [ORG الرجاء الرياضي] على [ORG نهضة بركان] في [EVENT كأس العرش] ب[LOC الدار البيضاء]، حسب [PER كريم الوزاني].",
]


@pytest.fixture(scope="session")
def articles() -> list[Document]:
    return [marked(text, f"tiny-{i}") for i, text in enumerate(ARTICLES)]


@pytest.fixture(scope="session")
def vocabulary(articles: list[Document]) -> list[str]:
    """AraBERT's special tokens, then the letters and every other word of the tiny articles, as WordPiece reads them."""
    found = {document.text[a:b] for document in articles for a, b in words(document.text)}
    letters = sorted({char for word in found for char in word})
    return [*SPECIALS, *letters, *(f"##{char}" for char in letters), *sorted(w for w in found if len(w) > 1)[::2]]


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory, vocabulary: list[str]) -> Path:
    """A two-layer BERT of 32 dimensions with 128 positions and a WordPiece vocabulary of the tiny articles."""
    torch = pytest.importorskip("torch")
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("backbone")
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(
        vocab={piece: i for i, piece in enumerate(vocabulary)}, do_lower_case=False, model_max_length=int(1e30)
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory, articles: list[Document]) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "tiny.jsonl"
    jsonl.write(path, articles)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, backbone: Path) -> Path:
    """A saved checkpoint with random heads, windows of 32 sub-words."""
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer

    from kayan.checkpoint import Policy
    from kayan.encoding import TextPolicy
    from kayan.model import build, save
    from kayan.schema import Schema

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    torch.manual_seed(1)
    schema = Schema(TYPES)
    model = build(backbone, schema)
    torch.nn.init.normal_(model.classifier.classifier.weight, std=0.5)
    save(folder, model, AutoTokenizer.from_pretrained(backbone), Policy(schema, TextPolicy("light", 32, 8)))
    return folder


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny checkpoint with both graphs for ONNX Runtime."""
    from kayan.checkpoint import inspect
    from kayan.export import export

    folder = tmp_path_factory.mktemp("exported") / "tiny"
    shutil.copytree(checkpoint, folder)
    export(inspect(folder), ["onnx", "onnx-int8"])
    return folder


@pytest.fixture(scope="session")
def run_config(tmp_path_factory: pytest.TempPathFactory, backbone: Path, corpus_file: Path) -> Path:
    """A configuration that trains the tiny backbone on the tiny articles."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    settings = {
        "output": str(path.parent / "run"),
        "model": {"backbone": str(backbone), "dropout": 0.1},
        "text": {"window": 64, "stride": 16},
        "data": {"train": [{"path": str(corpus_file)}], "validation": [{"path": str(corpus_file)}]},
        "training": {"epochs": 2, "batch_size": 2, "learning_rate": 0.01, "bf16": False},
    }
    path.write_text(json.dumps(settings, ensure_ascii=False), encoding="utf-8")
    return path
