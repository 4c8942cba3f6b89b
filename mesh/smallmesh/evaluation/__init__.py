"""Measuring agents on cases with known answers: any agent's folder, any file of cases, no broker.

``cases`` reads them, ``child`` and ``process`` have them answered in a process of the agent's own, ``judging`` holds one answer
against its case, ``figures`` makes one number of many with its interval, ``runs`` keeps what came out and compares it with the
time before, ``tables`` shows it. Evaluation needs numpy, which the extra ``agent`` brings.
"""
