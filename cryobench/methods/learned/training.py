"""A learned denoiser's training from its images to its report: loaders, Lightning's trainer, checkpoints, ranks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader, Sampler

from cryobench.data.images import NoisyImages
from cryobench.errors import Stopped
from cryobench.methods.device import compute_device, single_precision
from cryobench.methods.learned import graphs, lightning, ranks
from cryobench.methods.learned.batches import Batches, InOrder, Kept, room_for
from cryobench.methods.learned.checkpoints import Checkpoints
from cryobench.methods.learned.modules.denoising import DenoisingModule
from cryobench.methods.learned.nets.build import parameters
from cryobench.methods.learned.precise import IMAGES, PreciseBatchNorm
from cryobench.methods.learned.trained import Trained, validation_part
from cryobench.methods.learned.watch import Watching


def fit(method: Trained, train: NoisyImages) -> None:
    """Train on one device or several, then take what was learned."""
    devices = method.setting.devices
    if devices == 1:
        learn(method, train)
    else:
        ranks.on_each_device(devices, method.setting.accelerator, learn, method, train)
    take(method, train)


def learn(method: Trained, train: NoisyImages, stop: Callable[[], bool] | None = None) -> None:
    """Train, as the only process or as one rank of several; what was learned is in the checkpoints then."""
    first = len(train) - validation_part(len(train))
    positions = np.arange(len(train))
    images = train.subset(ranks.shard(positions[: first - first % ranks.world()]))
    validation = train.subset(ranks.shard(positions[first:]))
    module = method.module(train.image_size)
    if ranks.world() > 1:
        ranks.share_batch_norm(module)
    checkpoints = checkpoints_of(method, stop)
    with lightning.quiet_lightning(), single_precision():
        last = checkpoints.resume()
        order = module.order(len(images), share(method), checkpoints.batches_done, checkpoints.epochs_done)
        training = loader(method, images, method.pairs, order, repeat=method.pairs_repeat)
        with graphs.recorded(module, method.setting):
            lightning.fit(
                trainer(method, module, checkpoints, images), module, training, in_order(method, validation), last
            )
    if checkpoints.stop_requested:  # in the last steps
        raise Stopped("SIGTERM")


def take(method: Trained, train: NoisyImages) -> None:
    """What `learn` left, from its checkpoints: the weights of the epochs chosen, and the report."""
    checkpoints, held = checkpoints_of(method), validation_part(len(train))
    method.also = []
    state = checkpoints.state()
    module = method.module(train.image_size)
    curve = state["curve"]
    epoch, *others = method.chosen_epochs(curve)
    for other in others:
        module.load_state_dict(checkpoints.weights(other))
        method.also.append(copy.deepcopy(module.generator.state_dict()))
    module.load_state_dict(checkpoints.weights(epoch))
    method.generator = module.generator
    if method.checkpoint == "five_best":
        method.report["epochs_kept"] = [epoch, *others]
    method.report.update(
        curve=curve,
        chosen_epoch=epoch,
        val_mse=curve[epoch - 1]["val_mse"],
        validation_images=held,
        parameters=parameters(method.generator),
        images_seen=len(curve) * ((len(train) - held) // method.batch_size) * method.batch_size,
        training_s=round(state["cryobench"]["seconds"], 3),
        resumed=state["cryobench"]["resumed"],
    )
    if watch := method.setting.watch:
        points = state["callbacks"][Watching.__qualname__]["points"]
        method.report["watch"] = {"images": len(watch.clean), **points}


def checkpoints_of(method: Trained, stop: Callable[[], bool] | None = None) -> Checkpoints:
    """The checkpoints of a method, in the folder that its setting names."""
    return Checkpoints(method.folder / "checkpoints", method.chosen_epochs, method.setting.checkpoint_minutes, stop)


def share(method: Trained) -> int:
    """Images of a batch that this rank sees."""
    return method.batch_size // ranks.world()


def in_order(method: Trained, images: NoisyImages, drop_last: bool = False) -> DataLoader:
    """All images once, as those that choose the checkpoint are shown."""
    order = InOrder(len(images), share(method), drop_last=drop_last)
    return loader(method, images, method.held_pairs, order, repeat=True)


def loader(method: Trained, images: NoisyImages, pairs: Callable, order: Sampler, *, repeat: bool) -> DataLoader:
    """Batches of what `pairs` makes of the images, in this order; kept on the GPU that trains, if they repeat and fit."""
    device = compute_device(method.setting.accelerator)
    on_gpu = device.type == "cuda"
    kept = on_gpu and repeat and room_for(images, device)
    batches = Kept(images, pairs, device, share(method)) if kept else Batches(images, pairs)
    # Pinned memory goes to a GPU while the GPU computes.
    return DataLoader(batches, batch_sampler=order, collate_fn=lambda batch: batch, pin_memory=on_gpu and not kept)


def trainer(method: Trained, module: DenoisingModule, checkpoints: Checkpoints, images: NoisyImages) -> pl.Trainer:
    """Lightning's trainer with what the method's setting says: device, precision, checkpoints, bar, watch."""
    where = method.setting
    callbacks: list[Callback] = [checkpoints]
    precise = None
    if method.batch_norm == "precise":
        precise = PreciseBatchNorm(in_order(method, images.subset(slice(IMAGES // ranks.world())), drop_last=True))
        callbacks.append(precise)
    if where.progress and ranks.rank() == 0:
        callbacks.append(module.progress_bar(method.epochs))
    if where.watch:
        shown = method.inputs(where.watch.noisy.astype(np.float32, copy=False), where.watch.ctf)
        callbacks.append(Watching(where.watch, shown, method.answer, precise))
    strategy = lightning.among_ranks(module.one_step) if ranks.world() > 1 else where.strategy
    return pl.Trainer(
        max_epochs=method.epochs,
        accelerator=where.accelerator,
        devices=where.devices,
        strategy=strategy,
        use_distributed_sampler=False,
        precision=cast(Any, where.precision),  # Lightning refuses what it does not know
        callbacks=callbacks,
        logger=lightning.logger(where.logger, method.folder),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=where.workdir,
        plugins=lightning.plugins(),
        **module.trainer_options,
    )
