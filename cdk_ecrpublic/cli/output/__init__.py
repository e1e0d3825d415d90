"""The output of the commands: text, Markdown and JSON."""
