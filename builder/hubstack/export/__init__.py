"""The plan for other engines: a file for ``docker buildx bake``, a workflow for Argo."""
