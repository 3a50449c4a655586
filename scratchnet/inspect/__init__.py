"""What a person looks at to understand a graph: pictures, words and tables."""
