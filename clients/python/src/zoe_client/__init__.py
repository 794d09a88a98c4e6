"""Client of the zoe-grpcd inference router. What is named here is public, and nothing else."""
