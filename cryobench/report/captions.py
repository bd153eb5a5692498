"""What each figure of a results folder shows: a title, and what more is to be said; and which of them open at once."""

from __future__ import annotations

import re

from cryobench.printed import named

CAPTIONS = (  # name, title, what stands below the picture
    (
        r"conformations",
        "The conformations of the data set.",
        "All from one direction, the clamp on its way from open to closed, and the difference of the two ends.",
    ),
    (r"fig1_stability", "Figure 1: training and test MSE against iteration at SNR 0.1, the GAN alone and with ℓ1.", ""),
    (
        r"fig2_gallery_snr(.+)",
        "Figure 2a at SNR {0}: one test image, clean, and by the denoisers and limits of Table 2.",
        "From the highest MSE of this image to the lowest; the Bayes limit, which is the lowest in expectation, last.",
    ),
    (
        r"fig2_lambda",
        "Figure 2b: one test image at SNR 0.1, clean, and by the (.5,.5)-GAN + λ ℓ1 for each λ, in rising order.",
        "",
    ),
    (
        r"fig3_clustering",
        "Figure 3: open and closed conformations in two dimensions at SNR 0.05.",
        "By method and by embedding; one draw of 60 test images.",
    ),
    (
        r"fig3_clustering_fixed_view",
        "Figure 3 again, at SNR 0.05, with all particles seen from the side on which the clamp shows.",
        "One draw of 60 test images, where the table has the mean over draws. The paper has random views alone.",
    ),
    (r"fig4_pggan", "Figure 4: PGGAN with and without ℓ1 at SNR 0.05, with the clean images between.", ""),
    (
        r"fig4_pggan_training",
        "PGGAN while it is trained at SNR 0.05: validation MSE, and how varied its images are.",
        "",
    ),
    (
        r"contamination_snr(.+)",
        "MSE against the share of contaminated training pairs at SNR {0}.",
        "All nets are ResNets.",
    ),
    (r"fig_exemplars", "MSE against the number of training images, for the methods that were run so.", ""),
    (
        r"fig_microscope",
        "NMSE in white noise, then with the CTF, coloured noise and shifts added one after another.",
        "For methods that are told of them and for variants that are told less.",
    ),
    (
        r"fig_scale_up",
        "MSE against the number of training images, the width and the epochs, toward the paper's scale.",
        "",
    ),
    (r"fig_image_size", "MSE, and the share of the variance that is lost, against the image size.", ""),
    (r"fig_molecules", "The same methods on other molecules, each beside its own limit.", ""),
    (
        r"reconstruction_fsc",
        "Fourier shell correlation with the true volume of what is reconstructed from denoised images.",
        "The images are of one conformation, of a larger test set. Where a curve falls to ½, 1 over the frequency is the "
        "resolution. What lies above the curve of the noisy images a method did not take from them; what lies below it is lost "
        "by denoising. At the Nyquist frequency even that of clean images falls: a simulated molecule, made without higher "
        "frequencies, has next to no power there, so that the smallest error counts.",
    ),
    (r"strip_(.+)", "Six test images: clean, noisy, and denoised by {0}.", ""),
    (
        r"trust_gan",
        "Can the images of a GAN + ℓ1 at SNR 0.1 be trusted? The answer of the command trust.",
        "Whether what it shows agrees with the particles at each resolution, and the power of the residual, the particle less "
        "its denoised image (below that of the noise where noise stays in the image), both without a clean image; and, with "
        "clean ones, its MSE of conformations that training had and had not.",
    ),
    (
        r"trust_(.+)",
        "Can the images of the method that the picture names be trusted? The answer of the command trust.",
        "Whether what it shows agrees with the particles at each resolution, and the power of the residual, the particle less "
        "its denoised image, both without a clean image.",
    ),
    (
        r"fig_robust_rates(?:_plain)?",
        "Error of robust estimators of location against the share of contamination and the sample size.",
        "Its slopes stand beside those of Theorem 1's bound.",
    ),
)
OPEN = ("fig1_stability", "fig2_gallery_snr0.1", "fig2_lambda", "fig3_clustering", "fig4_pggan")


def caption(name: str) -> tuple[str, str]:
    """Of the figure NAME.png or .svg, a title of one sentence, and what more is to be said, or ""."""
    for pattern, *sentences in CAPTIONS:
        if match := re.fullmatch(pattern, name):
            title, more = (named(one.format(*map(named, match.groups()))) for one in sentences)
            return title, more
    return f"A figure that is in the folder figures, called {name.replace('_', ' ')}.", ""
