"""A second file of a user's program, with state."""

counted = 0


def count():
    global counted
    counted += 1


class Tracker:
    def __init__(self):
        self.total = 0

    def up(self):
        self.total += 1
