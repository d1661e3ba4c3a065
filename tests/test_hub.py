"""Checkpoints to the hub and back, with a client that keeps its repositories in a folder."""

from __future__ import annotations

import builtins
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from kayan import CheckpointError, Document, Tagger
from kayan.checkpoint import STARTER, inspect, resolve
from kayan.cli import main
from kayan.hub import FILES, fetch, model_card, prepare, push_to_hub

huggingface_hub = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

CARD = """\
---
license: apache-2.0
datasets: [someone/news]
model-index:
- name: tiny
  results:
  - task: {type: token-classification}
    dataset: {type: someone/news, name: News}
    metrics: [{type: f1, value: 0.5}]
---
# tiny
```python
tagger = Tagger.load("tiny")
```
"""


def http(kind: Any, status: int, message: str = "no") -> Exception:
    response = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind(f"{status} Client Error.\n\n{message}", response=response)


class Hub:
    """What of huggingface_hub kayan calls. `repos`: of each repository its type; `files`: of each branch, tag or commit the
    files; `asked`: the arguments of every call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.repos: dict[str, str] = {}
        self.private: dict[str, bool] = {}
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.fails: Exception | None = None

    def __call__(self, **options: Any) -> Hub:
        self.asked.append(("HfApi", options))
        return self

    def _known(self, repo_id: str, kind: str = "model") -> None:
        if self.fails:
            raise self.fails
        if self.repos.get(repo_id) != kind:
            raise http(errors.RepositoryNotFoundError, 404)

    def _at(self, repo_id: str, revision: str | None) -> dict[str, bytes]:
        if (repo_id, revision or "main") not in self.files:
            raise http(errors.RevisionNotFoundError, 404)
        return self.files[repo_id, revision or "main"]

    def repo_exists(self, repo_id: str, *, repo_type: str) -> bool:
        if self.fails:
            raise self.fails
        return self.repos.get(repo_id) == repo_type

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool | None, exist_ok: bool) -> None:
        self.asked.append(("create_repo", {"repo_id": repo_id, "private": private}))
        if repo_id not in self.repos:
            self.repos[repo_id], self.private[repo_id] = repo_type, bool(private)
            self.files[repo_id, "main"] = {}

    def create_branch(self, repo_id: str, *, repo_type: str, branch: str, exist_ok: bool) -> None:
        self._known(repo_id)
        self.files.setdefault((repo_id, branch), dict(self.files[repo_id, "main"]))

    def repo_info(self, repo_id: str, *, repo_type: str, revision: str | None = None) -> Any:
        self._known(repo_id)
        siblings = [SimpleNamespace(rfilename=name) for name in self._at(repo_id, revision)]
        return SimpleNamespace(siblings=siblings, private=self.private[repo_id], sha="f" * 40)

    def create_commit(self, repo_id: str, operations: list[Any], *, revision: str | None = None, **rest: Any) -> Any:
        self._known(repo_id)
        self.asked.append(("create_commit", {"operations": operations, "revision": revision, **rest}))
        files = dict(self._at(repo_id, revision))
        for operation in operations:
            if isinstance(operation, huggingface_hub.CommitOperationDelete):
                del files[operation.path_in_repo]
            else:
                with operation.as_file() as file:
                    files[operation.path_in_repo] = file.read()
        commit = f"{len(self.asked):040x}"
        self.files[repo_id, revision or "main"] = self.files[repo_id, commit] = files
        return SimpleNamespace(oid=commit, commit_url=f"https://huggingface.co/{repo_id}/commit/{commit}")

    def snapshot_download(self, repo_id: str, **options: Any) -> str:
        self.asked.append(("snapshot_download", options))
        self._known(repo_id)
        files = self._at(repo_id, options["revision"])
        patterns = {name: options[name] for name in ("allow_patterns", "ignore_patterns")}
        home = self.root / repo_id.replace("/", "--")
        snapshot = home / "snapshots" / (options["revision"] or "main")
        shutil.rmtree(snapshot, ignore_errors=True)
        (home / "blobs").mkdir(parents=True, exist_ok=True)
        for name in huggingface_hub.utils.filter_repo_objects(files, **patterns):
            # As in the cache of the library: links to files that are named by their content.
            blob = home / "blobs" / str(abs(hash(files[name])))
            blob.write_bytes(files[name])
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).symlink_to(blob)
        return str(snapshot)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    fake = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


@pytest.fixture
def folder(tmp_path: Path, checkpoint: Path) -> Path:
    """A checkpoint with a card, and beside it what must not be published."""
    copy = Path(shutil.copytree(checkpoint, tmp_path / "tiny"))
    (copy / "README.md").write_text(CARD, encoding="utf-8")
    for name in ("optimizer.pt", "training_args.bin", "trainer_state.json", "train.jsonl", "events.log", ".secret"):
        (copy / name).write_text("x", encoding="utf-8")
    (copy / "states").mkdir()
    (copy / "states" / "model.safetensors").write_text("x", encoding="utf-8")
    return copy


CHECKPOINT = {
    "README.md",
    "config.json",
    "kayan.json",
    "kayan_proclitic.safetensors",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def edges(documents: list[Document]) -> list[list[tuple[int, int, str, float | None]]]:
    return [[(span.start, span.end, span.label, span.score) for span in document.spans] for document in documents]


def test_there_and_back(hub: Hub, folder: Path, articles: list[Document]) -> None:
    done = push_to_hub(folder, "org/tiny", message="First", private=True)
    assert hub.files["org/tiny", "main"].keys() == {path.name for path in done.files} == CHECKPOINT
    assert set(done.left_out) == {
        "optimizer.pt",
        "training_args.bin",
        "trainer_state.json",
        "train.jsonl",
        "events.log",
        ".secret",
        "states/",
    }
    assert done.url == "https://huggingface.co/org/tiny/commit/" + next(
        key[1] for key in hub.files if len(key[1]) == 40
    )
    commit = dict(hub.asked)["create_commit"]
    assert (commit["commit_message"], commit["parent_commit"], commit["repo_type"]) == ("First", "f" * 40, "model")
    assert hub.private["org/tiny"]
    tagger = Tagger.from_pretrained("org/tiny")
    expected = edges(Tagger.load(folder)(articles))
    assert any(expected)
    assert edges(tagger(articles)) == expected
    assert edges(Tagger.load("org/tiny")(articles)) == expected


def test_a_run_folder_gives_its_best_checkpoint(hub: Hub, folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "best")
    (run / "metrics.json").write_text("{}", encoding="utf-8")
    (run / "tensorboard").mkdir()
    upload = prepare(run, "org/tiny")
    assert upload.folder == run / "best"
    assert {path.name for path in upload.files} == CHECKPOINT
    assert {"best/optimizer.pt", "best/states/", "metrics.json", "tensorboard/"} <= set(upload.left_out)


def test_the_starter_can_be_pushed(hub: Hub) -> None:
    upload = push_to_hub(STARTER, "org/starter")
    assert {path.name for path in upload.files} == CHECKPOINT | {"model.onnx"}
    assert upload.left_out == ()


def test_a_dry_run_asks_nobody(hub: Hub, folder: Path) -> None:
    done = push_to_hub(folder, "org/tiny", dry_run=True)
    assert done.url is None
    assert {path.name for path in done.files} == CHECKPOINT
    assert hub.asked == []


def test_a_pinned_revision_stays_as_it_was(hub: Hub, folder: Path, articles: list[Document]) -> None:
    first = edges(Tagger.load(folder)(articles))
    commit = (push_to_hub(folder, "org/tiny").url or "").rsplit("/", 1)[1]
    changed = json.loads((folder / "kayan.json").read_text(encoding="utf-8")) | {"threshold": 1.0}
    (folder / "kayan.json").write_text(json.dumps(changed), encoding="utf-8")
    push_to_hub(folder, "org/tiny")
    assert edges(Tagger.from_pretrained("org/tiny", revision=commit)(articles)) == first
    assert edges(Tagger.load(f"org/tiny@{commit}")(articles)) == first
    assert edges(Tagger.from_pretrained("org/tiny")(articles)) != first


def test_a_branch_is_made(hub: Hub, folder: Path) -> None:
    push_to_hub(folder, "org/tiny", revision="v2")
    assert hub.files["org/tiny", "v2"].keys() == CHECKPOINT
    assert hub.files["org/tiny", "main"] == {}
    with pytest.raises(ValueError, match="is a commit, and commits do not change; name a branch"):
        push_to_hub(folder, "org/tiny", revision="a" * 40)


def test_what_a_former_checkpoint_left_is_deleted(hub: Hub, folder: Path) -> None:
    hub.create_repo("org/tiny", repo_type="model", private=None, exist_ok=True)
    hub.files["org/tiny", "main"] = {
        "model.onnx": b"old",
        "vocab.txt": b"old",
        "notes.txt": b"mine",
        "onnx/model.onnx": b"",
    }
    done = push_to_hub(folder, "org/tiny")
    assert done.removed == ("model.onnx", "vocab.txt")
    assert hub.files["org/tiny", "main"].keys() == CHECKPOINT | {"notes.txt", "onnx/model.onnx"}


def test_only_what_a_tagger_needs_is_fetched(hub: Hub, folder: Path) -> None:
    push_to_hub(folder, "org/tiny")
    extra = ("pytorch_model.bin", "optimizer.pt", "trainer_state.json", "run.py", "old/model.safetensors", "a.txt")
    hub.files["org/tiny", "main"] |= dict.fromkeys(extra, b"x")
    found = fetch("org/tiny")
    assert {str(path.relative_to(found)) for path in found.rglob("*")} == CHECKPOINT
    assert not any(name.endswith((".bin", ".pt", ".py", "*")) for name in FILES)


def test_options_reach_the_library(hub: Hub, folder: Path, tmp_path: Path) -> None:
    push_to_hub(folder, "org/tiny", token="hf_abcdefghijkl")
    assert dict(hub.asked)["HfApi"]["token"] == "hf_abcdefghijkl"
    Tagger.from_pretrained("org/tiny", token=False, cache_dir=tmp_path, local_files_only=True, threshold=0.5)
    options = dict(hub.asked)["snapshot_download"]
    assert (options["token"], options["cache_dir"], options["local_files_only"]) == (False, tmp_path, True)


def test_a_folder_has_no_revision(folder: Path) -> None:
    assert Tagger.from_pretrained(folder).policy == inspect(folder).policy
    with pytest.raises(ValueError, match=r"revision 'v1' is asked for, but .*tiny is no id on the hub"):
        Tagger.from_pretrained(folder, revision="v1")
    with pytest.raises(ValueError, match="names its revision, and revision 'v2' is asked for too"):
        resolve("org/tiny@v1", revision="v2")


@pytest.mark.parametrize(
    ("name", "message"),
    [("tokenizer.json", "no tokenizer.json"), ("kayan.json", "no kayan.json"), ("README.md", "needs a model card")],
)
def test_a_checkpoint_that_lacks_a_file_stays_here(hub: Hub, folder: Path, name: str, message: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=message):
        push_to_hub(folder, "org/tiny")
    assert hub.asked == []


def test_pickled_weights_stay_here(hub: Hub, folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled weights"):
        push_to_hub(folder, "org/tiny")


def test_links_stay_here(hub: Hub, folder: Path, tmp_path: Path) -> None:
    (folder / "vocab.txt").symlink_to(folder / "train.jsonl")
    with pytest.raises(CheckpointError, match=r"vocab.txt is a link; put the file itself there"):
        push_to_hub(folder, "org/tiny")
    (folder / "vocab.txt").unlink()
    (tmp_path / "elsewhere.txt").write_text("x", encoding="utf-8")
    (folder / "notes.txt").symlink_to(tmp_path / "elsewhere.txt")
    with pytest.raises(CheckpointError, match="leads out of the checkpoint"):
        push_to_hub(folder, "org/tiny")
    assert hub.asked == []


def test_a_fetched_checkpoint_can_be_pushed_again(hub: Hub, folder: Path) -> None:
    push_to_hub(folder, "org/tiny")
    push_to_hub(fetch("org/tiny"), "org/copy")
    assert hub.files["org/copy", "main"].keys() == CHECKPOINT


def test_a_graph_of_other_weights_stays_here(hub: Hub, folder: Path) -> None:
    shutil.copy(STARTER / "model.onnx", folder)
    with pytest.raises(CheckpointError, match=r"model.onnx was made from other weights.*kayan export"):
        push_to_hub(folder, "org/tiny")


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "org/../tiny", "org/ti ny", "org/tiny.git", "منظمة/نموذج"])
def test_a_name_that_is_none(hub: Hub, folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)repo|repository"):
        push_to_hub(folder, name)
    assert hub.asked == []


def test_the_card_gets_what_it_lacks(folder: Path) -> None:
    data = huggingface_hub.ModelCard(model_card(inspect(folder), "org/tiny")).data
    assert (data.language, data.library_name, data.pipeline_tag) == ("ar", "kayan", "token-classification")
    assert (data.license, data.datasets) == ("apache-2.0", ["someone/news"])
    assert [(result.metric_type, result.metric_value) for result in data.eval_results] == [("f1", 0.5)]
    card = model_card(inspect(folder), "org/tiny", license="mit")
    assert huggingface_hub.ModelCard(card).data.license == "mit"
    assert 'Tagger.from_pretrained("org/tiny")' in card
    assert (folder / "README.md").read_text(encoding="utf-8") == CARD


def test_a_card_without_front_matter(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "README.md").write_text("# tiny\nنموذج\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"states no license; give one: --license apache-2\.0"):
        model_card(inspect(folder), "org/tiny")
    card = model_card(inspect(folder), "org/tiny", "cc-by-sa-4.0")
    assert card.startswith("---\n")
    assert card.endswith("---\n# tiny\nنموذج\n")
    assert huggingface_hub.ModelCard(card).data.license == "cc-by-sa-4.0"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("license: Apache 2.0!", "license in the front matter must be an id of .*not 'Apache 2.0!'"),
        ("license: [mit]", r"license in the front matter must be .*not \['mit'\]"),
        ("license: mit\nlanguage: Arabic", "language in the front matter must be ISO 639"),
        ("license: mit\npipeline_tag: fill-mask", "pipeline_tag in the front matter must be token-classification"),
        ("license: mit\ndatasets: [My own news]", "datasets .*must be ids of data sets on the hub.*not 'My own news'"),
        ("license: mit\ndatasets: [null]", "datasets .*not None"),
        ("license: mit\nmodel-index: [{name: x}]", "no valid front matter: .*model_index"),
        (
            "license: mit\nmodel-index: [{name: x, results: [{task: {type: t}, dataset: {type: d, name: n}, "
            "metrics: [{type: f1, value: [1]}]}]}]",
            r"metric.value must be a number, not \[1\]",
        ),
        ("- a list", "no valid front matter"),
        ("license: [", "no valid front matter"),
        ("1: 2", "no valid front matter"),
    ],
)
def test_metadata_that_the_hub_refuses(folder: Path, front: str, message: str) -> None:
    (folder / "README.md").write_text(f"---\n{front}\n---\n# tiny\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=message) as caught:
        model_card(inspect(folder), "org/tiny")
    assert "\n" not in str(caught.value)


def test_front_matter_without_end(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: mit\n# tiny\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match="no second --- closes"):
        model_card(inspect(folder), "org/tiny")


def test_the_name_of_a_data_set_or_a_space(hub: Hub, folder: Path) -> None:
    for kind in ("dataset", "space"):
        hub.repos["org/tiny"] = kind
        with pytest.raises(ValueError, match=f"org/tiny: not pushed: it is a {kind} there, not a model"):
            push_to_hub(folder, "org/tiny")
    assert "create_repo" not in dict(hub.asked)


def test_a_public_repository_gets_no_private_checkpoint(hub: Hub, folder: Path) -> None:
    hub.create_repo("org/tiny", repo_type="model", private=None, exist_ok=True)
    with pytest.raises(ValueError, match="it exists and is public, though a private one is asked for"):
        push_to_hub(folder, "org/tiny", private=True, revision="v1")
    assert hub.files == {("org/tiny", "main"): {}}


SECRET = "hf_AbCdEfGhIjKlMnOp"


class ConnectError(Exception):
    """By its name that of httpx."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (http(errors.HfHubHTTPError, 401), "does not know who you are: log in with `hf auth login`, or set HF_TOKEN"),
        (errors.LocalTokenNotFoundError("Token is required"), "does not know who you are"),
        (http(errors.HfHubHTTPError, 403), "needs the right to write"),
        (http(errors.GatedRepoError, 403), "give access on request, see https://huggingface.co/org/tiny"),
        (http(errors.RevisionNotFoundError, 404), "has no revision None"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (ConnectError("[Errno -2] Name or service not known"), "cannot be reached; is there a network"),
        (errors.LocalEntryNotFoundError("not cached"), "the cache does not hold it"),
        (ValueError(f"Illegal header value b'Bearer {SECRET}\\n'"), "Illegal header value b'…'"),
        (OSError(f"proxy http://me:{SECRET}@host refused\nfor {SECRET}"), r"proxy http://…host refused for …$"),
        (http(errors.HfHubHTTPError, 500, "x" * 5000), "500 Client Error. x+…$"),
    ],
)
def test_errors_of_the_hub_in_one_line(hub: Hub, folder: Path, error: Exception, message: str) -> None:
    hub.fails = error
    for call in (lambda: push_to_hub(folder, "org/tiny"), lambda: Tagger.from_pretrained("org/tiny", token=SECRET)):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        said = str(caught.value)
        assert "org/tiny" in said
        assert "\n" not in said
        assert "AbCd" not in said
        assert len(said) < 600
        # A traceback would show what the message leaves out.
        assert caught.value.__suppress_context__


