"""What the tests of running meshes share: a client, agents of rules, processes of their own, and patience."""
