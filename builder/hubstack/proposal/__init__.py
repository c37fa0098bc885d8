"""Layers proposed from what exists: Dockerfiles, environments, repositories, images.

Nothing is guessed in silence: what is not understood is in the finding, with its place, and what is only half understood
goes into the layer's Dockerfile.j2 as it was.
"""
