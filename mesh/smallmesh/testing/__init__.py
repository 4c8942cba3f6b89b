"""Test doubles that are shipped, for our tests and for those of anybody who adds an agent. Import what you need from its module."""
