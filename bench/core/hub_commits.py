"""Writing to the Hugging Face Hub: one commit, on top of what was read, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import SpecError
from bench.core.hub import MAIN, PREFIX, HubPlace, HubState, state_of, told_plainly


@dataclass(frozen=True)
class HubCommit:
    """What a commit came to.

    Attributes:
        revision: The commit that the repository has now.
        new: Whether it was made now; otherwise the repository held all of it already.
    """

    revision: str
    new: bool


def writable_state(place: HubPlace, *, private: bool) -> HubState:
    """What is at a place that is to be written to; repository and branch are made where there are none.

    Args:
        place: The repository; its revision is a branch.
        private: Make the repository for its owners alone.

    Raises:
        HubError: If the Hub cannot be reached or refuses.
        SpecError: If the repository should be private and is public.
    """
    from huggingface_hub import HfApi

    main = HubPlace(place.kind, place.name)
    if state_of(main) is None:
        with told_plainly(place, "written"):
            HfApi().create_repo(place.name, repo_type=place.kind, private=private, exist_ok=True)
    if place.revision not in (None, MAIN):
        with told_plainly(place, "written"):
            HfApi().create_branch(place.name, repo_type=place.kind, branch=str(place.revision), exist_ok=True)
    with told_plainly(place, "written"):
        found = HfApi().repo_info(place.name, repo_type=place.kind, revision=place.revision)
    if private and not found.private:
        raise SpecError(
            f"{PREFIX}{place.name} is public already, and --private was asked for.",
            "Change that in its settings on the Hub, or name another repository.",
        )
    return HubState(str(found.sha), bool(found.private), frozenset(file.rfilename for file in found.siblings or ()))


def commit(
    place: HubPlace, before: HubState, files: Mapping[str, Path | bytes], message: str, removed: Iterable[str] = ()
) -> HubCommit:
    """Write files in one commit; files that are there already are not sent again.

    Args:
        place: The repository; its revision is a branch.
        before: What was read of it; a commit that was made since is an error, so that nothing of it is lost.
        files: Files or their content, by name in the repository.
        message: Of the commit.
        removed: Names of files that go.

    Raises:
        HubChangedError: If somebody else made a commit since ``before``.
        HubError: If the Hub cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    with told_plainly(place, "written"):
        operations = [
            *(CommitOperationDelete(path_in_repo=name) for name in sorted(removed)),
            *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=files[name]) for name in sorted(files)),
        ]
        done = HfApi().create_commit(
            place.name,
            operations,
            commit_message=message,
            repo_type=place.kind,
            revision=place.revision,
            parent_commit=before.commit,
        )
    return HubCommit(str(done.oid), new=done.oid != before.commit)
