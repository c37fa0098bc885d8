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
from jupyterhub.utils import maybe_future as _maybe_future
from traitlets.utils.importstring import import_item as _import_item
from z2jh import get_config as _get_config


def _with_combinations(spawner, profiles, maybe_future):
    from tornado.web import HTTPError

    # a profile's slug -> the image that its launcher names -> what options can make of it
    groups = {slug: {one["image"]: one for one in keys.values()} for slug, keys in profiles.items()}

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

    def looked_up(profile, image, environment):
        group = groups.get(profile.get("slug"), {}).get(image)
        if group is None or environment.keys().isdisjoint(group["options"]):
            return image
        chosen = frozenset((name, environment.get(name)) for name in group["options"])
        images = {frozenset(one["chosen"].items()): one["image"] for one in group["images"].values()}
        if chosen not in images:
            nearest = max(images, key=lambda there: len(there & chosen))
            raise refusal(
                f"{group['title']} is not offered with {words(group, chosen)}. "
                f"Choose another combination, as {words(group, nearest)}."
            )
        return images[chosen]

    class OptionSpawner(spawner):
        async def _option_profile(self, slug):
            listed = self.profile_list
            if callable(listed):
                listed = await maybe_future(listed(self))
            listed = [*listed.values()] if isinstance(listed, dict) else listed
            preset = next((one for one in listed if one.get("default")), next(iter(listed), {}))
            return next((one for one in listed if one.get("slug") == slug), {}) if slug else preset

        async def _told_before_the_start(self, options):
            posted = options or {}
            if posted.get("image--unlisted-choice"):
                return options
            profile = await self._option_profile(posted.get("profile"))
            image, environment = None, {}
            for name, option in profile.get("profile_options", {}).items():
                choices = option.get("choices", {})
                if posted.get(f"{name}--unlisted-choice") or not choices:
                    continue
                preset = next((key for key, one in choices.items() if one.get("default")), next(iter(choices)))
                key = posted.get(name) or preset
                if key not in choices:
                    raise refusal(f"This hub has no choice {key!r}.")
                override = choices[key].get("kubespawner_override", {})
                image = override.get("image", image)
                if isinstance(override.get("environment"), dict):
                    environment.update(override["environment"])
            looked_up(profile, image, environment)
            return options

        async def run_options_from_form(self, form_data):
            return await self._told_before_the_start(await maybe_future(super().run_options_from_form(form_data)))

        async def options_from_query(self, query_data):
            return await self._told_before_the_start(await maybe_future(super().options_from_query(query_data)))

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
            if not posted.get("image--unlisted-choice"):
                profile = await self._option_profile(posted.get("profile"))
                self.image = looked_up(profile, self.image, self.environment)

    return OptionSpawner


_spawner = c.JupyterHub.spawner_class
c.JupyterHub.spawner_class = _with_combinations(
    _import_item(_spawner) if isinstance(_spawner, str) else _spawner,
    _get_config("custom.imageStacks.combinations", {}),
    _maybe_future,
)
"""
"""A spawner that knows combinations, made of whatever the hub has: ``load_user_options`` is where KubeSpawner says that
subclasses support further options. Hooks before and behind it stay the operator's.

Everything is applied by KubeSpawner before it looks, so the order of options means nothing; and it looks only where the
image is then one that has options in the chosen profile, and menus have said which. So an image that was named or built,
or another stack's, or one that another profile has menus for, is left alone.

What a form posts is looked up before the start as well: JupyterHub shows a refusal there above the form. A start that is
refused, which is all that its API gives, counts as a failure, and a hub ends after some (``consecutive_failure_limit``).
"""

OPTIONS_SNIPPET = f"{MENUS_SNIPPET}\n{LOOKUP_SNIPPET}"
