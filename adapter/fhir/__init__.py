"""The lingua franca: FHIR R4 message Bundles as parsed JSON, and the notices in them.

Pure. `bundles` knows resources and references, `notices` knows what they say about a stay, `validation`
judges what comes in at the border, `wire` turns bytes into Bundles and back, `definitions/` is published.
"""
