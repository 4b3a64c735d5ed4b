"""The figures that the paper gives (Ren et al. 2021), as it writes them."""

PAPER = {
    "test": {
        "r_spearman": "0.673 ± 0.173",
        "ssim": "0.764 ± 0.070",
        "dsc_high": "0.818 ± 0.075",
        "dsc_low": "0.650 ± 0.106",
    },
    "validation": {"r_spearman": "0.691 ± 0.143", "ssim": "0.770 ± 0.070"},
    "without": {"r_spearman": "0.698 ± 0.139", "ssim": "0.746 ± 0.071"},
}
"""The paper's figures (Ren et al. 2021): 62 test lungs of 31 patients, four validation folds, without PH."""

ABOVE_PAPER = {
    ("r_spearman", "0.5"): "85 %",
    ("r_spearman", "0.7"): "56 %",
    ("dsc_high", "0.6"): "98 %",
    ("dsc_high", "0.7"): "94 %",
    ("dsc_low", "0.6"): "71 %",
    ("dsc_low", "0.7"): "35 %",
}
RANGE_PAPER = {"dsc_high": "0.582 to 0.926", "dsc_low": "0.241 to 0.821"}
TESTS_PAPER = {
    ("validation", "r_spearman"): "p = 0.2212",
    ("validation", "ssim"): "p = 0.5037",
    ("sides", "r_spearman"): "p = 0.876",
    ("sides", "ssim"): "p = 0.4047",
}
OUTLIERS_PAPER = {"r_spearman": "3 of 62", "ssim": "1 of 62"}
