"""Work that is done again and again, captured and launched as one."""
