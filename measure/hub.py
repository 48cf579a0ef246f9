"""The model hub: what is listed there, what a repository holds, its files at a commit.

The only file that knows `huggingface_hub`. HF_ENDPOINT says where the hub is, HF_HUB_CACHE where
files are kept, HF_TOKEN who asks; all three are read when they are needed. Waiting for rate limits
and trying again after 5xx is the client's own.
"""

import errno
import glob
import json
import os
import re
import shutil
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from measure.errors import BadInput
from measure.hashing import file_sha256, git_blob_sha1

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

Relation = Literal["finetune", "quantized", "adapter", "merge"]
SortedBy = Literal["created_at", "last_modified"]
RELATIONS: tuple[Relation, ...] = ("finetune", "quantized", "adapter", "merge")
HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
# What a download may bring: weights, configuration, tokenizer. Never code, never pickle.
DOWNLOAD_PATTERNS = ("*.safetensors", "*.json", "merges.txt")
CARD_BYTES = 256 * 1024  # of a card's text, what is read
JSON_BYTES = 16 * 1024 * 1024
TIMEOUT_S = 30.0
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota, size of a file
RETRIES = 4


class Gated(BadInput):
    """A repository whose terms nobody has accepted for this token."""


class Absent(BadInput):
    """No such repository or commit, for this token: never there, private, or deleted since."""


class Corrupt(ConnectionError):
    """A file that came otherwise than the hub says it is; it was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a repository at a commit, as the hub describes it."""

    name: str
    size: int
    sha256: str | None  # of files in large-file storage
    git_sha1: str | None  # of the others


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of a listing."""

    repo: str
    sha: str | None
    created_at: datetime | None
    modified_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What the hub says of a repository at a commit, before anything is downloaded."""

    repo: str
    sha: str
    created_at: datetime | None
    modified_at: datetime | None
    is_gated: bool
    is_disabled: bool
    licence: str | None
    datasets: tuple[str, ...]
    tags: tuple[str, ...]
    n_params: int | None  # as the hub counted them
    files: tuple[RemoteFile, ...]

    def model_files(self) -> tuple[RemoteFile, ...]:
        """What a download brings."""
        return tuple(file for file in self.files if is_part(file.name))


def match(ref: str) -> re.Match[str] | None:
    """`org/name@revision`, taken apart; None for anything else."""
    return None if ".." in ref else HUB_ID.fullmatch(ref)


def split(ref: str) -> tuple[str, str | None]:
    """Repository and revision of a reference that `match` knows."""
    found = match(ref)
    assert found is not None, ref
    return found["repo"], found["revision"]


def is_commit(revision: str | None) -> bool:
    """Whether a revision is a whole commit sha, which nothing can move."""
    return revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def is_part(name: str) -> bool:
    """Whether a file is downloaded: in the repository's own folder, and of a kind that is safe."""
    return "/" not in name and any(fnmatch(name, pattern) for pattern in DOWNLOAD_PATTERNS)


def leaves_its_folder(name: str) -> bool:
    r"""Whether a path would lie outside of the folder it is put into: `../x`, `/x`, `a\\..\\b`."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in path.parts[0]


def cache_dir() -> Path:
    """Where downloaded files are kept."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE).expanduser()


def merged_dir() -> Path:
    """Where adapters stand that were applied to their base, beside the cache."""
    return cache_dir().with_name(cache_dir().name + "-merged")


def _endpoint() -> str:
    from huggingface_hub import constants

    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


# --- what is asked -------------------------------------------------------------------------------


