"""Memory kept between training steps: pages are asked for once, and the numbers stay what they are."""

import ctypes
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cryobench.methods.learned import memory

BLOCKS, MIB = 30, 8

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc's malloc")


def step() -> None:
    """What a training step does to memory: many blocks are filled and, at the end of it, given back."""
    blocks = [torch.ones(MIB * 2**18) for _ in range(BLOCKS)]
    del blocks


def pages_of_a_step() -> int:
    """Pages that the system had to give for one, after two others."""
    step(), step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@glibc
def test_a_step_finds_the_memory_of_the_last_one_and_it_goes_back_in_the_end():
    """By getrusage(2), in a process of its own, whose malloc gives all of these blocks back (mallopt(3)) until it is told."""
    program = (
        "import ctypes\n"
        "from tests.test_memory import memory, pages_of_a_step, resident\n"
        "ctypes.CDLL(None).mallopt(memory.MMAP_THRESHOLD, 2**17)\n"
        "print(pages_of_a_step())\n"
        "with memory.kept():\n"
        "    print(pages_of_a_step())\n"
        "    held = resident()\n"
        "print((held - resident()) / 2**20)\n"
    )
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True).stdout
    given_back, kept, freed = map(float, out.split())
    all_pages = BLOCKS * MIB * 2**20 / resource.getpagesize()
    assert given_back > 0.9 * all_pages and kept < 0.1 * all_pages
    assert freed > 0.5 * BLOCKS * MIB


def resident() -> int:
    """Bytes of this process in memory now, by proc(5)."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    with memory.kept():
        step()
