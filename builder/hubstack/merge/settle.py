"""One RUN in the merged image, without network, that does what no merge of files can: what its packages would have done to
each other's files had they been installed one after the other.

Only what is known to be missing is run: running all maintainer scripts again changes answers of debconf's, and more.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from hubstack.merge.interest import Interest
from hubstack.model import Rendered
from hubstack.render.packages import RUN_SCRIPT, script

_ENVIRONMENT = 'export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"'
_DOCKERFILE = """\
FROM parent
ARG SOURCE_DATE_EPOCH
USER root
RUN --network=none \\
    --mount=type=tmpfs,target=/tmp \\
    --mount=type=bind,source=.hubstack,target=/tmp/.hubstack \\
    sh /tmp/.hubstack/run.sh <<'EOF'
{script}
EOF
"""


def settle_script(interests: Iterable[Interest]) -> str:
    """Shell commands; the same for the same interests in whichever order."""
    wanted = set(interests)
    triggers = sorted({shlex.quote(one.trigger) for one in wanted if one.trigger})
    commands = sorted({one.command for one in wanted if one.command})
    lines = [_ENVIRONMENT, *commands]
    lines += [f"dpkg-trigger --no-await --by-package=dpkg {trigger}" for trigger in triggers]
    return "\n".join([*lines, "dpkg --triggers-only --pending"])


def render_settling(interests: Iterable[Interest]) -> Rendered:
    text = _DOCKERFILE.format(script=settle_script(interests))
    return Rendered(dockerfile=text, origins=(), context=(script(RUN_SCRIPT),))
