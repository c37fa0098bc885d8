"""What is known of a repository's node before anybody fetches the repository."""

from __future__ import annotations

from importlib import resources

from hubstack.model import Layer, Rendered, Revision, SourceFile
from hubstack.render.packages import RUN_SCRIPT, script

PROVIDE, ENTRYPOINT = ".hubstack/provide.py", ".hubstack/entrypoint.sh"
SCRIPTS = (ENTRYPOINT, PROVIDE, RUN_SCRIPT)
"""What the steps of its build call, as they lie in the build context; the repository lies in src/ beside them."""

_UNKNOWN = "0" * 40
_DOCKERFILE = """\
# {url} at {commit}
# Once it is fetched, its own files say what stands here: see `hubstack repo`.
FROM parent
"""


def render_repository(layer: Layer, revision: Revision | None) -> Rendered:
    """``revision`` is None where the lock has none, so that this can't be built."""
    assert layer.repository is not None
    known = revision or Revision(url=layer.repository.url, ref=layer.repository.ref, commit=_UNKNOWN)
    dockerfile = _DOCKERFILE.format(url=known.url, commit=known.commit if revision else "a commit to be locked")
    return Rendered(
        dockerfile=dockerfile,
        origins=(layer.source.key("repository"),) * len(dockerfile.splitlines()),
        context=(_script(ENTRYPOINT), _script(PROVIDE), script(RUN_SCRIPT)),
        repository=known,
    )


def _script(path: str) -> SourceFile:
    name = path.rpartition("/")[2]
    content = resources.files("hubstack").joinpath("inside", name).read_bytes()
    return SourceFile(path=path, content=content, executable=True)
