"""The one `fit()` that every PyTorch trainer uses, and the pieces it is made of."""
