"""Real llama-server and Ollama processes on loopback, with tiny models that are made here.

For `zoe-grpcd demo` and for the tests; the daemon itself never imports this. The one rule: whatever is started here
ends with the process that started it, however that ends.
"""
