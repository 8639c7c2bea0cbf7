"""Reads handwritten digits: trains a model, saves it to a file, restores it, answers predictions.

    {"op": "train"}                    -> {"accuracy": 0.96, "file": "/tmp/digits.joblib"}
    {"op": "predict", "index": 1500}   -> {"digit": 1, "expected": 1}    an image of the set
    {"op": "predict", "image": [...]}  -> {"digit": 7}                   64 numbers, 0 to 16

A prediction always restores the model from the file; without a file it trains first.
"""

import os
import platform

import joblib
from sklearn.datasets import load_digits

from train import train

MODEL = os.environ.get("DIGITS_MODEL", "/tmp/digits.joblib")
PIXELS = 64


def predict(args):
    if not os.path.exists(MODEL):
        train(MODEL)
    model = joblib.load(MODEL)
    if "image" in args:
        image = [float(pixel) for pixel in args["image"]]
        if len(image) != PIXELS:
            return {"error": f"an image has {PIXELS} numbers, not {len(image)}"}
        return {"digit": int(model.predict([image])[0])}
    digits = load_digits()
    index = int(args.get("index", 0))
    if not 0 <= index < len(digits.data):
        return {"error": f"index must be from 0 to {len(digits.data) - 1}"}
    predicted = model.predict(digits.data[index : index + 1])[0]
    return {"digit": int(predicted), "expected": int(digits.target[index])}


def main(args):
    operation = args.get("op", "predict")
    if operation == "train":
        return {"accuracy": train(MODEL), "file": MODEL, "machine": platform.machine()}
    if operation == "predict":
        return {**predict(args), "machine": platform.machine()}
    return {"error": f"unknown op {operation!r}: use train or predict"}
