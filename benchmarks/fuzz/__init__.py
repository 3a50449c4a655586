"""Files that lie, by the ten thousand, against everything that reads them.

A reader's answer is either the right arrays or a named error of one line that names the file: never
another exception, a crash, a hang, memory that the file's content does not explain, a warning, or arrays
that are wrong. `inputs` makes the files, `judge` reads them in a way of its own, `worker` holds a reader
against the judge in a process that may die, and `run` goes on behind it.
"""
