"""Generation under a schema: a pydantic model becomes a grammar when the process starts, and text can only be a document of it.

The documents have one form: every property, in the order of the model's fields, required or not; ``": "`` after a key, ``", "``
between values, no other white space between them. That is what ``json.dumps(..., ensure_ascii=False)`` writes. So most of a document
is forced, and the engine evaluates that in one go.

What can be built: objects, strings, ``enum``, ``const``, integers and numbers with bounds, booleans, null, arrays, ``anyOf`` of
these, and ``$ref`` to what does not contain itself. Everything has a bound, so every generation ends; a schema that states none has
:data:`DEFAULT_MAX_LENGTH`, :data:`DEFAULT_MAX_ITEMS`, :data:`LARGEST_INTEGER` and :data:`LARGEST_NUMBER`. What cannot be built (patterns,
formats that validate, dictionaries, recursion, ...) is a :class:`SchemaError` when it is compiled; text is never left free.

A token may come where all its bytes may, one after the other: it may end inside a character that another one completes, or close a
string and go on with what is forced after it. Control tokens and those that end a generation never may. Lengths count characters, an
escape as one; escaped surrogates are left out, a character beyond U+FFFF is written as itself.

A schema says less than a model: what only the model's validators know is left to :meth:`Schema.validate`. Of the bounds of
numbers, only exclusive ones beyond 15 significant digits are, where a text within them may be read as a float on them.
"""

from smallmesh.hosting.schema.errors import OutputError, SchemaError
from smallmesh.hosting.schema.numbers import LARGEST_INTEGER, LARGEST_NUMBER
from smallmesh.hosting.schema.reader import DEFAULT_MAX_ITEMS, DEFAULT_MAX_LENGTH
from smallmesh.hosting.schema.schema import Schema

__all__ = ["DEFAULT_MAX_ITEMS", "DEFAULT_MAX_LENGTH", "LARGEST_INTEGER", "LARGEST_NUMBER", "OutputError", "Schema", "SchemaError"]
