"""The fault suite, run and reported: what was killed, what was lost, and what the counts prove."""
