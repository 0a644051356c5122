"""Decides whether there is anything to train: has the data changed since the last model?"""
