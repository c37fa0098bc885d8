# Read, group, summarise, draw.
suppressPackageStartupMessages(library(tidyverse))
table <- read_csv(I("key,value\na,1\nb,4\nb,6"), show_col_types = FALSE) |>
  group_by(key) |>
  summarise(mean = mean(value), .groups = "drop") |>
  filter(str_detect(key, "b"))
file <- tempfile(fileext = ".png")
suppressMessages(ggsave(file, ggplot(table, aes(key, mean)) + geom_col()))
stopifnot(file.size(file) > 1000)
cat(table$key, table$mean, "\n")
