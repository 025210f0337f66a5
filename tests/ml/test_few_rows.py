"""The fast way round gives the same numbers, whatever the number of rows."""

import pytest
import torch

from tasks.ml.few_rows import FewRowsLinear, use_few_rows


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (5, 1), (16, 1), (31, 1), (3, 7), (128,), (129, 1)])
def test_products_are_those_of_a_plain_layer(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 10, bias=bias))
    states = torch.randn(*shape, 6)
    with torch.no_grad():
        expected = model(states)
        fast = use_few_rows(model)
        assert isinstance(fast[0], FewRowsLinear)
        product = fast(states)
    assert product.is_contiguous()
    torch.testing.assert_close(product, expected, atol=1e-6, rtol=1e-6)


def test_weights_stay_the_same_tensors(make_llama) -> None:
    model = make_llama()
    before = dict(model.named_parameters())
    use_few_rows(model)
    assert all(parameter is before[name] for name, parameter in model.named_parameters())
    assert model.lm_head.weight is model.model.embed_tokens.weight
