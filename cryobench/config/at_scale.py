"""`${at_scale:{smoke: 2, desk: 12}}` in a yaml: what a setting of one method alone is at the scale of the run."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf


def at_scale(choices: dict, *, _root_: DictConfig):
    """choices: the name of a scale → the value there. Raises ValueError for a scale that is not among them."""
    if (name := _root_.scale.name) not in choices:
        raise ValueError(
            f"expected one of scale={', '.join(choices)}, got {name}; at another scale give it on the command line"
        )
    return choices[name]


OmegaConf.register_new_resolver("at_scale", at_scale, replace=True)
