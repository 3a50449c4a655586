"""The plain twin of every kernel: its specification, in plain operations of the array library."""
