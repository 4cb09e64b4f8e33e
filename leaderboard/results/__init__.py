"""The result of a run or submission: its document, its predictions, and the folder that holds both."""
