"""Stacks that are a repository on another stack: that stack's variants, each with one node more on top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hubstack.errors import Problem
from hubstack.graph.chain import Chain
from hubstack.graph.variant import DEFAULT, Point
from hubstack.model import Project, Repository, Stack, Variant
from hubstack.spelling import did_you_mean, enumerate_words, quote


def ground(project: Project, variant: Variant) -> str:
    """What a repository's variant is built on, as authors write it: STACK/VARIANT."""
    repository = project.stacks[variant.stack].repository
    assert repository is not None
    return repository.stack if "/" in repository.stack else f"{repository.stack}/{variant.name}"


def standing(
    project: Project, variants: Sequence[tuple[Variant, Chain]]
) -> tuple[list[tuple[Variant, Chain]], list[Problem]]:
    """The variants of all stacks with a repository, which are to stand on ``variants``' chains; and what is wrong."""
    found: list[tuple[Variant, Chain]] = []
    problems: list[Problem] = []
    for stack in (project.stacks[name] for name in sorted(project.stacks)):
        if (repository := stack.repository) is not None:
            there = [(variant, chain) for variant, chain in variants if variant.stack == repository.below]
            problems += _problems(project, stack, repository, [variant.name for variant, _ in there])
            found += _on(stack, repository, there)
    return found, problems


def named(repository: Repository, variants: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of the stack's variants that it is built on, each with the name of what stands on it.

    On STACK/VARIANT that is ``default``, so that its choices keep their keys when it moves to another variant.
    """
    wanted = repository.stack.partition("/")[2]
    return ((one, DEFAULT if wanted else one) for one in variants if wanted in {"", one})


def points(stack: Stack, variants: Sequence[Variant]) -> tuple[Point, ...]:
    """What a matrix would have given, for comparing names."""
    place = stack.source.at("repository", "stack")
    return tuple(
        Point(name=one.name, base=one.base, given={}, position=place) for one in variants if one.stack == stack.name
    )


def _on(
    stack: Stack, repository: Repository, there: Sequence[tuple[Variant, Chain]]
) -> Iterator[tuple[Variant, Chain]]:
    names = dict(named(repository, [variant.name for variant, _ in there]))
    for variant, chain in there:
        if variant.name in names:
            one = replace(variant, axes={}, point=DEFAULT, chosen={}) if "/" in repository.stack else variant
            yield replace(one, stack=stack.name, name=names[variant.name]), chain


def _problems(project: Project, stack: Stack, repository: Repository, there: Sequence[str]) -> Iterator[Problem]:
    """``there`` are the names of the variants that it could stand on; none where that stack has faults of its own."""
    place = stack.source.at("repository", "stack")
    name, _, variant = repository.stack.partition("/")
    if name not in project.stacks:
        known = sorted(one.name for one in project.stacks.values() if one.repository is None)
        remedy = f"There is {enumerate_words(known, 'and')}." if known else "Write a stack that is made of layers."
        yield Problem(position=place, what=f"unknown stack {quote(name)}{did_you_mean(name, known)}", remedy=remedy)
    elif project.stacks[name].repository is not None:
        what = f"{name} is {'this stack itself' if name == stack.name else 'a stack with a repository, too'}"
        yield Problem(position=place, what=what, remedy="Write a stack that is made of layers.")
    elif variant and there and variant not in there:
        what = f"{name} has no variant {quote(variant)}{did_you_mean(variant, there)}"
        yield Problem(position=place, what=what, remedy=f"It has {enumerate_words(there, 'and')}.")