def test_a_token_of_any_shape_is_told_nobody(hub: Hub, folder: Path) -> None:
    hub.fails = OSError("cannot send «secret word»")
    with pytest.raises(ValueError, match="cannot send «…»"):
        push_to_hub(folder, "org/tiny", token="secret word")


def test_a_model_or_a_revision_that_is_not_there(hub: Hub, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"org/tiny is no folder here.*no model of that name, or it is private"):
        Tagger.load("org/tiny")
    push_to_hub(folder, "org/tiny")
    with pytest.raises(CheckpointError, match="no revision 'v9'; a branch, a tag or a whole commit is expected"):
        Tagger.from_pretrained("org/tiny", revision="v9")


def test_without_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "huggingface_hub":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CheckpointError, match=r"org/tiny is no folder here, and .*pip install 'kayan\[hub\]'"):
        resolve("org/tiny")
    with pytest.raises(ImportError, match=r"pip install 'kayan\[hub\]'"):
        push_to_hub(folder, "org/tiny")
    assert resolve(folder) == folder


def test_the_command(hub: Hub, folder: Path) -> None:
    shown = CliRunner().invoke(main, ["push", str(folder), "org/tiny", "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "model.safetensors" in shown.output
    assert "not uploaded: .secret, events.log, optimizer.pt" in shown.output
    assert shown.output.endswith("nothing was uploaded to org/tiny: --dry-run\n")
    arguments = ["--private", "--revision", "v1", "--message", "One", "--license", "mit"]
    shown = CliRunner().invoke(main, ["push", str(folder), "org/tiny", *arguments])
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[-1].startswith("https://huggingface.co/org/tiny/commit/")
    commit = dict(hub.asked)["create_commit"]
    assert (commit["revision"], commit["commit_message"]) == ("v1", "One")
    assert b"license: mit" in hub.files["org/tiny", "v1"]["README.md"]
    hub.fails = http(errors.HfHubHTTPError, 401)
    refused = CliRunner().invoke(main, ["push", str(folder), "org/tiny"])
    assert refused.exit_code == 2
    assert refused.output.startswith("error: org/tiny: not pushed: the hub does not know who you are")
