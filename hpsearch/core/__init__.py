"""The vocabulary of all other rooms: spaces, trials, objectives, folds, seeds, typed facts and names."""
