"""The server and its pages know the extensions, and pulling course material works from a repository on disk."""

import os
import pathlib
import subprocess
import tempfile

from nbgitpuller.pull import GitPuller

SERVER = ("jupyter_resource_usage", "jupyterlab_git", "nbgitpuller")
PAGES = ("@jupyter-server/resource-usage", "@jupyterlab/git", "@jupyter-widgets/jupyterlab-manager")


def listing(*command: str) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def git(folder: pathlib.Path, *arguments: str) -> None:
    person = ["-c", "user.name=Jo", "-c", "user.email=jo@example.org"]
    subprocess.run(["git", "-C", str(folder), *person, *arguments], check=True)


server = listing("jupyter", "server", "extension", "list")
missing = [name for name in SERVER if f"{name} enabled" not in server.replace("\x1b[32m", "").replace("\x1b[0m", "")]
pages = listing("jupyter", "labextension", "list")
missing += [name for name in PAGES if name not in pages]
assert not missing, (missing, server, pages)

with tempfile.TemporaryDirectory() as scratch:
    course, copy = pathlib.Path(scratch, "course"), pathlib.Path(scratch, "copy")
    course.mkdir()
    git(course, "init", "--quiet", "--initial-branch=main")
    (course / "lesson.ipynb").write_text("{}")
    git(course, "add", ".")
    git(course, "commit", "--quiet", "--message=first lesson")
    os.environ["GIT_ALLOW_PROTOCOL"] = "file"
    for line in GitPuller(f"file://{course}", str(copy), branch="main").pull():
        print(line, end="")
    assert (copy / "lesson.ipynb").read_text() == "{}"
print("all enabled")
