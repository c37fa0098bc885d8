"""The build pack that repo2docker is configured with (``Repo2Docker.buildpacks``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from repo2docker.buildpacks import BuildPack, DockerBuildPack
from repo2docker.engine import BuildError

from hubstack.repository.choice import Offer, choose
from hubstack.repository.recipe import ENTRYPOINT, PROVIDE, STEP, render_dockerfile
from hubstack.repository.specification import Fault, read_specification

_PACKAGE = Path(__file__).parents[1]
SCRIPTS = {
    PROVIDE: _PACKAGE / "inside" / PROVIDE,
    ENTRYPOINT: _PACKAGE / "inside" / ENTRYPOINT,
    STEP: _PACKAGE / "render" / "templates" / STEP,
}


class StackBuildPack(BuildPack):  # type: ignore[misc]
    """Builds the repository in the current directory on ``base_image``, or on the one of ``offers`` that it needs."""

    offers: ClassVar[Sequence[Offer]] = ()

    def detect(self) -> bool:
        return True

    @lru_cache  # noqa: B019 - one build pack lives as long as its process
    def get_build_script_files(self) -> Mapping[str, str]:
        """Into the build context, and from there into the steps. They are copied to nowhere."""
        return {str(path): "" for path in SCRIPTS.values()}

    def render(self, build_args: Mapping[str, str] | None = None) -> str:
        try:
            wanted = read_specification(Path())
            offer = choose(wanted, self.offers, self.base_image)
        except Fault as fault:
            for message in fault.messages:
                self.log.error("hubstack: error: %s\n", message)  # noqa: TRY400 - a traceback would explain nothing
            raise BuildError(str(fault)) from None
        other = wanted.stack and wanted.stack not in {offer.name, offer.stack}
        ignored = [f"{wanted.path('stack')} names {wanted.stack}, but this is built on {offer.name}"] if other else []
        for warning in (*wanted.warnings, *ignored):
            self.log.warning("hubstack: warning: %s\n", warning)
        dockerfile = render_dockerfile(
            wanted,
            image=offer.image,
            stack=offer.name,
            scripts={name: self.generate_build_context_filename(str(path))[0] for name, path in SCRIPTS.items()},
            labels={name: str(value) for name, value in self.get_labels().items()},
            install_r=Path(wanted.install_r).read_text(encoding="utf-8", errors="replace") if wanted.install_r else "",
        )
        return dockerfile + (f"{self.appendix}\n" if self.appendix else "")


def configure(c: Any, offers: Sequence[Offer]) -> None:
    """Set up a repo2docker configuration: a Dockerfile still wins, and everything else is built on a stack."""
    StackBuildPack.offers = tuple(offers)
    c.Repo2Docker.buildpacks = [DockerBuildPack, StackBuildPack]
    c.Repo2Docker.default_buildpack = StackBuildPack
    c.DockerEngine.extra_buildx_build_args = ["--provenance=false", "--sbom=false"]
