"""Readers and writers of datasets, all delivering `Sample`."""
