"""What an encoder of text is worth: whole texts, tags of words, answers in a text; and word vectors without a task."""
