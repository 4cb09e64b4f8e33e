"""Audio encoders of Hugging Face's transformers by the name of a checkpoint."""
