"""``signing:`` in ``hubstack.yaml``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from hubstack.errors import Problem
from hubstack.files.form import Form
from hubstack.files.scalar import Fault, Flag, Regex, scalar, text, unfit
from hubstack.model import Signing
from hubstack.source import Source
from hubstack.spelling import quote


def _key(value: object) -> str:
    path = text(value)
    if path.endswith(".key"):
        raise Fault(f"is {quote(path)}, which looks like a private key", "Name the public one (cosign.pub).")
    if path.startswith("/") or posixpath.normpath(path).startswith(".."):
        raise Fault(f"is {quote(path)}, outside of the project", "Put the public key into the project.")
    return path


def _issuer(value: object) -> str:
    line = text(value)
    if not line.startswith("https://"):
        raise unfit(
            line, "an address that begins with https://", "GitHub's is https://token.actions.githubusercontent.com."
        )
    return line  # fmt: skip


class SigningForm(Form):
    """Whose signatures are trusted: `key`, or `identity` and `issuer`."""

    key: Annotated[str, scalar("path", _key)] = Field("", description="A public key's file, in the project.")
    identity: Regex = Field(
        "",
        description="Who signs without a key: a regular expression over the certificate's subject, as "
        "`^https://github.com/OWNER/REPO/.github/workflows/[^@]+@refs/heads/main$`.",
    )
    issuer: Annotated[str, scalar("address", _issuer)] = Field(
        "", description="Who knows them: for GitHub Actions https://token.actions.githubusercontent.com."
    )
    transparency_log: Flag = Field(
        True, description="Whether signatures are written to, and looked up in, Rekor. Not on a closed network."
    )

    def record(self, source: Source) -> Signing:
        return Signing(
            key=self.key,
            identity=self.identity,
            issuer=self.issuer,
            transparency_log=self.transparency_log,
            position=source.at("signing"),
        )


def signing_faults(form: SigningForm | None, source: Source) -> Iterator[Problem]:
    """What is wrong between the fields."""
    if form is None or any(
        path[:1] == ("signing",) and len(path) > 1 and _is_cut(form, str(path[1])) for path in source.keys
    ):
        return  # fmt: skip
    keyless = bool(form.identity), bool(form.issuer)
    if (bool(form.key), *keyless) not in {(True, False, False), (False, True, True)}:
        what = "signing must name either a key, or an identity and its issuer"
        yield Problem(position=source.at("signing"), what=what, remedy="Write `signing: {key: cosign.pub}`.")
    elif all(keyless) and not form.transparency_log:
        what = "signing without a key needs the transparency log: it says that the certificate was valid then"
        position = source.at("signing", "transparency_log")
        yield Problem(position=position, what=what, remedy="Remove `transparency_log`, or use a key.")
    if form.identity and not _is_whole(form.identity):
        what = f"identity is {quote(form.identity)}, which also fits what only contains it"
        remedy = "Begin it with ^ and end it with $, also on both sides of a |."
        yield Problem(position=source.at("signing", "identity"), what=what, remedy=remedy)


def _is_whole(regex: str) -> bool:
    """Whether it fits whole texts only. ``^a|b$`` does not: it is ``^a`` or ``b$``."""
    bare, outside = "", re.sub(r"\\.|\[\^?\]?[^]]*\]", "", regex)
    while bare != outside:
        bare, outside = outside, re.sub(r"\([^()]*\)", "", outside)
    return all(one.startswith("^") and one.endswith("$") for one in outside.split("|"))


def _is_cut(form: SigningForm, field: str) -> bool:
    """A wrong value was reported and taken away."""
    return field in SigningForm.model_fields and field not in form.model_fields_set
