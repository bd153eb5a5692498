"""Ways to train a GAN for one epoch, in images a second of one core.

As a run does it, through Lightning; the same steps written out, and with what was tried of them; and the loop of the paper's
released code (facts from reading it: the generator's pass is made anew for each of the two steps, and the discriminator's step
lets its gradient run into the generator; tensors are contiguous).
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from cryobench.methods.base import Setting
from cryobench.methods.learned import memory
from cryobench.methods.learned.batches import as_batch
from cryobench.methods.learned.losses import discriminator_loss, generator_loss
from cryobench.methods.learned.modules.gan import ADAM


def through_lightning(method, train) -> float:
    """Images a second of one epoch as a run does it, without its validation."""
    from pytorch_lightning import Trainer

    from cryobench.methods.learned.lightning import quiet_lightning
    from cryobench.methods.learned.training import in_order

    with TemporaryDirectory() as folder, quiet_lightning():
        method.setting = Setting(workdir=Path(folder))
        module = method.module(train.image_size)
        module.on_train_epoch_end = lambda: None  # no curve without a validation
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        )
        loader = in_order(method, train, drop_last=True)
        start = time.process_time()
        with memory.kept():
            trainer.fit(module, loader)
        return len(loader) * method.batch_size / (time.process_time() - start)


def bare(method, train) -> float:
    """Images a second of the same steps written out, with nothing around them."""
    with memory.kept():
        return written_out(method, train, again=False, layout=torch.channels_last)


def unkept(method, train) -> float:
    """Images a second of the bare loop where memory that a step frees may go back to the system."""
    return written_out(method, train, again=False, layout=torch.channels_last)


def fused(method, train) -> float:
    """Images a second of the bare loop where Adam's step goes over all weights at once, with other rounding."""
    with memory.kept():
        return written_out(method, train, again=False, layout=torch.channels_last, fused=True)


def released(method, train) -> float:
    """Images a second as the paper's released code goes about it."""
    return written_out(method, train, again=True, layout=torch.contiguous_format)


def written_out(method, train, *, again: bool, layout: torch.memory_format, fused: bool = False) -> float:
    """Images a second; again: the generator's pass is made for each step anew, and nothing is detached."""
    module = method.module(train.image_size).to(memory_format=layout)
    generator, discriminator, rule = module.generator, module.discriminator, method.rule()
    optimizers = [
        torch.optim.Adam(generator.parameters(), lr=method.lr, betas=ADAM, fused=fused),
        torch.optim.Adam(discriminator.parameters(), lr=method.lr_discriminator, betas=ADAM, fused=fused),
    ]
    steps = len(train) // method.batch_size
    start = time.process_time()
    for index in range(steps):
        chosen = np.arange(index * method.batch_size, (index + 1) * method.batch_size)
        noisy, clean = (
            as_batch(images).contiguous(memory_format=layout) for images in (train.noisy(chosen), train.clean(chosen))
        )
        denoised = generator(noisy)
        if index % 2 == 0:
            fake = denoised if again else denoised.detach()
            scores = torch.sigmoid(discriminator(clean)), torch.sigmoid(discriminator(fake))
            optimizers[1].zero_grad(set_to_none=True)
            discriminator_loss(rule, *scores).backward()
            optimizers[1].step()
            denoised = generator(noisy) if again else denoised
        discriminator.requires_grad_(again)
        loss = (
            generator_loss(rule, torch.sigmoid(discriminator(denoised))) + method.lam * (denoised - clean).abs().mean()
        )
        optimizers[0].zero_grad(set_to_none=True)
        loss.backward()
        optimizers[0].step()
        discriminator.requires_grad_(True)
    return steps * method.batch_size / (time.process_time() - start)


def flops_per_image(method, train) -> float:
    """Floating-point operations of the bare loop for each image, as torch counts them: convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        bare(method, train)
    return counter.get_total_flops() / (len(train) // method.batch_size * method.batch_size)
