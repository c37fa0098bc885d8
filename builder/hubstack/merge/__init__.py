"""Putting layers together without building: a three-way merge of filesystem layers that understands the files that matter."""
