"""The types that a saved model may hold: what skops knows, what is here, what TRUSTED lists."""

from collections.abc import Iterable
from pathlib import Path

# What scikit-learn's own estimators hold and skops does not know. A list, as any name of a module,
# such as one that it imports from elsewhere, would pass a test of its first word. Left out are
# compiled structures that are not checked when they are loaded, such as trees: a forged one makes
# scikit-learn read past its end, so a project lists it, and knows who wrote its models.
BY_DEFAULT = frozenset(
    {
        "numpy.dtype",
        "numpy.mean",
        "rung_ops.quantiles.PerQuantile",
        "scipy.sparse._csc.csc_matrix",
        "scipy.sparse._csr.csr_matrix",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.feature_selection._univariate_selection.r_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        *(
            f"sklearn.gaussian_process.kernels.{name}"
            for name in (
                *("CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared"),
                *("Exponentiation", "Matern", "Product", "RBF", "RationalQuadratic", "Sum"),
                "WhiteKernel",
            )
        ),
        "sklearn.metrics._classification.balanced_accuracy_score",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.model_selection._search_successive_halving.HalvingGridSearchCV",
        "sklearn.model_selection._search_successive_halving.HalvingRandomSearchCV",
        *(
            f"sklearn.model_selection._split.{name}"
            for name in (
                "GroupKFold",
                "KFold",
                "ShuffleSplit",
                "StratifiedKFold",
                "TimeSeriesSplit",
            )
        ),
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
    }
)


def trusted(listed: Iterable[str]) -> list[str]:
    """Return the types that a model may hold beside those that skops knows.

    Args:
        listed: TRUSTED of model.py.
    """
    return sorted(BY_DEFAULT.union(listed))


def refusal(saved: Path | bytes, listed: Iterable[str], name: str) -> str | None:
    """Say which types of a file are not trusted, and what to do; None where all are.

    Args:
        saved: a file that skops wrote, or its content.
        listed: TRUSTED of model.py.
        name: the file's name, for the message.
    """
    import skops.io

    given = {"data": saved} if isinstance(saved, bytes) else {"file": saved}
    unknown = sorted(set(skops.io.get_untrusted_types(**given)) - set(trusted(listed)))
    if not unknown:
        return None
    names = ", ".join(f'"{each}"' for each in unknown)
    return (
        f"{name} holds types that are not trusted: {names}. If you trust them, add them to TRUSTED "
        "in model.py."
    )
