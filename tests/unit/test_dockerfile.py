"""Dockerfiles as BuildKit reads them, and what they may not do (security.md, 5)."""

from __future__ import annotations

import pytest
from hubstack.errors import Severity
from hubstack.render.dockerfile import Dockerfile, DockerfileError, parse_dockerfile
from hubstack.render.rule import Allowed, check_dockerfile
from hubstack.source import Position

DIGEST = "sha256:" + "7" * 64
UPSTREAM = "quay.io/jupyter/base-notebook:2026"
ALLOWED = Allowed(
    copy_from=frozenset({"nodejs"}),
    upstream=frozenset({f"{UPSTREAM}@{DIGEST}", "ghcr.io/tool/unlocked:1"}),
    context=frozenset({"files/etc/app.conf", "files/bin/app", "postBuild"}),
)
NOT_BELOW = "the last stage does not stand on parent, so what is below would be lost"


def parse(*lines: str) -> Dockerfile:
    return parse_dockerfile("\n".join(lines) + "\n")


def said(*lines: str) -> list[str]:
    """The faults of a Dockerfile that is right but for ``lines``, which begin in line 2."""
    return complaints("\n".join(["FROM parent", *lines, "USER 1000:100", ""]))


def complaints(text: str, allowed: Allowed = ALLOWED) -> list[str]:
    found = check_dockerfile(text, lambda line: Position(path="x", line=line), allowed)
    assert all(one.remedy.endswith(".") for one in found)
    return [f"{one.position.line}: {'warning: ' * (one.severity is Severity.WARNING)}{one.what}" for one in found]


# --- reading ------------------------------------------------------------------------------------------------------------


def test_continuations_comments_and_blank_lines() -> None:
    one, two, three = parse(
        "# a comment", "", "  run  echo a \\  ", "  # between", "", "\t&& echo b", "FROM x\\", "y", "\\", "USER root"
    ).instructions
    assert (one.name, one.text, one.line, one.end) == ("RUN", "echo a \t&& echo b", 3, 6)
    assert (two.text, two.line, two.end) == ("xy", 7, 8)
    assert (three.name, three.text, three.line) == ("USER", "root", 9)


def test_flags() -> None:
    (one,) = parse("COPY --from=a --chown='1000:100' --link \"--chmod=07 55\" -- --x /y").instructions
    assert one.flags == (("from", "a"), ("chown", "1000:100"), ("link", ""))
    (two,) = parse("COPY --from=a --chmod=\"07 5\"'5' --par\\ents -- --x /y").instructions
    assert two.flags == (("from", "a"), ("chmod", "07 55"), ("parents", ""))
    assert two.words == ("--x", "/y")


def test_mounts() -> None:
    (one,) = parse(
        'RUN --mount=TYPE=cache,target=/a,\\"id=b,c\\" --mount=target=/x,ro --network=none make'
    ).instructions
    assert [dict(mount) for mount in one.mounts()] == [
        {"type": "cache", "target": "/a", "id": "b,c"},
        {"type": "bind", "target": "/x", "ro": ""},
    ]
    assert one.flag("network") == "none"


def test_words() -> None:
    one, two, three = parse('ENV A="b c" D=\'e"f\' G=h\\ i', 'CMD ["a b", "c"]', "CMD [a]").instructions
    assert one.words == ("A=b c", 'D=e"f', "G=h i")
    assert two.words == ("a b", "c")
    assert three.words == ("[a]",)


def test_heredocs() -> None:
    one, two, three = parse(
        "RUN <<EOF cat >/a <<-'B'",
        "FROM evil",
        " EOF",
        "EOF",
        "\tq",
        "\tB",
        'COPY <<"X" /etc/x',
        "USER root \\",
        "X",
        "RUN echo $((1<<2)) <<<word x<<y",
    ).instructions
    assert [(doc.name, doc.content) for doc in one.heredocs] == [("EOF", "FROM evil\n EOF\n"), ("B", "q\n")]
    assert (one.line, one.end, one.heredoc_lines) == (1, 6, 5)
    assert two.heredocs[0].content == "USER root \\\n"
    assert (three.line, three.heredocs) == (10, ())


