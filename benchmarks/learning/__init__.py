"""Three networks learn on real data, and their curves are recorded."""
