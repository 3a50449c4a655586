"""Tens of thousands of damaged files for every reader.

A reader must return the right arrays, or raise a named error of one line that names the file. There must
be no other exception, no crash, no hang, no memory that the file's content does not explain, no warning,
and no wrong array. `inputs` makes the files. `judge` reads them in an independent way. `worker` compares
a reader with the judge, in a process that may die. Then `run` starts the next process.
"""
