"""ROOT compiles C++, fills a histogram and writes it; Uproot reads it; Minuit fits it."""

import pathlib
import tempfile

import numpy as np
import ROOT
import uproot
from iminuit import Minuit
from iminuit.cost import UnbinnedNLL

ROOT.gROOT.SetBatch(True)
ROOT.gInterpreter.Declare("#include <vector>\ndouble twice(std::vector<double> const &v) { return 2 * v.at(0); }")
assert ROOT.twice([21.0]) == 42

values = np.random.default_rng(1).normal(0.5, 0.1, 1000)
with tempfile.TemporaryDirectory() as scratch:
    path = str(pathlib.Path(scratch, "file.root"))
    file = ROOT.TFile(path, "RECREATE")
    histogram = ROOT.TH1F("h", "title", 50, 0, 1)
    for value in values:
        histogram.Fill(value)
    histogram.Write()
    file.Close()
    counts, edges = uproot.open(path)["h"].to_numpy()


def density(x, mean, width):
    return np.exp(-((x - mean) ** 2) / (2 * width**2)) / (width * np.sqrt(2 * np.pi))


fit = Minuit(UnbinnedNLL(values, density), mean=0.4, width=0.2)
fit.limits["width"] = (0.01, 1)
fit.migrad()
assert fit.valid
assert abs(fit.values["mean"] - 0.5) < 0.02
print("entries", int(counts.sum()), "mean", round(float(fit.values["mean"]), 3))
