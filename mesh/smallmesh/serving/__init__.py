"""The chassis of a process: doors, heartbeats, fates, health. ``python -m smallmesh.serving`` starts one."""
