"""How much a unit matters: pure functions of tensors, one a file; a higher score stays."""
