"""`python -m bananas_trainer`: the command where its script is not on PATH, as in the container."""

from bananas_trainer.command import app

if __name__ == "__main__":
    app()
