"""The evaluation tasks: each takes a loaded model and a folder of data, and returns rows of figures."""
