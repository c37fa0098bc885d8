# A model is fitted and drawn to a file; the file is a picture.
x <- 1:20
fit <- lm(y ~ x, data.frame(x = x, y = 3 * x + sin(x) / 1000))
file <- tempfile(fileext = ".png")
png(file, width = 400, height = 300)
plot(x, fitted(fit), main = "\u03c7 against \u03c8")
invisible(dev.off())
magic <- readBin(file, "raw", 8)
stopifnot(identical(magic, as.raw(c(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a))))
stopifnot(file.size(file) > 1000, l10n_info()[["UTF-8"]], nchar(Sys.time()) > 0)
cat("slope", round(coef(fit)[["x"]]), "\n")
