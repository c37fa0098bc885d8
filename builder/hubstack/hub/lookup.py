"""Python for ``hub.extraConfig``: which image the choices of a stack's options mean together.

It is text of hubstack's own, the same for every project; what differs stands in the values, under
``custom.imageStacks``. The chart runs all snippets in one module, so their names must not meet.
"""

from __future__ import annotations

NAME = "hubstack-0-options"
"""The snippet's key: before those that filter profiles by groups, for then there is no list any more."""

MENUS_SNIPPET = """\
from z2jh import get_config as _get_config

_menus = _get_config("custom.imageStacks.menus", {})
_profiles = c.KubeSpawner.profile_list
for _profile in _profiles if isinstance(_profiles, list) else []:
    _shown = _profile.get("profile_options", {})
    _names = dict.fromkeys([*_menus.get(_profile.get("slug"), []), *_shown])
    _profile["profile_options"] = {_name: _shown[_name] for _name in _names if _name in _shown}
"""
"""Helm sorts menus by their names, and this puts them into the hub's order again."""

LOOKUP_SNIPPET = """\
from traitlets.utils.importstring import import_item as _import_item
from z2jh import get_config as _get_config


def _with_combinations(spawner, profiles):
    from tornado.web import HTTPError

    groups = {}  # the image that the launcher names -> what options can make of it
    for group in (group for groups_ in profiles.values() for group in groups_.values()):
        known = groups.setdefault(group["image"], {"title": group["title"], "options": group["options"], "images": {}})
        for one in group["images"].values():
            known["images"][frozenset(one["chosen"].items())] = one["image"]

    def refusal(message):
        error = HTTPError(400, message)
        error.jupyterhub_message = message
        return error

    def words(group, chosen):
        told = dict(chosen)
        return ", ".join(
            f"{option['title']}: {option['choices'].get(told.get(name), 'not chosen')}"
            for name, option in group["options"].items()
        )

    class OptionSpawner(spawner):
        async def load_user_options(self):
            for name in [name for name in self.environment if name.startswith("HUBSTACK_OPTION_")]:
                del self.environment[name]  # of an earlier start
            posted = self.user_options or {}
            try:
                await super().load_user_options()
            except KeyError as error:
                if error.args[0] not in posted.values():
                    raise
                raise refusal(f"This hub has no choice {error}.") from error
            group = groups.get(self.image)
            if group is None or posted.get("image--unlisted-choice"):
                return
            chosen = frozenset((name, self.environment.get(name)) for name in group["options"])
            if chosen not in group["images"]:
                nearest = max(group["images"], key=lambda there: len(there & chosen))
                raise refusal(
                    f"{group['title']} is not offered with {words(group, chosen)}. "
                    f"Choose another combination, as {words(group, nearest)}."
                )
            self.image = group["images"][chosen]

    return OptionSpawner


_spawner = c.JupyterHub.spawner_class
c.JupyterHub.spawner_class = _with_combinations(
    _import_item(_spawner) if isinstance(_spawner, str) else _spawner,
    _get_config("custom.imageStacks.combinations", {}),
)
"""
"""A spawner that knows combinations, made of whatever the hub has: ``load_user_options`` is where KubeSpawner says that
subclasses support further options. Hooks before and behind it stay the operator's.

Everything is applied by KubeSpawner before it looks, so the order of options means nothing; and it looks only where the
image is then one that has options. So an image that was named or built, or another stack's, is left alone.
"""

OPTIONS_SNIPPET = f"{MENUS_SNIPPET}\n{LOOKUP_SNIPPET}"
