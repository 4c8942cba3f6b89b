"""A tiny instruct model for tests, from scratch: ``python -m scripts.train.tiny --data DIR``, set up as in scripts/train/README.md.

It answers the four agents' prompts through a chat template as any instruct GGUF does, in right form and better than chance: a test
instrument, not a product. One core trains it in about ten minutes. Its figures are measured on the file itself, through llama.cpp:
``python -m scripts.train.tiny.measure --data DIR`` in the environment that serves.
"""
