"""A real JupyterHub on this machine: a hub's launcher, and its servers on the local engine.

`session` runs in hubstack and starts the hub as a child; `configuration`, `spawner` and `container` work in the hub's
process; `binder` and `build` in that of the service that stands in for BinderHub. `options` is what the one tells the
others.
"""
