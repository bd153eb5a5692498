"""Recorded training steps: when they are asked for, and how Adam suits them. What they learn is tested on a GPU (test_gpu.py)."""

import itertools
from typing import ClassVar

import pytest
import torch

from cryobench.config.compose import build, compose, resolve
from cryobench.data.molecules.phantom import Phantom
from cryobench.data.pairs import open_pairs
from cryobench.methods.base import Setting
from cryobench.methods.learned import graphs
from cryobench.methods.learned.modules import denoising
from cryobench.noise.gaussian import Gaussian
from cryobench.runs.denoising import setting


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ({"accelerator": "gpu"}, True),
        ({"accelerator": "cuda", "precision": "bf16-mixed"}, True),
        ({"accelerator": "gpu", "precision": "16-mixed"}, False),
        ({"accelerator": "gpu", "devices": 2}, False),
        ({"accelerator": "gpu", "strategy": "ddp"}, False),
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


class Replayed(graphs.Recorded):
    """A recording without a GPU: what a graph would do again is called again, with the tensors that it holds."""

    made: ClassVar[list[tuple]] = []

    def __init__(self, work, tensors, kind, stream):
        self.tensors, self.work, self.kind = [tensor.clone() for tensor in tensors], work, kind
        self.made.append((kind, tensors[0].shape))
        self.graph = self

    def replay(self):
        self.results = self.work(*self.tensors, **self.kind)


@pytest.fixture
def steps(monkeypatch):
    """Graphs whose recordings a CPU can make, and the list of those that were made."""
    monkeypatch.setattr(graphs, "recording_stream", lambda: None)
    monkeypatch.setattr(graphs.Graphs, "apart", lambda self, work, tensors, kind: work(*tensors, **kind))
    monkeypatch.setattr(graphs, "Recorded", Replayed)
    monkeypatch.setattr(Replayed, "made", made := [])
    return graphs.Graphs(), made


def test_each_kind_of_step_and_each_shape_is_recorded_once_after_it_is_warm(steps):
    run, made = steps
    doubled = {True: 2, False: 1}
    for step in range(20):
        tensor = torch.full((3 if step < 14 else 2,), float(step))
        results = run(lambda x, both: {"sum": x.sum() * doubled[both]}, (tensor,), {"both": step % 2 == 0})
        assert float(results["sum"]) == len(tensor) * step * doubled[step % 2 == 0]
    assert made == [({"both": True}, (3,)), ({"both": False}, (3,))]  # three of each are not enough of another shape
    for _ in range(3):
        run(lambda x, both: {"sum": x.sum()}, (torch.ones(2),), {"both": True})
    assert len(made) == 3 and made[-1] == ({"both": True}, (2,))


@pytest.mark.parametrize("name", ["gan", "wgan_gp", "autoencoder"])
def test_recorded_steps_are_the_steps(steps, name, cache, tmp_path, monkeypatch):
    """All that a step depends on goes through its tensors and its kind, so that with these it is the same to the last bit."""
    _, made = steps
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    # On a CPU torch refuses steps of an Adam that says it is recorded.
    monkeypatch.setattr(denoising, "suit", lambda optimizer, recorded: None)
    plain = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *a, capturable, **k: plain(*a, **k))
    pairs = open_pairs(Phantom(image_size=32, n_train=48, n_test=4), cache)
    weights = []
    for wanted in (False, True):
        monkeypatch.setattr(graphs, "asked_for", lambda where, wanted=wanted: wanted)
        method = build(
            resolve(compose([f"method={name}", "scale=smoke", "method.batch_size=8", "method.width=4"])), "method"
        )
        method.epochs, method.checkpoint = 3, "last"  # an earlier epoch's weights may be of ordinary steps
        method.setting = Setting(workdir=tmp_path / str(wanted))
        method.fit(pairs.images("train", Gaussian(0.1), 0).only(method.side_information))
        weights.append(method.weights())
        assert len(made) == wanted * (1 if name == "autoencoder" else 2)
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
