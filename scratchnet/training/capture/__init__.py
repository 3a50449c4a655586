"""Capture: repeated work is recorded once and then launched as one."""
