"""Store again what Keras's callbacks do with the series of tests/support/monitored.py.

KERAS_BACKEND=torch PYTHONPATH=.:tests/support python tests/files/keras/write.py
"""

import json

import keras
from monitored import FILE, by_keras

found = by_keras(keras)
lines = ",\n".join(json.dumps(each) for each in found.pop("series"))
rest = json.dumps(found)[1:]
FILE.write_text(f'{{"series": [\n{lines}\n], {rest}\n')
