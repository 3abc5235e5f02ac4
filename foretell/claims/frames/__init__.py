"""Claims on sequences of frames: the next one foretold."""
