"""What instruct models are shown: prompt packs, chat templates, and both as tokens."""
