"""Decides whether there is anything to train: have the clips changed since the last model?"""