@pytest.mark.parametrize(
    ("lines", "line", "what"),
    [
        (["FROM a", "RUN"], 2, '"RUN" without arguments'),
        (["FROM a", "RUN --network=none"], 2, "without arguments"),
        (["FROM a", "RUN <<EOF", "x"], 2, 'the here-document "EOF" has no end'),
        (["RUN cat << EOF", "EOF"], 1, "may be a here-document or not"),
        (["RUN cat <<$X", "$X"], 1, "may be a here-document or not"),
        (["RUN ${x:-<<EOF}", "EOF"], 1, "may be a here-document or not"),
        (["RUN (cat <<EOF)", "EOF)"], 1, "may be a here-document or not"),
        (["RUN echo 'a <<EOF", "EOF"], 1, "a quote that is not closed"),
        (["RUN echo a \\\\", "FROM b"], 1, "ends in two backslashes"),
        (["# escape=`", "FROM a"], 1, "another escape character"),
    ],
)
def test_what_is_no_dockerfile(lines: list[str], line: int, what: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(*lines)
    assert (caught.value.line, what in caught.value.what) == (line, True), caught.value.what


# --- rules --------------------------------------------------------------------------------------------------------------

GOOD = f"""\
# check=skip=all
ARG X=1
FROM {UPSTREAM}@{DIGEST} AS tools
FROM scratch AS empty
COPY --from=tools /a /b
FROM parent
COPY --from=nodejs --chown=0:0 /usr/local/bin/node /usr/local/bin/
COPY --from=0 /x /y
COPY --from=empty /b /c
WORKDIR /srv
COPY files/ .
COPY files/etc files/bin/app* ./files/bin/app /srv/
COPY <<EOF /etc/motd
USER root
EOF
ADD --checksum=sha256:123 https://example.org/x.tar.gz /opt/
RUN --mount=type=secret,id=hubstack-ca --mount=from=tools,target=/t --mount=type=cache,target=/c \\
    --mount=type=tmpfs,target=/tmp --network=none make
USER root
HEALTHCHECK NONE
ENV PATH=/opt:$PATH LANG=C.UTF-8
USER 1000:100
"""


def test_a_good_dockerfile() -> None:
    assert complaints(GOOD) == []


@pytest.mark.parametrize(
    "first",
    [
        "# syntax=evil/frontend",
        "#SYNTAX = evil",
        "// syntax=evil/frontend",
        '{"syntax": "evil"}',
        "\n\n# x\n# syntax=e",
    ],
)
def test_foreign_frontends(first: str) -> None:
    found = complaints(f"{first}\nFROM parent\nUSER 1000:100\n")
    assert any("a syntax line hands the build to a program from a registry" in one for one in found)


def test_a_syntax_line_behind_a_shebang() -> None:
    found = complaints("#!/usr/bin/env docker\n# syntax=evil\nFROM parent\nUSER 1000:100\n")
    assert found == ["2: a syntax line hands the build to a program from a registry"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ADD http://127.0.0.1/x /x", 'ADD of "http://127.0.0.1/x" without --checksum'),
        ("ADD HTTPS://example.org/x /x", "without --checksum"),
        ('ADD ["https://example.org/x", "/x"]', "without --checksum"),
        ("ADD git@github.com:a/b.git /x", "without --checksum"),
        ("ADD ssh://git@host/a /x", "without --checksum"),
        ("ADD github.com/a/b /x", "without --checksum"),
        ("ADD ${URL} /x", "only known when it is built"),
        ("RUN --security=insecure id", "RUN --security=insecure is not allowed"),
        ("RUN --network=host id", "RUN --network=host is not allowed"),
        ("RUN --netw\\ork='host' id", "RUN --network=host is not allowed"),
        ("RUN --network=$X id", "RUN --network=$X is not allowed"),
        ("RUN --network host id", "--network without a value"),
        ("RUN --device=all id", "RUN --device is not allowed"),
        ("RUN --mount=type=ssh id", "RUN --mount=type=ssh is not allowed"),
        ("RUN --mount=type=secret,id=aws id", 'the secret "aws" is not one of this build'),
        ("RUN --mount=type=secret,target=/run/secrets/aws id", 'the secret "" is not one of this build'),
        ("RUN --mount=type=cach,target=/x id", 'RUN --mount=type=cach is not allowed (did you mean "cache"?)'),
        ("RUN --mount=type=$X,target=/x id", "RUN --mount=type=$X is not allowed"),
        ("RUN --mount=from=debian,target=/x id", '"debian" is not declared'),
        ('RUN --mount="type=cache,from=debian,target=/x" id', '"debian" is not declared'),
        ("RUN --mount=type=cache,FROM=debian,target=/x id", '"debian" is not declared'),
        ('RUN --mount=type=bind,\\"from=a id', "has wrong quotes"),
        ("COPY --from=debian:12 /a /b", '"debian:12" is not declared'),
        ("COPY --from=node /a /b", '"node" is not declared (did you mean "nodejs"?)'),
        ("COPY --from=1 /a /b", '"1" is not declared'),
        ("COPY --from=${X} /a /b", '"${X}" is only known when it is built'),
        ("COPY --from=ghcr.io/tool/unlocked:1 /a /b", '"ghcr.io/tool/unlocked:1" is not in hubstack.lock'),
        ("COPY --from debian /a /b", "--from without a value"),
        ("COPY files/ /", "COPY onto / gives /tmp and every other folder in it the source's mode"),
        ("COPY --link files/ //", "COPY onto /"),
        ('COPY ["files/", "/."]', "COPY onto /"),
        ("ADD files/ /", "ADD onto /"),
        ("COPY files/ .", "COPY onto /"),
        ("COPY files/etc/ap.conf /etc/", 'not in the build context (did you mean "files/etc/app.conf"?)'),
        ("COPY src/ /etc/", '"src/" is not in the build context'),
        ("ONBUILD RUN id", "ONBUILD is not allowed"),
        ("INSTALL x", '"INSTALL" is no instruction'),
        ("CPOY a b", '"CPOY" is no instruction (did you mean "copy"?)'),
    ],
)
def test_refused(line: str, what: str) -> None:
    found = said("USER root", line)
    assert len(found) == 1, found
    assert found[0].startswith("3: ")
    assert what in found[0]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("ARG GITHUB_TOKEN", "ARG GITHUB_TOKEN"),
        ("ENV A=1 db_password='x y'", "ENV db_password"),
        ("ENV API_KEY x", "ENV API_KEY"),
    ],
)
def test_secrets_in_the_open_are_warned_of(line: str, name: str) -> None:
    assert said(line) == [f"2: warning: {name} looks like a secret, and everybody who has the image can read it"]


