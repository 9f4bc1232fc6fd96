"""Write the pipeline as ONNX for the peers that get ONNX Runtime: `python onnx_model.py FOLDER`."""

import sys
from pathlib import Path

import joblib
from lightgbm import LGBMClassifier
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

OPSETS = {"": 21, "ai.onnx.ml": 3}


def main() -> None:
    """Write model.onnx."""
    folder = Path(sys.argv[1])
    pipeline = joblib.load(folder / "pipeline.joblib")
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    texts = pipeline.named_steps["columns"].transformers_[0][2]
    inputs = [
        (name, (StringTensorType if name in texts else FloatTensorType)([None, 1]))
        for name in pipeline.feature_names_in_
    ]
    model = to_onnx(pipeline, initial_types=inputs, options={"zipmap": False}, target_opset=OPSETS)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
