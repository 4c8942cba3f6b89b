"""What the caller chooses by a word."""

from enum import StrEnum


class Ids(StrEnum):
    """Where the ids of documents come from that have none."""

    CONTENT = "content"
    RANDOM = "random"


class Existing(StrEnum):
    """What to do with a file of results that has something in it."""

    REFUSE = "refuse"
    RESUME = "resume"
    OVERWRITE = "overwrite"
