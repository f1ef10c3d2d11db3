"""From a data file to a study file that fits it: what ``hpsearch init --data FILE`` writes."""
