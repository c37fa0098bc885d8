"""What a preview's processes must agree on: a file in the state folder, named by an environment variable."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "HUBSTACK_PREVIEW"
GITHUB = "https://github.com/{repo}"
LOCAL_PREFIX = "localhost/preview-"
"""Of images that are built where the hub names no image_prefix. No engine asks a registry on port 443 of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    project: str  # the folder whose preview it is
    state: str  # the folder where everything lies that lasts as long as the preview
    password: str
    port: int  # the address that people open
    hub_port: int
    proxy_port: int
    binder_port: int
    repositories: str = GITHUB  # where gh/OWNER/NAME is; {repo} stands for OWNER/NAME
    image_prefix: str = LOCAL_PREFIX  # what the names of built images begin with
    ca_bundle: str = ""  # certificates for fetching and building
    stack_image: str = ""  # what repositories are built on; empty: the hub builds none
    stacks: tuple[Mapping[str, Any], ...] = ()  # what a repository may choose instead, the smallest first
    profiles: tuple[Mapping[str, Any], ...] = ()  # KubeSpawner's profile_list, in the launcher's order
    combinations: Mapping[str, Any] = field(default_factory=dict)  # what a stack's options mean together

    @property
    def path(self) -> Path:
        return Path(self.state) / "preview.json"

    def write(self) -> None:
        self.path.touch(mode=0o600)
        self.path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def of_environment(cls) -> Options:
        fields = json.loads(Path(os.environ[VARIABLE]).read_text(encoding="utf-8"))
        lists = {name: tuple(fields[name]) for name in ("profiles", "stacks")}
        return cls(**{**fields, **lists})
