"""The two ways to a simulated SPECT."""

OSEM, ANALYTIC = "osem", "analytic"
KINDS = {
    OSEM: "acquired view by view and reconstructed",
    ANALYTIC: "blurred and made noisy, seconds faster",
}
"""Each with what is done."""
