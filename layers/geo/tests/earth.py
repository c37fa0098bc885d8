"""A point is reprojected, written to a GeoPackage and read again; a raster and a lazy array make the same round trip."""

import pathlib
import tempfile
import warnings

import geopandas as gpd
import numpy as np
import pyogrio
import rioxarray
import xarray as xr
from shapely.geometry import Point

with tempfile.TemporaryDirectory() as scratch:
    package = pathlib.Path(scratch, "points.gpkg")
    points = gpd.GeoDataFrame({"name": ["here"]}, geometry=[Point(5.00635, 52)], crs="EPSG:4326").to_crs("EPSG:3857")
    points.to_file(package, layer="points")
    again = gpd.read_file(package)
    assert again.crs.to_epsg() == 3857
    layers = [name for name, _ in pyogrio.list_layers(package)]

    grid = xr.DataArray(
        np.arange(12.0).reshape(3, 4), dims=("y", "x"), coords={"y": [2.0, 1.0, 0.0], "x": [0.0, 1.0, 2.0, 3.0]}
    ).rio.write_crs("EPSG:4326")
    grid.rio.to_raster(pathlib.Path(scratch, "grid.tif"))
    with rioxarray.open_rasterio(pathlib.Path(scratch, "grid.tif")) as raster:
        assert raster.rio.crs.to_epsg() == 4326
        assert float(raster.sum()) == 66

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # netCDF4's own about NumPy's size
        file = pathlib.Path(scratch, "grid.nc")
        xr.Dataset({"grid": grid.drop_vars("spatial_ref")}).to_netcdf(file, engine="netcdf4")
        with xr.open_dataset(file, chunks={"x": 2}) as lazy:
            assert float(lazy["grid"].mean().compute()) == 5.5

    print("metres", round(again.geometry[0].x), "of", len(again), "layers", *layers)
