"""What CI needs beyond the verbs that people use: jobs, summaries, deliveries."""
