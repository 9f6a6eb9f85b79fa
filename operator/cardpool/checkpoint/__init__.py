"""Finding the newest checkpoint that is proved complete: formats, proofs, the resolver pod, and the writers' helper.

The package needs nothing but the standard library, so that it runs in any training image too; `zstandard` is used
where it is installed, for speed alone.
"""
