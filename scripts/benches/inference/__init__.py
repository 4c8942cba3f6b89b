"""Ours beside naive ``Llama`` and llama-server: same GGUF, same prompts, same run."""
