"""A repository of notebooks as an image on top of a stack: repo2docker with a build pack of ours.

``specification`` (with ``condaspec``), ``choice``, ``recipe`` and ``buildpack`` also run in the image in which BinderHub
starts repo2docker, where the rest of hubstack is not: they import nothing but each other, repo2docker and what that needs.
"""
