"""Claims on word vectors: word2vec."""
