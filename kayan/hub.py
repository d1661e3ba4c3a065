"""Checkpoints on the Hugging Face hub: `fetch` one, `push_to_hub` one with its model card."""

from __future__ import annotations

import fnmatch
import re
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kayan
from kayan.checkpoint import POLICY_FILE, PROCLITIC_FILE, Checkpoint, CheckpointError, inspect, weights_digest
from kayan.formats import read_text
from kayan.runtime import ONNX_FILES

CARD = "README.md"
# The files of a checkpoint, all in one folder: nothing else is pushed or fetched.
FILES = (
    "config.json",
    POLICY_FILE,
    "model*.safetensors",
    "model.safetensors.index.json",
    PROCLITIC_FILE,
    *ONNX_FILES.values(),
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    CARD,
)
_LICENCES = "https://hf.co/docs/hub/repositories-licenses"
# Characters of what the hub answers that are told.
_LONGEST = 400
_COMMIT = re.compile("[0-9a-f]{40}")
_SECRET = re.compile(r"hf_\w{6,}|Bearer [^\s'\"]+|(?<=://)[^/\s@]+@")
_FRONT = re.compile(r"\s*---\r?\n[\s\S]*?\r?\n---[ \t]*(\r?\n|$)")
# Keys of a card's front matter that the hub checks, whether a list may stand there, the pattern of a value, and in words.
_CHECKED = (
    ("language", True, "[a-z]{2,3}", "ISO 639 codes of two or three letters, as ar"),
    ("license", False, "[a-z0-9][a-z0-9.-]*", f"an id of {_LICENCES}, as apache-2.0"),
    ("pipeline_tag", False, "token-classification", "token-classification"),
    ("datasets", True, r"[\w.-]+(/[\w.-]+)?", "ids of data sets on the hub, as org/name"),
    ("base_model", True, r"[\w.-]+(/[\w.-]+)?", "ids of models on the hub, as org/name"),
    ("metrics", True, r"[\w./-]+", "ids of metrics, as f1"),
    ("tags", True, r"(?s).+", "words"),
)


@dataclass(frozen=True)
class Upload:
    """What `push_to_hub` uploads, or would. `files`: paths here. `left_out`: names in the folder that stay here, of folders
    with a slash. `card`: the README.md as it is uploaded. `removed`: files of a former checkpoint that the commit deletes.
    `url`: of the commit, None for a dry run."""

    repo_id: str
    folder: Path
    files: tuple[Path, ...]
    left_out: tuple[str, ...]
    card: str
    removed: tuple[str, ...] = ()
    url: str | None = None


