"""The child's side. Copied into the child's runtime with the SDK; imports nothing else of ours."""
