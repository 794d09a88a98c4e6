"""One outside thing a file; foreign errors are translated where they enter."""
