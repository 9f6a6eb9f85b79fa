"""Container images without a registry: a Debian root file system, wheels and our own files as OCI layers.

Shape: `store` (layers by recipe and by digest, in the user's cache), `layers` (what is inside), `oci` (configuration,
manifest, archive), `catalogue` (the images of this project), `__main__` (the command line).
"""
