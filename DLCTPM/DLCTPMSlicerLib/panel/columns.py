"""What the panels' tables call their columns and rows, and what these mean."""

from __future__ import annotations

HEADINGS = {
    "region": "Region",
    "volume_ml": "Volume\nml",
    "mean": "Mean",
    "perfusion_percent": "Share\n%",
    "high_ml": "High\nml",
    "low_ml": "Low\nml",
    "part": "Part",
    "what": "What",
    "r_spearman": "R",
    "r_pearson": "R\nPearson",
    "ssim": "SSIM",
    "ssim_box": "SSIM\nbox",
    "dsc_high": "DSC\nhigh",
    "dsc_low": "DSC\nlow",
    "kappa": "κ",
    "fit": "Fit",
    "epochs": "Epochs",
    "loss": "Loss",
    "excess": "Training",
    "validation_excess": "Validation",
    "validation_r": "R",
    "validation_ssim": "SSIM",
    "minutes": "Minutes",
}
EXPLANATIONS = {
    "volume_ml": "Volume of the region in this CT.",
    "mean": "Mean relative perfusion; 1 is the patient's own high perfusion (75th percentile).",
    "perfusion_percent": "The region's part of the perfusion of both lungs.",
    "high_ml": "Volume above the threshold.",
    "low_ml": "Volume at or below the threshold.",
    "part": "Both lungs or one; the core is each lung without its edge, where blur no longer helps.",
    "what": "The map, and maps made without learning that it has to beat.",
    "r_spearman": "Spearman's rank correlation with the SPECT, voxel by voxel.",
    "ssim": "Structural similarity with the SPECT, mean over the lung; 1 is equal.",
    "dsc_high": "Dice overlap of high-functional lung with the SPECT's; 1 is equal.",
    "dsc_low": "Dice overlap of low-functional lung with the SPECT's; 1 is equal.",
    "kappa": "Cohen's kappa of high and low function; 0 is chance, 1 is equal.",
    "r_pearson": "Pearson's correlation with the SPECT, voxel by voxel.",
    "fit": "One training of the network; a study has one for each fold and a final one.",
    "epochs": "Passes over all lungs so far.",
    "loss": "Binary cross-entropy of the last epoch (Eq. 3).",
    "excess": "The training lungs' loss above the entropy of their targets, the least that it can be.",
    "validation_excess": "The same of the validation lungs, which nothing is learned from.",
    "validation_r": "Spearman's rank correlation with the SPECT in the validation lungs, on the network's grid.",
    "validation_ssim": "Structural similarity with the SPECT in the validation lungs, on the network's grid.",
    "ssim_box": "Structural similarity, mean over the whole box around the lungs; higher, because the box is empty.",
}
"""Tooltips of the columns."""
NO_VALUE = "No value: for example, a map that is the same everywhere has no correlation."
WORDS = {
    "map": "Perfusion map",
    "all_high": "All high",
    "geometry": "Geometry only",
    "blurred_mask": "Blurred mask",
    "density_median": "CT density",
    "enhanced_ct": "Enhanced CT",
    "blurred_density": "Blurred density",
}
"""What the metrics table calls the map and the baselines."""
MEANINGS = {
    "all_high": "Calls the whole lung high-functional.",
    "geometry": "Only where in the lung a voxel lies: more towards the back, less at the edge. No Hounsfield unit.",
    "blurred_mask": "The lung mask blurred as a SPECT would be, growing towards the back, no CT values.",
    "density_median": "The lung's density in the CT, median filtered.",
    "enhanced_ct": "The network's input (the paper's Eq. 1), taken for its output.",
    "blurred_density": "The lung's density in the CT, at most 0.3 g/ml, blurred as a SPECT would be.",
}
"""Tooltips of the baselines."""
DECIMALS = {
    **dict.fromkeys(("volume_ml", "high_ml", "low_ml", "epochs"), 0),
    **dict.fromkeys(("perfusion_percent", "minutes"), 1),
    **dict.fromkeys(("mean", "r_spearman", "r_pearson", "ssim", "ssim_box", "dsc_high", "dsc_low", "kappa"), 2),
}
"""Of the columns that have others than ``USUAL_DECIMALS``."""
USUAL_DECIMALS = 3