def fetch(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """The folder, in the hub's cache, of the checkpoint `repo_id`; only `FILES` are fetched.

    revision: a branch, a tag, or a commit, which pins the files for good. token: a string, True for the one that is
    stored, False for none. local_files_only: look in the cache alone. Raises `CheckpointError` when it cannot be had.
    """
    try:
        hub = _library()
        folder = hub.snapshot_download(
            repo_id,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=list(FILES),
            # A pattern's star passes over slashes.
            ignore_patterns=["*/*"],
            library_name="kayan",
            library_version=kayan.__version__,
        )
    except ImportError as error:
        raise CheckpointError(f"{repo_id} is no folder here, and {error}") from None
    except Exception as error:  # The library's errors share no class.
        reason = _reason(error, repo_id, revision, token)
        raise CheckpointError(f"{repo_id} is no folder here and could not be fetched from the hub: {reason}") from None
    return Path(folder)


def push_to_hub(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    license: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
) -> Upload:
    """Upload a checkpoint, or the best one of a run's folder, to the model `repo_id` in one commit.

    The repository is made where there is none; files of `FILES` that a former checkpoint left there and this one lacks are
    deleted by the same commit. The model card gets the metadata that it lacks; the one here stays as it is.
    private: make it a private one. revision: the branch, made where there is none. license: what the card is to state; must
    be given where the card states none. token: the stored one (`hf auth login`) or HF_TOKEN if not given. dry_run: check
    and list, without the network.
    Raises `CheckpointError` for a checkpoint, a card or files that cannot be published, `ValueError` for what the hub refuses.
    """
    upload = prepare(folder, repo_id, license)
    if revision and _COMMIT.fullmatch(revision):
        raise ValueError(f"revision {revision} is a commit, and commits do not change; name a branch")
    if dry_run:
        return upload
    hub = _library()
    api = hub.HfApi(token=token, library_name="kayan", library_version=kayan.__version__)
    try:
        if not api.repo_exists(repo_id, repo_type="model"):
            for kind in ("dataset", "space"):
                if api.repo_exists(repo_id, repo_type=kind):
                    raise _Refused(f"it is a {kind} there, not a model; choose another name")
        api.create_repo(repo_id, repo_type="model", private=private or None, exist_ok=True)
        # Asked of one that is there already, the library passes over `private`.
        if private and not api.repo_info(repo_id, repo_type="model").private:
            raise _Refused("it exists and is public, though a private one is asked for; make it private there first")
        if revision and not revision.startswith("refs/"):
            api.create_branch(repo_id, repo_type="model", branch=revision, exist_ok=True)
        there = api.repo_info(repo_id, repo_type="model", revision=revision)
        names = {path.name for path in upload.files}
        stale = sorted(
            file.rfilename for file in there.siblings or () if _belongs(file.rfilename) and file.rfilename not in names
        )
        operations: list[Any] = [hub.CommitOperationDelete(path_in_repo=name) for name in stale]
        for path in upload.files:
            content: Any = upload.card.encode() if path.name == CARD else path
            operations.append(hub.CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=content))
        done = api.create_commit(
            repo_id,
            operations,
            commit_message=message or f"Upload a checkpoint with kayan {kayan.__version__}",
            repo_type="model",
            revision=revision,
            parent_commit=there.sha,
        )
    except Exception as error:
        raise ValueError(f"{repo_id}: not pushed: {_reason(error, repo_id, revision, token)}") from None
    return replace(upload, removed=tuple(stale), url=str(done.commit_url))


class _Refused(ValueError):
    """Our own reason, to be told as it is."""


def prepare(folder: str | Path, repo_id: str, license: str | None = None) -> Upload:
    """Check a checkpoint and its card, and list what of the folder is uploaded and what is not; no network.

    Raises as `push_to_hub` does.
    """
    hub = _library()
    try:
        hub.utils.validate_repo_id(repo_id)
    except ValueError as error:
        raise ValueError(str(error)) from None
    if repo_id.count("/") != 1:
        raise ValueError(f"the repository must be named ORGANISATION/NAME or USER/NAME, not {repo_id!r}")
    run, folder = Path(folder), Path(folder)
    if not (folder / POLICY_FILE).exists() and (folder / "best" / POLICY_FILE).exists():
        folder = folder / "best"
    checkpoint = inspect(folder)
    entries = sorted(folder.iterdir())
    files = tuple(path for path in entries if path.is_file() and _belongs(path.name))
    digest = weights_digest(checkpoint.path).encode()
    for path in files:
        # Another file of the folder would be published under the name of this one. The hub's cache consists of links.
        if path.is_symlink() and folder.resolve().parent.name != "snapshots":
            raise CheckpointError(f"{path} is a link; put the file itself there")
        # A graph's metadata hold the digest as it is written, so that no library is needed to find it.
        if path.name in ONNX_FILES.values() and digest not in path.read_bytes():
            raise CheckpointError(
                f"{path} was made from other weights than those beside it; make it anew with kayan export, or remove it"
            )
    if run != folder:
        entries += sorted(path for path in run.iterdir() if path != folder)
    left_out = (f"{path.relative_to(run)}{'/' * path.is_dir()}" for path in entries if path not in files)
    return Upload(repo_id, folder, files, tuple(left_out), model_card(checkpoint, repo_id, license))


