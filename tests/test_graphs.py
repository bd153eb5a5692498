"""Recorded training steps: when they are asked for, and how Adam suits them. What they learn is tested on a GPU (test_gpu.py)."""

import itertools

import pytest
import torch

from cryobench.config.compose import build, compose, resolve
from cryobench.methods.base import Setting
from cryobench.methods.learned import graphs
from cryobench.runs.denoising import setting


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ({"accelerator": "gpu"}, True),
        ({"accelerator": "cuda", "precision": "bf16-mixed"}, True),
        ({"accelerator": "gpu", "precision": "16-mixed"}, False),
        ({"accelerator": "gpu", "devices": 2}, False),
        ({"accelerator": "gpu", "cuda_graphs": False}, False),
        ({"accelerator": "cpu"}, False),
    ],
)
def test_steps_are_recorded_on_one_gpu_without_a_scaler(where, wanted):
    assert graphs.asked_for(Setting(**where)) == wanted


@pytest.mark.parametrize("wanted", [True, False])
def test_the_switch_reaches_the_method(wanted):
    config = resolve(compose(["method=gan", f"trainer.cuda_graphs={wanted}"]))
    assert setting(config, None, False).cuda_graphs == wanted


@pytest.mark.parametrize(
    ("name", "recordable"), [("gan", 1), ("wgan_gp", 1), ("autoencoder", 1), ("pggan", 0), ("unet", 0)]
)
def test_what_is_recorded(name, recordable):
    method = build(resolve(compose([f"method={name}", "scale=smoke"])), "method")
    assert method.module(32).recordable == bool(recordable)


@pytest.mark.parametrize(("before", "after"), itertools.product([False, True], repeat=2))
def test_an_adam_goes_on_whether_its_steps_were_recorded_or_not(before, after):
    """On a CPU torch refuses a step of an Adam that says it is recorded, as a checkpoint from a GPU makes it say."""
    net = torch.nn.Linear(2, 2)
    adam = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    adam.step()
    adam.param_groups[0]["capturable"] = before
    graphs.suit(adam, after)
    assert [group["capturable"] for group in adam.param_groups] == [after]
    if not after:
        adam.step()
        assert [float(state["step"]) for state in adam.state.values()] == [2, 2]
