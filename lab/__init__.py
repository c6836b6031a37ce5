"""golab's lab: experiments as files in a folder. This package imports neither torch nor the instruments it runs."""

__version__ = "0.1.0"
__all__ = ["__version__"]
