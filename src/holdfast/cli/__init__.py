"""Floor 6: commands. Thin: parse, call one function below, show."""
