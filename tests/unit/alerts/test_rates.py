import pytest

from streams.alerts.rates import Absence, Measured, NoData, Ratio

RATIO = Ratio("good", "all", min_samples=20)


def test_a_share_has_its_number_of_samples():
    assert RATIO.of({"good": 18, "all": 20}) == Measured(0.9, 20)
    assert RATIO.of({"all": 20}) == Measured(0.0, 20)


@pytest.mark.parametrize("sums", [{}, {"good": 19, "all": 19}, {"good": 5, "all": 0}])
def test_too_few_samples_are_no_data(sums):
    assert RATIO.of(sums) == NoData(Absence.TOO_FEW_SAMPLES, sums.get("all", 0))


def test_nothing_over_nothing_is_no_data_whatever_min_samples_says():
    assert Ratio("good", "all", 0).of({"good": 0, "all": 0}) == NoData(Absence.TOO_FEW_SAMPLES)
