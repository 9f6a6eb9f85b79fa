"""How fast: the operator on thousands of fake nodes, beside a raw client that does the same work in the same run.

Absolute figures belong to one machine; the ratio to the floor is what is compared. `watching` sees, `floor` is the raw
client, `measures` runs the operator, `report` shows and compares, `__main__` is the command line.
"""
