"""Models in this process: their files, their windows, their threads, what is read from their outputs."""