def derivatives(base: str, relation: Relation, by: SortedBy) -> Iterator[Listed]:
    """Repositories tagged as made from `base`, newest first, page by page as they are taken."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=_endpoint())
    with errors_named(base):
        found = api.list_models(filter=f"base_model:{relation}:{base}", sort=by, full=True)
        for info in found:
            yield Listed(
                repo=info.id,
                sha=info.sha,
                created_at=info.created_at,
                modified_at=info.last_modified,
            )


def repository(ref: str) -> Repository:
    """A repository at its revision's present commit, its files with size and hash."""
    found = _info(ref, {"blobs": True})
    if not found.sha:
        raise ConnectionError(f"the model hub names no commit of {ref!r}: try later")
    card: Any = found.card_data or {}
    datasets = card.get("datasets") or ()
    licence = card.get("license")
    return Repository(
        repo=found.id,
        sha=found.sha,
        created_at=found.created_at,
        modified_at=found.last_modified,
        is_gated=bool(found.gated),
        is_disabled=bool(found.disabled),
        licence=licence if isinstance(licence, str) else None,
        datasets=_texts(datasets),
        tags=_texts(found.tags or ()),
        n_params=found.safetensors.total if found.safetensors else None,
        files=tuple(
            RemoteFile(
                name=one.rfilename,
                size=one.size or 0,
                sha256=one.lfs.sha256 if one.lfs else None,
                git_sha1=None if one.lfs else one.blob_id,
            )
            for one in found.siblings or ()
        ),
    )


def commit_of(ref: str) -> str:
    """The commit that a reference means now."""
    found = _info(ref, {}).sha
    if not found:
        raise ConnectionError(f"the model hub names no commit of {ref!r}: try later")
    return found


def read_text(ref: str, name: str, limit: int = CARD_BYTES) -> str | None:
    """The first `limit` bytes of a text file at the reference's commit; None without that file."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

    repo, revision = split(ref)
    url = hf_hub_url(repo, name, revision=revision, endpoint=_endpoint())
    headers = build_hf_headers() | {"Range": f"bytes=0-{limit - 1}"}
    with errors_named(ref):
        try:
            answer = http_backoff(
                "GET",
                url,
                headers=headers,
                timeout=TIMEOUT_S,
                follow_redirects=True,
                max_retries=RETRIES,
            )
            hf_raise_for_status(answer)
        except EntryNotFoundError:
            return None
    return answer.content[:limit].decode("utf-8", errors="replace")


def read_json(ref: str, name: str) -> Mapping[str, Any] | None:
    """A JSON object at the reference's commit; None without that file, or if it is none."""
    text = read_text(ref, name, JSON_BYTES)
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _info(ref: str, params: Mapping[str, object]) -> "ModelInfo":
    from urllib.parse import quote

    from huggingface_hub import ModelInfo
    from huggingface_hub.utils import (
        build_hf_headers,
        hf_raise_for_status,
        http_backoff,
        validate_repo_id,
    )

    repo, revision = split(ref)
    url = f"{_endpoint()}/api/models/{repo}"
    if revision is not None:
        url += f"/revision/{quote(revision, safe='')}"
    with errors_named(ref):
        validate_repo_id(repo)
        answer = http_backoff(
            "GET",
            url,
            params=dict(params),
            headers=build_hf_headers(),
            timeout=TIMEOUT_S,
            follow_redirects=True,  # a repository that was renamed
            max_retries=RETRIES,
        )
        hf_raise_for_status(answer)
        return ModelInfo(**answer.json())


def _texts(values: object) -> tuple[str, ...]:
    if isinstance(values, str):
        return (values,)
    if not isinstance(values, Sequence):
        return ()
    return tuple(one for one in values if isinstance(one, str))


# --- what is downloaded --------------------------------------------------------------------------


def fetch(ref: str, sha: str) -> Path:
    """The folder of a repository's model files at a commit, each checked against the hub's hash.

    Raises:
        Corrupt: a file has another content than the hub says; it is deleted and comes anew.
        BadInput: a name that leads outside of the folder.
    """
    from huggingface_hub import snapshot_download

    repo = split(ref)[0]
    found = repository(f"{repo}@{sha}")
    bad = [file.name for file in found.files if leaves_its_folder(file.name)]
    if bad:
        raise BadInput(f"hub model {ref!r} names the file {bad[0]!r}, which is refused: no path "
                       "may lead outside of its folder")  # fmt: skip
    wanted = found.model_files()
    with errors_named(ref):
        folder = Path(
            snapshot_download(
                repo,
                revision=sha,
                allow_patterns=[glob.escape(file.name) for file in wanted],
                endpoint=_endpoint(),
                cache_dir=cache_dir(),
            )
        )
    for file in wanted:
        _check(ref, folder / file.name, file)
    return folder


