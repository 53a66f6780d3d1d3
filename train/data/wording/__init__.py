"""Words for what pictures show, shared by all data sets: concepts with their phrasings, and paraphrases of captions."""
