"""The YAML files of a project: their forms, as pydantic models, and the records that they become.

A form says what one file may hold, in the words of design.md; its descriptions are what editors and docs/formats.md
show. Everything that can be wrong in a file by itself is found here; what needs a second file is ``graph``'s business.
"""
