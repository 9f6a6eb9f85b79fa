"""The invariants, one family a module; each rule is a function from a History and an Expectation to violations."""
