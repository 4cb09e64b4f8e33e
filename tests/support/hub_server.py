"""A Hugging Face Hub of a test's own: an HTTP server that speaks the Hub's routes to the real client library.

It keeps repositories in memory: commits, branches, files (large ones over LFS with signed addresses), private and gated
ones, and tokens that may read or write. It can cut downloads short, fail, and let another commit come in between.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    import pytest

WRITES, READS = "hf_" + "w" * 34, "hf_" + "r" * 34
"""A token that may write, and one that may not."""

SIGNATURE = "S1gnatureOfTheServer"
"""In the addresses of large files, as a storage service signs them."""

LARGE = 1000
"""Bytes from which a file goes over LFS; so do weights and archives."""


@dataclass
class Repository:
    """A repository: its commits by id, its branches, and who may see it."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """Make a commit and give its id."""
        parent = self.branches.get(branch, "")
        digest = hashlib.sha1(f"{parent}{len(self.commits)}{message}".encode())
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        self.commits[digest.hexdigest()] = files
        self.branches[branch] = digest.hexdigest()
        self.messages.append(message)
        return digest.hexdigest()

    def find(self, revision: str) -> str | None:
        """The commit that a branch or an id names."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the main branch."""
        return self.commits[self.branches["main"]]


@dataclass
class Hub:
    """What the server holds, what it was asked, and how it misbehaves.

    Attributes:
        url: Its address.
        storage: The address of its storage, another host as far as the client knows.
        repositories: By kind and name: ``("model", "lab/net")``.
        objects: Large files by SHA-256.
        requests: Method and path of every request.
        cuts: How many of the next downloads are cut in their middle.
        refused_commits: How many of the next commits are answered with 503.
        down: Whether every request is answered with 503.
        odd: What requests of repositories are answered with, where it speaks otherwise than a hub.
        before_commit: Called before each commit is taken, as another user would come in between.
    """

    url: str = ""
    storage: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    cuts: int = 0
    refused_commits: int = 0
    down: bool = False
    odd: bytes | None = None
    before_commit: Callable[[], None] | None = None

    def make(self, kind: str, name: str, files: dict[str, bytes] | None = None, **options: Any) -> Repository:
        """Make a repository with a first commit."""
        made = self.repositories[kind, name] = Repository(**options)
        made.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n", **(files or {})}, "initial commit")
        return made

    def asked(self, method: str, part: str) -> int:
        """How often something was asked whose path holds a text."""
        return sum(verb == method and part in path for verb, path in self.requests)


