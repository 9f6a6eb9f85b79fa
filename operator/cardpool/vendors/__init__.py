"""Makers of accelerator cards as data: one YAML file each, read and judged by `registry`."""
