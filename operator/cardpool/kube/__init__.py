"""The API server's side: credentials, requests, the mirror of the cluster, the lease, Events.

Everything here runs on one event loop; only records and errors of the core leave it.
"""
