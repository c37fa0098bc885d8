"""Files in which packages of languages say their name, their version and what they require. No merger: checks read them."""

METADATA = r".*\.(?:dist-info/METADATA|egg-info/PKG-INFO)"  # Python ("Core metadata specifications", PyPA)
DESCRIPTION = r".*/R/(?:site-)?library/[^/]+/DESCRIPTION"  # R ("Writing R Extensions", section 1.1.1)
PACKAGE_JSON = r"(?:.*/)?lib/node_modules/(?:@[^/]+/)?[^/]+/package\.json"  # npm's global ones (npm-folders)
