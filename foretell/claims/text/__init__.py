"""Claims on transformers for text, BERT and GPT, and the corpus that they learn from."""
