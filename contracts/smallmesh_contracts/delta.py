"""Text of an answer while it is being written."""

from typing import Annotated

from pydantic import Field

from smallmesh_contracts._base import Wire


class Delta(Wire):
    """A part of a text that is being written; nothing of it is kept, and only the result counts.

    Attributes:
        answer: Which answer it is a part of.
        number: Its place, from 0. A gap says that a part was missed; 0 again, that the text is begun anew, perhaps by another replica.
        text: The part.
    """

    answer: str
    number: Annotated[int, Field(ge=0)]
    text: str
