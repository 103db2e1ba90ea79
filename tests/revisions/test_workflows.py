"""The parts of the workflows that post the report, run against stand-ins of GitLab's server and GitHub's client."""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ruamel.yaml import YAML

from synth2real.revisions.markdown import MARKER

ROOT = Path(__file__).parents[2]
OTHER = {"id": 1, "body": f"I like this. {MARKER}"}
OURS = {"id": 7, "body": f"{MARKER}\n## What this changes"}


def _yaml(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(ROOT / name)


class _GitLab(TCPServer):
    """Answers as GitLab's notes do, and remembers what it was asked."""

    notes: list[dict[str, Any]]
    asked: list[tuple[str, str, str]]
    """Method, path, body of the note."""


class _Handler(BaseHTTPRequestHandler):
    server: _GitLab

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = parse_qs(self.rfile.read(length).decode()).get("body", [""])[0]
        allowed = self.headers.get("PRIVATE-TOKEN") == "secret"
        self.server.asked.append((self.command, urlsplit(self.path).path, body))
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.notes).encode())

    do_GET = do_PUT = do_POST = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def gitlab() -> Iterator[_GitLab]:
    with _GitLab(("127.0.0.1", 0), _Handler) as server:
        server.notes, server.asked = [OTHER], []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _post(server: _GitLab, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    (folder / "comparison").mkdir(exist_ok=True)
    (folder / "comparison/comment.md").write_text(f"{MARKER}\nmIoU & <sub>+1.05</sub> 50%\n")
    script = next(part for part in _yaml(".gitlab-ci.yml")["compare"]["script"] if "REPORT_TOKEN" in part)
    environment = {
        "PATH": os.environ["PATH"],
        "CI_API_V4_URL": f"http://127.0.0.1:{server.server_address[1]}/api/v4",
        "CI_MERGE_REQUEST_PROJECT_ID": "5",
        "CI_MERGE_REQUEST_IID": "3",
        "REPORT_TOKEN": token,
    }
    return subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_gitlab_gets_one_note_that_is_updated(gitlab: _GitLab, tmp_path: Path) -> None:
    notes = "/api/v4/projects/5/merge_requests/3/notes"
    body = f"{MARKER}\nmIoU & <sub>+1.05</sub> 50%\n"
    assert _post(gitlab, tmp_path, "secret").returncode == 0
    assert gitlab.asked == [("GET", notes, ""), ("POST", notes, body)]
    gitlab.notes, gitlab.asked = [OTHER, OURS], []
    assert _post(gitlab, tmp_path, "secret").returncode == 0
    assert gitlab.asked == [("GET", notes, ""), ("PUT", f"{notes}/7", body)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_gitlab_refusals_fail_and_no_token_does_not(gitlab: _GitLab, tmp_path: Path) -> None:
    done = _post(gitlab, tmp_path, "wrong")
    assert done.returncode != 0
    assert "401" in done.stderr
    gitlab.asked = []
    assert "artifact only" in _post(gitlab, tmp_path, "").stdout
    assert gitlab.asked == []


_HARNESS = """
const comments = JSON.parse(process.argv[1]), asked = [];
const github = {
  paginate: async () => comments,
  rest: { issues: {
    listComments: null,
    updateComment: async (what) => asked.push(['update', what]),
    createComment: async (what) => asked.push(['create', what]),
  } },
};
const context = { serverUrl: 'https://server', repo: { owner: 'o', repo: 'r' }, runId: 9, issue: { number: 3 } };
(async () => { %s })().then(() => console.log(JSON.stringify(asked)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
@pytest.mark.parametrize("has_ours", [False, True])
def test_github_gets_one_comment_that_is_updated(tmp_path: Path, has_ours: bool) -> None:
    steps = _yaml(".github/workflows/compare.yml")["jobs"]["comment"]["steps"]
    script = next(step["with"]["script"] for step in steps if "github-script" in step["uses"])
    (tmp_path / "comment.md").write_text(f"{MARKER}\nfigures\n")
    comments = [
        {**OTHER, "user": {"type": "Bot"}},
        {**OURS, "id": 6, "user": {"type": "User"}},
        *([{**OURS, "user": {"type": "Bot"}}] if has_ours else []),
    ]
    done = subprocess.run(
        ["node", "-e", _HARNESS % script, json.dumps(comments)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    body = f"{MARKER}\nfigures\n\n[Job and artifact](https://server/o/r/actions/runs/9)\n"
    where = {"owner": "o", "repo": "r"}
    expected = (
        ["update", {**where, "comment_id": 7, "body": body}]
        if has_ours
        else ["create", {**where, "issue_number": 3, "body": body}]
    )
    assert json.loads(done.stdout) == [expected]


def test_only_the_job_that_runs_no_code_of_the_pull_request_may_write() -> None:
    workflow = _yaml(".github/workflows/compare.yml")
    assert workflow["permissions"] == {}
    writers = {name for name, job in workflow["jobs"].items() if "write" in job["permissions"].values()}
    assert writers == {"comment"}
    comment = workflow["jobs"]["comment"]
    assert comment["permissions"] == {"pull-requests": "write"}
    assert "head.repo.full_name == github.repository" in comment["if"]  # a fork's token may not
    assert not any("run" in step or "checkout" in step["uses"] for step in comment["steps"])
    compare = workflow["jobs"]["compare"]
    assert compare["permissions"] == {"contents": "read"}
    assert compare["steps"][0]["with"]["persist-credentials"] is False
    assert not re.search(r"\$\{\{", "".join(step.get("run", "") for step in compare["steps"]))  # nothing is pasted into a shell


def test_a_comparison_that_failed_is_posted_as_its_message(tmp_path: Path) -> None:
    steps = _yaml(".github/workflows/compare.yml")["jobs"]["compare"]["steps"]
    script = next(step["run"] for step in steps if step.get("name") == "summary")
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison/log.txt").write_text("v9: no such revision\n")
    environment = {"PATH": os.environ["PATH"], "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)
    text = (tmp_path / "comparison/comment.md").read_text()
    assert text == f"{MARKER}\n## No comparison\n\n```\nv9: no such revision\n```\n"
    assert (tmp_path / "summary.md").read_text() == text
