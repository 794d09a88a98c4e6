"""The name of a deployment, by which all rooms keep account of it."""

Key = tuple[str, str]
"""Its backend and its public model: no backend has two of a model."""
