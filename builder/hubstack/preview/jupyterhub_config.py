"""What JupyterHub loads; it gives ``get_config`` to this file and to no module."""

from hubstack.preview.configuration import configure
from hubstack.preview.options import Options

configure(get_config(), Options.of_environment())  # type: ignore[name-defined]  # noqa: F821
