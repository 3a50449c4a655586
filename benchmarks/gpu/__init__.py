"""What is measured on a GPU, and proved there: `make gpu`."""