def is_large(name: str, content: bytes) -> bool:
    return len(content) >= LARGE or name.endswith((".safetensors", ".zip"))


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - names of the base class

    # --- answers ------------------------------------------------------------------------------------------------

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, document: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(document).encode(), Content_Type="application/json")

    def _refuse(self, status: int, code: str = "", message: str = "no") -> None:
        named = {"X_Error_Code": code} if code else {}
        self._answer(status, json.dumps({"error": message}).encode(), X_Error_Message=message, **named)

    # --- routes -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        self.where, self.query = unquote(parts.path), parse_qs(parts.query)
        self.hub.requests.append((self.command, self.where))
        if self.hub.down:
            return self._refuse(503, message="down")
        # What the library asks beside that, it keeps in a cache of the user's.
        if self.hub.odd is not None and re.search(_API, self.where):
            return self._answer(200, self.hub.odd, Content_Type="application/json")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in (READS, WRITES):
            return self._refuse(401, message="Invalid credentials in Authorization header")
        self.reads, self.writes = bool(token), token == WRITES
        for pattern, serve in _ROUTES:
            if found := pattern.fullmatch(self.where):
                return serve(self, **{name: value or "" for name, value in found.groupdict().items()})
        return self._refuse(404, message=f"no route {self.where}")

    def _repository(self, kind: str, name: str) -> Repository | None:
        """The repository, or None after a refusal as the Hub refuses."""
        found = self.hub.repositories.get((kind, name))
        if found is None or (found.private and not self.reads):
            self._refuse(404 if self.reads else 401, "RepoNotFound", "Repository not found")
            return None
        if found.gated and not self.writes:
            self._refuse(403 if self.reads else 401, "GatedRepo", "Access to it is restricted")
            return None
        return found

    def _may_write(self) -> bool:
        if not self.writes:
            self._refuse(403 if self.reads else 401, message="You do not have the rights")
        return self.writes

    def create(self) -> None:
        asked = json.loads(self.body)
        if not self._may_write():
            return None
        kind, name = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
        if (kind, name) in self.hub.repositories:
            return self._json({"error": "exists", "url": f"{self.hub.url}/{name}"}, 409)
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.make(kind, name, private=private)
        return self._json({"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}", "id": name})

    def validate_yaml(self) -> None:
        sound = json.loads(self.body)["content"].startswith("---\n")
        faults = [] if sound else [{"message": "no metadata"}]
        self._json({"errors": faults, "warnings": []}, 200 if sound else 400)

    def info(self, kind: str, name: str, revision: str = "") -> None:
        found = self._repository(kind, name)
        if found is None:
            return
        commit = found.find(revision or "main")
        if commit is None:
            self._refuse(404, "RevisionNotFound", "no revision")
            return
        names = [{"rfilename": each} for each in sorted(found.commits[commit])]
        self._json({"id": name, "sha": commit, "private": found.private, "gated": found.gated, "siblings": names})

    def tree(self, kind: str, name: str, revision: str) -> None:
        found = self._repository(kind, name)
        if found is None:
            return
        files = found.commits[found.find(revision) or ""]
        self._json([self._tree_entry(each, content) for each, content in sorted(files.items())])

    @staticmethod
    def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
        entry = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
        if is_large(name, content):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
        return entry

    def preupload(self, kind: str, name: str, revision: str) -> None:
        found = self._repository(kind, name)
        if found is None or not self._may_write():
            return
        there = found.commits[found.find(revision) or ""]
        self._json({"files": [self._upload_mode(each, there) for each in json.loads(self.body)["files"]]})

    @staticmethod
    def _upload_mode(file: dict[str, Any], there: dict[str, bytes]) -> dict[str, Any]:
        large = is_large(file["path"], b"x" * file["size"])
        content = there.get(file["path"])
        oid = content and (hashlib.sha256(content).hexdigest() if large else git_hash(content))
        return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}

    def lfs_batch(self, kind: str, name: str) -> None:
        if self._repository("dataset" if kind else "model", name) is None or not self._may_write():
            return
        objects = []
        for each in json.loads(self.body)["objects"]:
            missing = each["oid"] not in self.hub.objects
            href = f"{self.hub.storage}/storage/{each['oid']}?X-Amz-Signature={SIGNATURE}"
            objects.append({**each, **({"actions": {"upload": {"href": href}}} if missing else {})})
        self._json({"transfer": "basic", "objects": objects})

    def storage(self, digest: str) -> None:
        if self.query.get("X-Amz-Signature") != [SIGNATURE]:
            return self._refuse(403, message="not signed")
        if self.command == "PUT":
            self.hub.objects[digest] = self.body
            return self._answer(200)
        return self._file(self.hub.objects[digest], digest)

    def commit(self, kind: str, name: str, revision: str) -> None:
        found = self._repository(kind, name)
        if found is None or not self._may_write():
            return
        if self.hub.refused_commits:
            self.hub.refused_commits -= 1
            self._refuse(503, message="later")
            return
        if self.hub.before_commit is not None:
            before, self.hub.before_commit = self.hub.before_commit, None
            before()
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, found.branches[revision]):
            self._refuse(412, message="A commit has happened since. Please refresh and try again.")
            return
        files = dict(found.commits[found.branches[revision]])
        for line in lines:
            self._apply(line["key"], line["value"], files)
        made = found.commit(revision, files, header["summary"])
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{made}", "commitOid": made, "success": True})

    def _apply(self, key: str, value: dict[str, Any], files: dict[str, bytes]) -> None:
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = self.hub.objects[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]

    def branch(self, kind: str, name: str, branch: str) -> None:
        found = self._repository(kind, name)
        if found is None or not self._may_write():
            return None
        if branch in found.branches:
            return self._refuse(409, message="Reference already exists")
        found.branches[branch] = found.branches["main"]
        return self._json({})

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        found = self._repository("dataset" if kind else "model", name)
        if found is None:
            return None
        commit = found.find(revision)
        content = found.commits[commit].get(path) if commit else None
        if content is None:
            return self._refuse(404, "EntryNotFound" if commit else "RevisionNotFound")
        known = {"X_Repo_Commit": str(commit)}
        if not is_large(path, content):
            return self._file(content, git_hash(content), **known)
        digest = hashlib.sha256(content).hexdigest()
        self.hub.objects.setdefault(digest, content)
        known |= {"X_Linked_Size": str(len(content)), "X_Linked_Etag": f'"{digest}"'}
        location = f"{self.hub.storage}/storage/{digest}?X-Amz-Signature={SIGNATURE}"
        return self._answer(302, b"", Location=location, **known)

    def _file(self, content: bytes, etag: str, **headers: str) -> None:
        """Send a file, or what a range asks for; where it is told to, only the first half, and hang up."""
        begin = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["", 0])[1])
        whole, content = len(content), content[begin:]
        named = {"ETag": f'"{etag}"', "Accept_Ranges": "bytes", **headers}
        if begin:
            named["Content_Range"] = f"bytes {begin}-{whole - 1}/{whole}"
        if self.command == "GET" and self.hub.cuts and len(content) > 1:
            self.hub.cuts -= 1
            self._answer(206 if begin else 200, content[: len(content) // 2], **named, Content_Length=str(len(content)))
            self.wfile.flush()
            self.close_connection = True
            return
        self._answer(206 if begin else 200, content, **named)


_API = r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)"
_ROUTES: list[tuple[re.Pattern[str], Callable[..., None]]] = [
    (re.compile(pattern), serve)
    for pattern, serve in (
        (r"/api/repos/create", _Handler.create),
        (r"/api/validate-yaml", _Handler.validate_yaml),
        (_API, _Handler.info),
        (_API + r"/revision/(?P<revision>.+)", _Handler.info),
        (_API + r"/tree/(?P<revision>[^/]+)", _Handler.tree),
        (_API + r"/preupload/(?P<revision>.+)", _Handler.preupload),
        (_API + r"/commit/(?P<revision>.+)", _Handler.commit),
        (_API + r"/branch/(?P<branch>.+)", _Handler.branch),
        (r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler.lfs_batch),
        (r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", _Handler.resolve),
        (r"/storage/(?P<digest>[0-9a-f]{64})", _Handler.storage),
    )
]


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """Serve a hub of its own while the block runs."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        hub.storage = f"http://localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def use(hub: Hub, patch: pytest.MonkeyPatch, token: str | None = WRITES) -> None:
    """Have this process's client library speak to a hub, as ``HF_ENDPOINT`` and ``HF_TOKEN`` have a new process."""
    from huggingface_hub import constants, hf_api

    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(hf_api.api, "endpoint", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_TOKEN_PATH", "/nowhere/token")
    if token is None:
        patch.delenv("HF_TOKEN", raising=False)
    else:
        patch.setenv("HF_TOKEN", token)


if __name__ == "__main__":
    # For a shell beside it: a hub to try commands on, until Ctrl-C.
    with running() as served, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"export HF_ENDPOINT={served.url} HF_TOKEN={WRITES} HF_HUB_DISABLE_XET=1\n")
        sys.stdout.flush()
        threading.Event().wait()
