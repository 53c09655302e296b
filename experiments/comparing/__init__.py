"""From runs to answers: effects per seed, tuning, and questions that go on by themselves. No Keras."""
