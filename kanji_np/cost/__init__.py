"""What a network costs before it is trained: time, energy and memory on a board."""
