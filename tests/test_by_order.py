"""Products within orders, against a matrix that holds all of them and zeros elsewhere."""

import pytest
import torch

from cryobench.methods.posterior.by_order import ByOrder

BLOCKS = {0: slice(0, 1), 1: slice(1, 4), 3: slice(4, 9), 4: slice(9, 11)}  # an order may be missing


@pytest.mark.parametrize("chosen", [[4], [4, 0, 5]])  # few of the columns, and many
@pytest.mark.parametrize("filled", [False, True])
def test_products_stay_within_their_order(filled, chosen):
    random = torch.Generator().manual_seed(0)
    matrix, rows = torch.randn(11, 6, generator=random), torch.randn(2, 11, generator=random)
    columns = torch.randn(4, len(chosen), 5, generator=random)
    within = torch.zeros(4, 11)
    for i, block in enumerate(BLOCKS.values()):
        within[i, block] = 1
    found = ByOrder(matrix, BLOCKS, filled=filled)
    assert found.orders.tolist() == [0, 1, 3, 4]
    left = torch.einsum("rk,mk,kn->mrn", rows, within, matrix)
    torch.testing.assert_close(found.times_left(rows), left)
    torch.testing.assert_close(found.times_left(rows, slice(2, 5)), left[:, :, 2:5])
    torch.testing.assert_close(
        found.times_right(columns, torch.tensor(chosen)),
        torch.einsum("kc,mk,mcd->kd", matrix[:, chosen], within, columns),
    )