@pytest.mark.parametrize("line", ["ENV TOKENIZERS_PARALLELISM=false", "ARG KEYBOARD=us", "ENV X password=1"])
def test_other_names_are_not(line: str) -> None:
    assert said(line) == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["FROM parent", "USER root"], ['2: the image would run as "root"']),
        (["FROM parent", "USER 0"], ['2: the image would run as "0"']),
        (["FROM parent", "USER +0"], ['2: the image would run as "+0"']),
        (["FROM parent", 'USER ""'], ['2: the image would run as ""']),
        (["FROM parent", "USER $NB_UID"], ['2: the image would run as "$NB_UID"']),
        (["FROM parent", "USER 1000:100", "RUN x \\", "&& y", "USER 1000:0"], ['5: the image would run as "1000:0"']),
        (["FROM parent AS a", "USER root", "FROM a", "RUN x"], ['3: the image would run as "root"']),
        (["FROM scratch", "USER 1000:100"], [f"1: {NOT_BELOW}"]),
        (["ARG X", "RUN x"], ["2: RUN before the first FROM", "2: no FROM"]),
        ([""], ["1: no FROM"]),
        (["FROM parent AS nodejs"], ['1: a stage can\'t be called "nodejs": that name is taken']),
        (["FROM parent AS Parent"], ['1: a stage can\'t be called "parent": that name is taken']),
        (["FROM parent AS context"], ['1: a stage can\'t be called "context": that name is taken']),
        (["FROM  debian"], ['1: "debian" is not declared', f"1: {NOT_BELOW}", "1: the last stage has no USER"]),
        (["FROM $X"], ['1: "$X" is only known when it is built', f"1: {NOT_BELOW}", "1: the last stage has no USER"]),
        (["FROM parent as a b"], ["1: FROM takes an image, or an image AS a name"]),
        (["FROM parent AS a", "FROM --platform=$BUILDPLATFORM a AS b", "FROM b"], []),
    ],
)
def test_stages_and_users(lines: list[str], found: list[str]) -> None:
    assert complaints("\n".join(lines) + "\n") == found


def test_a_base_brings_its_own_parent() -> None:
    base = Allowed(base=True, context=frozenset({"rootfs.tar"}))
    begin = "FROM scratch AS parent\nADD rootfs.tar /\nFROM parent\n"
    assert complaints(f"{begin}USER 1000:100\n", base) == []
    assert complaints(begin, base) == ["3: the last stage has no USER"]


def test_every_fault_is_found_at_once() -> None:
    found = said("ONBUILD RUN x", "RUN --network=host x", "COPY --from=x a b")
    assert [one.partition(":")[0] for one in found] == ["2", "3", "4"]


def test_a_fault_stands_at_the_template_line() -> None:
    place = {1: Position(path="layers/a/Dockerfile.j2", line=7)}
    found = check_dockerfile("FROM debian", lambda line: place[line], Allowed())
    assert {str(one.position) for one in found} == {"layers/a/Dockerfile.j2:7:1"}
