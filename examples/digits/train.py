"""Trains a classifier on the digits set that scikit-learn ships and saves it to a file.

Works as a script too (`python3 train.py digits.joblib`), where scikit-learn is installed.
"""

import os
import sys
import tempfile

import joblib
from sklearn.datasets import load_digits
from sklearn.svm import SVC

TRAINED_ON = 1200  # of 1797 images; the others are there to test with


def train(path):
    """Saves the model to `path` and returns its accuracy on the images it has not seen."""
    digits = load_digits()
    model = SVC(gamma=0.001)
    model.fit(digits.data[:TRAINED_ON], digits.target[:TRAINED_ON])
    # Written beside and renamed, so that nobody ever restores half a model.
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".")
    with os.fdopen(descriptor, "wb") as file:
        joblib.dump(model, file)
    os.replace(temporary, path)
    return round(model.score(digits.data[TRAINED_ON:], digits.target[TRAINED_ON:]), 2)


if __name__ == "__main__":
    print(f"accuracy {train(sys.argv[1])}")
