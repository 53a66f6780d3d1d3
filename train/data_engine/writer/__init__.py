"""Writers of texts: rules that need no model, and a language model behind an endpoint."""
