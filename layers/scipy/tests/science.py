"""From data to a fitted model and a picture of it."""

import io

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import optimize
from sklearn.linear_model import LinearRegression

random = np.random.default_rng(7)
data = pd.DataFrame({"x": np.linspace(0, 10, 200)})
data["y"] = 3 * data["x"] + 1 + random.normal(0, 0.1, len(data))

slope, offset = optimize.curve_fit(lambda x, a, b: a * x + b, data["x"], data["y"])[0]
model = LinearRegression().fit(data[["x"]], data["y"])
assert abs(slope - 3) < 0.05
assert abs(offset - 1) < 0.1
assert abs(model.coef_[0] - slope) < 1e-6

data.plot(x="x", y="y")
picture = io.BytesIO()
plt.savefig(picture, format="png")
assert picture.getvalue().startswith(b"\x89PNG")
print("all good")
