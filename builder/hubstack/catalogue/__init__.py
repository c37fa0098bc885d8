"""What is published, for people: which image holds which packages, who offers it, and what has changed.

``reading`` asks the registry; ``origin``, ``query`` and ``change`` know what the answers mean; ``entry`` puts them
together with the project; ``page`` and ``folder`` make a static site of it.
"""
