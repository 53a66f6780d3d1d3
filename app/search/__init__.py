"""The Search page: words, a picture and what to leave out become ranked tiles on a map and in a gallery."""
