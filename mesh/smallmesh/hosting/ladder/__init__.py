"""The ladder of models: larger ones that are pulled from a hub and serve in the place of an agent's embedded one.

``model.toml`` lists them as ``[[tiers]]``; :func:`smallmesh.hosting.ladder.in_use.card_in_use` decides which one a process
loads. Pulled files lie in one folder of the user's (``SMALLMESH_MODELS_DIR``), beside ``models.lock``: what was
pulled once under a name is all that is ever loaded under it.
"""
