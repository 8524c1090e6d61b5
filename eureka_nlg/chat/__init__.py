"""Talk to trained models in the terminal, or on a web page that only this machine can open."""
