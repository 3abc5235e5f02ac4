"""Text: a corpus of documents and sentences, its tokens or words in a memory-mapped store, pairs and rows of them."""
