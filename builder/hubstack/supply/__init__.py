"""What is said about images for others to check: bills of materials, provenance, and signatures by cosign.

:mod:`~hubstack.supply.bom` and :mod:`~hubstack.supply.provenance` are pure; :mod:`~hubstack.supply.cosign` starts cosign;
:mod:`~hubstack.supply.seal` puts them together, and refuses what nobody that the project trusts has signed.
"""
