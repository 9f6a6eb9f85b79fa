"""What would be done with these objects: manifests or a live cluster in, one planning cycle out, nothing written."""
