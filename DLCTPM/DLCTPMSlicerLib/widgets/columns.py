"""What the panels' tables call their columns and rows, and what these mean."""

from __future__ import annotations

from slicer.i18n import tr as _

HEADINGS = {
    "region": _("Region"),
    "volume_ml": _("Volume\nml"),
    "mean": _("Mean"),
    "perfusion_percent": _("Share\n%"),
    "high_ml": _("High\nml"),
    "low_ml": _("Low\nml"),
    "part": _("Part"),
    "what": _("What"),
    "r_spearman": _("R"),
    "r_pearson": _("R\nPearson"),
    "ssim": _("SSIM"),
    "ssim_box": _("SSIM\nbox"),
    "dsc_high": _("DSC\nhigh"),
    "dsc_low": _("DSC\nlow"),
    "kappa": _("κ"),
    "mld_gy": _("MLD\nGy"),
    "v20": _("V20\n%"),
    "fmld_weighted_gy": _("fMLD w\nGy"),
    "fv20_weighted": _("fV20 w\n%"),
    "fmld_high_gy": _("fMLD\nGy"),
    "fv20_high": _("fV20\n%"),
    "fit": _("Fit"),
    "epochs": _("Ep."),
    "loss": _("Loss"),
    "excess": _("Train."),
    "validation_excess": _("Valid."),
    "validation_r": _("R"),
    "validation_ssim": _("SSIM"),
    "minutes": _("Min."),
}
EXPLANATIONS = {
    "volume_ml": _("Volume of the region in this CT."),
    "mean": _("Mean relative perfusion; 1 is the patient's own high perfusion (75th percentile)."),
    "perfusion_percent": _("The region's part of the perfusion of both lungs."),
    "high_ml": _("Volume above the threshold."),
    "low_ml": _("Volume at or below the threshold."),
    "part": _("Both lungs or one; the core is each lung without its edge, where blur no longer helps."),
    "what": _("The map, and maps made without learning that it has to beat."),
    "r_spearman": _("Spearman's rank correlation with the SPECT, voxel by voxel."),
    "ssim": _("Structural similarity with the SPECT, mean over the lung; 1 is equal."),
    "dsc_high": _("Dice overlap of high-functional lung with the SPECT's; 1 is equal."),
    "dsc_low": _("Dice overlap of low-functional lung with the SPECT's; 1 is equal."),
    "kappa": _("Cohen's kappa of high and low function; 0 is chance, 1 is equal."),
    "r_pearson": _("Pearson's correlation with the SPECT, voxel by voxel."),
    "mld_gy": _("Mean dose to the lung."),
    "v20": _("Volume of the lung that gets at least 20 Gy."),
    "fmld_weighted_gy": _("Mean dose weighted with the map: where there is more function, dose counts more."),
    "fv20_weighted": _("Share of the function that gets at least 20 Gy."),
    "fmld_high_gy": _("Mean dose to high-functional lung."),
    "fv20_high": _("Volume of high-functional lung that gets at least 20 Gy."),
    "fit": _("One training of the network; a study has one for each fold and a final one."),
    "epochs": _("Passes over all lungs so far."),
    "loss": _("Binary cross-entropy of the last epoch (Eq. 3)."),
    "excess": _("The training lungs' loss above the entropy of their targets, the least that it can be."),
    "validation_excess": _("The same of the validation lungs, which nothing is learned from."),
    "validation_r": _("Spearman's rank correlation with the SPECT in the validation lungs, on the network's grid."),
    "validation_ssim": _("Structural similarity with the SPECT in the validation lungs, on the network's grid."),
    "ssim_box": _("Structural similarity, mean over the whole box around the lungs; higher, as the box is empty."),
}
"""Tooltips of the columns."""
NO_VALUE = _("No value: for example, a map that is the same everywhere has no correlation.")
WORDS = {
    "map": _("Perfusion map"),
    "all_high": _("All high"),
    "geometry": _("Geometry only"),
    "blurred_mask": _("Blurred mask"),
    "density_median": _("CT density"),
    "enhanced_ct": _("Enhanced CT"),
    "blurred_density": _("Blurred density"),
}
"""What the metrics table calls the map and the baselines."""
MEANINGS = {
    "all_high": _("Calls the whole lung high-functional."),
    "geometry": _("Only where in the lung a voxel is: more towards the back, less at the edge. No Hounsfield unit."),
    "blurred_mask": _("The lung mask blurred as a SPECT would be, growing towards the back, no CT values."),
    "density_median": _("The lung's density in the CT, median filtered."),
    "enhanced_ct": _("The network's input (the paper's Eq. 1), taken for its output."),
    "blurred_density": _("The lung's density in the CT, at most 0.3 g/ml, blurred as a SPECT would be."),
}
"""Tooltips of the baselines."""
DECIMALS = {
    **dict.fromkeys(("volume_ml", "high_ml", "low_ml", "epochs"), 0),
    **dict.fromkeys(("perfusion_percent", "minutes", "v20", "fv20_weighted", "fv20_high"), 1),
    **dict.fromkeys(("mean", "r_spearman", "r_pearson", "ssim", "ssim_box", "dsc_high", "dsc_low", "kappa"), 2),
    **dict.fromkeys(("mld_gy", "fmld_weighted_gy", "fmld_high_gy"), 1),
}
"""Of the columns that have others than ``USUAL_DECIMALS``."""
USUAL_DECIMALS = 3
