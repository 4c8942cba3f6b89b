"""Instruct models behind the model port: labels scored, names generated under a schema, summaries written."""
