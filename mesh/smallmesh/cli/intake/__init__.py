"""Documents on their way in: out of files, into submissions, to their results."""