def model_card(checkpoint: Checkpoint, repo_id: str, license: str | None = None) -> str:
    """The checkpoint's README.md as the hub wants it: with language, library, task and licence in its front matter, and an
    example that loads `repo_id`. Raises `CheckpointError` for metadata that the hub would refuse, naming the key."""
    file = checkpoint.path / CARD
    if not file.is_file():
        raise CheckpointError(f"{checkpoint.path} has no {CARD}: a published checkpoint needs a model card")
    text = read_text(file)
    if not text.lstrip().startswith("---"):
        # The library would say in its log that there is no front matter.
        text = f"---\n{{}}\n---\n{text}"
    elif not _FRONT.match(text):
        raise CheckpointError(f"{file} begins with --- but no second --- closes its front matter")
    try:
        card = _library().ModelCard(text)
    except Exception as error:  # ValueError, TypeError and the YAML parser's own
        raise CheckpointError(f"{file} has no valid front matter: {' '.join(str(error).split())}") from None
    known = {"language": "ar", "library_name": "kayan", "pipeline_tag": "token-classification"}
    for key, value in {**known, "tags": ["named-entity-recognition"]}.items():
        if not card.data.get(key):
            card.data[key] = value
    if license:
        card.data["license"] = license
    if not card.data.get("license"):
        raise CheckpointError(f"{file} states no license; give one: --license apache-2.0 (ids: {_LICENCES})")
    for problem in _problems(card.data):
        raise CheckpointError(f"{file}: {problem}")
    card.text = re.sub(r'Tagger\.load\("[^"/]+"\)', f'Tagger.from_pretrained("{repo_id}")', card.text)
    return str(card)


def _problems(data: Any) -> Iterator[str]:
    for key, several, pattern, wanted in _CHECKED:
        value = data.get(key)
        values = value if several and isinstance(value, list) else [] if value is None else [value]
        for one in values:
            if not isinstance(one, str) or not re.fullmatch(pattern, one):
                yield f"{key} in the front matter must be {wanted}, not {reprlib.repr(one)}"
    for result in data.get("eval_results") or ():
        for key in ("task_type", "dataset_type", "dataset_name", "metric_type"):
            if not isinstance(getattr(result, key), str) or not getattr(result, key):
                yield f"model-index in the front matter: {key.replace('_', '.')} must be a word, not {getattr(result, key)!r}"
        if isinstance(result.metric_value, bool) or not isinstance(result.metric_value, int | float | str):
            yield f"model-index in the front matter: metric.value must be a number, not {reprlib.repr(result.metric_value)}"


def _belongs(name: str) -> bool:
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in FILES)


def _library() -> Any:
    try:
        # It imports what is in it when that is asked for, but not its modules.
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError:
        raise ImportError(
            "huggingface_hub is not installed: the hub needs it, install it with: pip install 'kayan[hub]'"
        ) from None
    return huggingface_hub


def _reason(error: Exception, repo_id: str, revision: str | None, token: str | bool | None) -> str:
    """What went wrong with the hub, in one line and without a token."""
    errors = _library().errors
    login = "log in with `hf auth login`, or set HF_TOKEN"
    status = getattr(getattr(error, "response", None), "status_code", None)
    chain = list(_causes(error))
    if isinstance(error, _Refused):
        return str(error)
    if isinstance(error, errors.GatedRepoError):
        return f"its owners give access on request, see https://huggingface.co/{repo_id}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no model of that name, or it is private: {login}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {revision!r}; a branch, a tag or a whole commit is expected"
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return f"the hub does not know who you are: {login}"
    if status == 403:
        return "your token may not do that there; it needs the right to write to that user or organisation"
    if any(isinstance(one, errors.OfflineModeIsEnabled) for one in chain):
        return "HF_HUB_OFFLINE is set, and the cache does not hold it"
    if any(type(one).__name__ in _UNREACHABLE for one in chain):
        return "the hub cannot be reached; is there a network?"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "the cache does not hold it, all of it, in that revision; fetch it once with the network"
    said = " ".join(str(error).split()) or type(error).__name__
    for secret in (token, _library().get_token()):
        if isinstance(secret, str) and secret:
            said = said.replace(secret, "…")
    said = _SECRET.sub("…", said)
    return said if len(said) <= _LONGEST else said[:_LONGEST] + "…"


# Of httpx, httpx2 and requests, one of which the installed version of huggingface_hub stands on.
_UNREACHABLE = frozenset(
    "ConnectError ConnectTimeout ConnectionError ProxyError ReadTimeout Timeout TimeoutException".split()
)


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
