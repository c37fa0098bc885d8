"""What maintainers allow: the records of ``policy:`` in hubstack.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hubstack.source import Position


class Rule(StrEnum):
    """What an exception can be made from."""

    INSTRUCTIONS = "instructions"
    MOUNTS = "mounts"
    RUN_NETWORK = "run-network"
    TEST_NETWORK = "test-network"
    UPSTREAM = "upstream"
    OWNERS = "owners"
    DEFAULTS = "defaults"
    SIZE = "size"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """In compressed bytes, which is what travels. None: no limit."""

    layer: int | None = None  # what a layer may add to the image below it
    growth: int | None = None  # what a change may add to that
    percent: int | None = None  # the same growth, in percent of the image before


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """``until`` is the last day on which it holds, as 2027-03-01."""

    layer: str
    rule: Rule
    reason: str
    until: str
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """None stands for no limit. Names of layers and images are globs."""

    maintainers: tuple[str, ...] = ()
    require_owners: bool = False
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # layers → who owns them
    instructions: tuple[str, ...] | None = None  # in capitals
    mounts: tuple[str, ...] | None = None
    run_network: bool = True  # of instructions that layers write themselves
    test_network: bool = True
    upstream: tuple[str, ...] | None = None
    defaults: tuple[str, ...] | None = None
    size: Budget = field(default_factory=Budget)
    lint_ignore: tuple[str, ...] = ()
    exceptions: tuple[Exemption, ...] = ()