def _check(ref: str, path: Path, file: RemoteFile) -> None:
    if not path.is_file():
        raise Corrupt(f"hub model {ref!r}: {file.name!r} did not come: try again")
    if file.sha256 is not None:
        is_right = file_sha256(path) == file.sha256
    else:
        is_right = file.git_sha1 is None or git_blob_sha1(path) == file.git_sha1
    if is_right:
        return
    path.resolve().unlink(missing_ok=True)  # the content that the name points to
    path.unlink(missing_ok=True)
    raise Corrupt(
        f"hub model {ref!r}: {file.name!r} is not what the hub says it is (its hash differs); it "
        "was deleted: try again"
    )


def evict(limit_bytes: int, keep: Collection[str]) -> list[str]:
    """Delete what was used longest ago until the cache is within its limit; what was deleted.

    `keep` names commits that stay, whatever they take. Applied adapters go first: they are made
    again from what is kept.
    """
    from huggingface_hub import scan_cache_dir

    if not cache_dir().is_dir():
        return []
    deleted: list[str] = []
    merged = sorted(_folders(merged_dir()), key=lambda folder: folder.stat().st_mtime)
    sizes = {folder: sum(one.stat().st_size for one in folder.iterdir()) for folder in merged}
    found = scan_cache_dir(cache_dir())
    total = found.size_on_disk + sum(sizes.values())
    for folder in merged:
        if total <= limit_bytes:
            return deleted
        shutil.rmtree(folder, ignore_errors=True)
        total -= sizes[folder]
        deleted.append(folder.name)
    revisions = [
        (repo.last_accessed, repo.repo_id, revision)
        for repo in found.repos
        for revision in repo.revisions
        if revision.commit_hash not in keep
    ]
    for _, repo_id, revision in sorted(revisions, key=lambda one: one[:2]):
        if total <= limit_bytes:
            break
        strategy = found.delete_revisions(revision.commit_hash)
        strategy.execute()
        total -= strategy.expected_freed_size
        deleted.append(f"{repo_id}@{revision.commit_hash}")
    return deleted


def _folders(root: Path) -> list[Path]:
    return [one for one in root.iterdir() if one.is_dir()] if root.is_dir() else []


@contextmanager
def errors_named(ref: str) -> Generator[None]:
    """Turn what the hub's client raises into BadInput (final) or ConnectionError (transient)."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise Gated(
            f"hub model {ref!r} is gated: accept its terms on the hub and set HF_TOKEN"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise Absent(
            f"hub model {ref!r} does not exist at that name and revision, or is private: "
            "check the spelling, or set HF_TOKEN"
        ) from error
    except HFValidationError as error:
        raise BadInput(f"model {ref!r} is no valid hub id: give `org/name@revision`") from error
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403, 404, 410):
            raise Absent(
                f"the model hub refuses {ref!r} ({error.response.status_code}): it is private, "
                "disabled or gone; set HF_TOKEN if it is yours"
            ) from error
        raise ConnectionError(
            f"the model hub answered {error.response.status_code} for {ref!r}: try later"
        ) from error
    except Exception as error:
        # The client's transport is httpx or its successor, by version; their errors share a name.
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled) or (
            "TransportError" in kinds
        ):
            raise ConnectionError(
                f"the model hub cannot be reached for {ref!r} ({type(error).__name__}): "
                "check the network, or give a folder"
            ) from error
        if isinstance(error, OSError) and error.errno in FULL:
            raise BadInput(
                f"there is no room for hub model {ref!r} in {str(cache_dir())!r} "
                f"({error.strerror}): free some space, or set HF_HUB_CACHE to a larger disk"
            ) from error
        if isinstance(error, OSError) and "Consistency check failed" in str(error):
            raise ConnectionError(
                f"a file of hub model {ref!r} came cut short: try again"
            ) from error
        raise
