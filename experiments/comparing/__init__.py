"""From the results of runs to verdicts: designs and their stages, tuning, effects per seed, intervals. No Keras."""
