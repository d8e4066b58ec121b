"""Repeats the paper's study: which views and which parts of the method make poses better, by one command."""
