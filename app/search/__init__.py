"""The Search page: words, a picture and an exclusion become ranked tiles on a map and in a gallery."""
