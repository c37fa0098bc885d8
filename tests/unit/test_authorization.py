from __future__ import annotations

import pytest
from hubstack.registry.authorization import Challenge, parse_challenge


@pytest.mark.parametrize(
    ("text", "challenge"),
    [
        ("", None),
        ("Negotiate", None),
        ('Basic realm="a registry"', ("basic", {"realm": "a registry"})),
        ("BASIC realm=plain", ("basic", {"realm": "plain"})),
        (
            'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
            (
                "bearer",
                {
                    "realm": "https://auth.example/token",
                    "service": "registry.example",
                    "scope": "repository:a/b:pull,push",
                },
            ),
        ),
        ('Basic realm="x", Bearer realm="y" , service = "z"', ("bearer", {"realm": "y", "service": "z"})),
        ('Bearer realm="say \\"hi\\""', ("bearer", {"realm": 'say "hi"'})),
        ('realm="no scheme"', None),
    ],
)
def test_a_challenge(text: str, challenge: tuple[str, dict[str, str]] | None) -> None:
    expected = Challenge(scheme=challenge[0], parameters=challenge[1]) if challenge else None
    assert parse_challenge(text) == expected
