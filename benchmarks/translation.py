"""How much faster a training step of CycleGAN is than the plain textbook step, and how far their losses part over 20 steps.

The textbook step passes each image through each network by itself, uses PyTorch's instance norm, and steps Adam parameter by
parameter. Both start from the same weights and see the same images, with the paper's loss weights and instance norm in the
discriminators: spectral norm makes one power iteration a pass, so fewer passes make fewer of them.

Losses are compared in double precision (at 64x64), where only the computation differs, and in single precision. There, the two
round differently, and Adam divides each gradient by its own size: where a gradient is little more than rounding, the step is
of full length and in a direction of chance. What that changes grows from step to step, and no order of summation mends it.
"""

import statistics
import time
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synth2real.params import read_section
from synth2real.translation.cyclegan import CycleGAN, TranslationSettings
from synth2real.translation.data import Crops
from synth2real.translation.generators import InstanceNorm

STEPS = 20


class _PlainInstanceNorm(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return F.instance_norm(features)


class Textbook:
    """Zhu et al. 2017 with least squares, as one would write it down."""

    def __init__(self, settings: TranslationSettings) -> None:
        self.settings = settings
        self.networks = CycleGAN(settings)
        for module in list(self.networks.modules()):
            for name, child in module.named_children():
                if isinstance(child, InstanceNorm):
                    setattr(module, name, _PlainInstanceNorm())
        chosen = settings.optimizer
        self.optimizers = [
            torch.optim.Adam(
                [p for network in networks for p in network.parameters()],
                lr=chosen.learning_rate, betas=(chosen.beta1, 0.999), foreach=False, fused=False,
            )
            for networks in (self.networks.generators, self.networks.discriminators)
        ]  # fmt: skip

    def step(self, batch: Crops) -> list[float]:
        nets, weights = self.networks, self.settings.loss
        for network in nets.discriminators:
            network.requires_grad_(False)
        translated_source, translated_target = nets.to_target(batch.source), nets.to_source(batch.target)
        adversarial = ((nets.of_target(translated_source)[0] - 1) ** 2).mean()
        adversarial = adversarial + ((nets.of_source(translated_target)[0] - 1) ** 2).mean()
        cycle = (nets.to_source(translated_source) - batch.source).abs().mean()
        cycle = cycle + (nets.to_target(translated_target) - batch.target).abs().mean()
        identity = (nets.to_source(batch.source) - batch.source).abs().mean()
        identity = identity + (nets.to_target(batch.target) - batch.target).abs().mean()
        loss = adversarial + weights.cycle * cycle + weights.identity * identity
        self.optimizers[0].zero_grad()
        torch.autograd.backward(loss)
        self.optimizers[0].step()
        for network in nets.discriminators:
            network.requires_grad_(True)
        against = torch.zeros(())
        for network, real, translated in (
            (nets.of_source, batch.source, translated_target.detach()),
            (nets.of_target, batch.target, translated_source.detach()),
        ):
            against = against + (((network(real)[0] - 1) ** 2).mean() + (network(translated)[0] ** 2).mean()) / 2
        self.optimizers[1].zero_grad()
        torch.autograd.backward(against)
        self.optimizers[1].step()
        return [loss.item(), against.item()]


class Step:
    """The step of :class:`CycleGAN`, without Lightning around it."""

    def __init__(self, settings: TranslationSettings) -> None:
        self.module = CycleGAN(settings)
        self.optimizers, _ = self.module.configure_optimizers()

    def step(self, batch: Crops) -> list[float]:
        module = self.module
        for network in module.discriminators:
            network.requires_grad_(False)
        cycle = module.cycle(batch, identity=True)
        loss = module.objective(module.generator_losses(batch, cycle))
        self.optimizers[0].zero_grad()
        torch.autograd.backward(loss)
        self.optimizers[0].step()
        for network in module.discriminators:
            network.requires_grad_(True)
        losses, _ = module.discriminator_losses(batch, Crops(cycle.translated_target, cycle.translated_source))
        against = torch.stack(list(losses.values())).sum()
        self.optimizers[1].zero_grad()
        torch.autograd.backward(against)
        self.optimizers[1].step()
        return [loss.item(), against.item()]


def compare(settings: TranslationSettings, steps: int) -> tuple[list[float], list[float], float]:
    """CPU seconds of each textbook step and of each own one, and the largest relative difference of their losses."""
    torch.manual_seed(settings.seed)
    plain, own = Textbook(settings), Step(settings)
    both: tuple[Textbook | Step, ...] = (plain, own)
    own.module.load_state_dict(plain.networks.state_dict())
    height, width = settings.crop.size
    seconds: tuple[list[float], list[float]] = ([], [])
    apart = 0.0
    for _ in range(steps):
        batch = Crops(*(torch.rand(2, settings.schedule.batch_size, 3, height, width) * 2 - 1))
        losses = []
        for one, its_seconds in zip(both, seconds, strict=True):
            start = time.process_time()
            losses.append(one.step(batch))
            its_seconds.append(time.process_time() - start)
        apart = max(apart, *(abs(ours / theirs - 1) for theirs, ours in zip(*losses, strict=True)))
    return *seconds, apart


def main() -> None:
    torch.set_num_threads(1)
    settings = read_section("translation", TranslationSettings)
    settings = replace(
        settings,
        pool_size=0,
        loss=replace(settings.loss, adversarial="lsgan", cycle=10.0, identity=5.0, semantic=0.0),
        discriminator=replace(settings.discriminator, scales=1, norm="instance"),
    )
    torch.set_default_dtype(torch.float64)
    _, _, apart = compare(replace(settings, crop=replace(settings.crop, load_size=None, crop_size=(64, 64))), STEPS)
    torch.set_default_dtype(torch.float32)
    plain, own, apart_in_single = compare(settings, STEPS)
    textbook, here = statistics.median(plain), statistics.median(own)
    print(
        f"translation: a step of {settings.crop.size[0]}x{settings.crop.size[1]} on one thread takes {textbook:.3f} s of CPU "
        f"time as in the textbook, {here:.3f} s here: {textbook / here:.2f} times as fast; losses differ by {apart:.1e} at most "
        f"over {STEPS} steps in double precision, by {apart_in_single:.1e} in single"
    )


if __name__ == "__main__":
    main()
