"""The public names, one import a line.

Type checkers read this file; at run time `__init__.py` reads from it which module has
each name. A name is added here and nowhere else.
"""

from kanji_np.anomaly import anomaly_scores as anomaly_scores
from kanji_np.anomaly import auc as auc
from kanji_np.autograd import Tensor as Tensor
from kanji_np.data import Augment as Augment
from kanji_np.data import Dataset as Dataset
from kanji_np.data import load_dataset as load_dataset
from kanji_np.deploy import Device as Device
from kanji_np.deploy import Difference as Difference
from kanji_np.deploy import Firmware as Firmware
from kanji_np.deploy import LayerResult as LayerResult
from kanji_np.deploy import Verification as Verification
from kanji_np.deploy import export as export
from kanji_np.deploy import vectors as vectors
from kanji_np.deploy import verify as verify
from kanji_np.errors import AccumulatorOverflow as AccumulatorOverflow
from kanji_np.errors import DataError as DataError
from kanji_np.errors import DataWarning as DataWarning
from kanji_np.errors import DownloadError as DownloadError
from kanji_np.errors import FileFormatError as FileFormatError
from kanji_np.errors import GradientError as GradientError
from kanji_np.errors import KanjiError as KanjiError
from kanji_np.errors import OptionError as OptionError
from kanji_np.errors import RangeError as RangeError
from kanji_np.errors import ShapeError as ShapeError
from kanji_np.errors import ToolError as ToolError
from kanji_np.errors import UnsupportedOp as UnsupportedOp
from kanji_np.errors import VerificationError as VerificationError
from kanji_np.explanation import ExplainedLayer as ExplainedLayer
from kanji_np.explanation import Explanation as Explanation
from kanji_np.explanation import explain as explain
from kanji_np.formats.onnx import load_onnx as load_onnx
from kanji_np.formats.tflite import load_tflite as load_tflite
from kanji_np.graph import Graph as Graph
from kanji_np.graph import Node as Node
from kanji_np.layers import Activation as Activation
from kanji_np.layers import AvgPool2D as AvgPool2D
from kanji_np.layers import Conv1D as Conv1D
from kanji_np.layers import Conv2D as Conv2D
from kanji_np.layers import Dense as Dense
from kanji_np.layers import DepthwiseConv2D as DepthwiseConv2D
from kanji_np.layers import Input as Input
from kanji_np.layers import Layer as Layer
from kanji_np.layers import MaxPool2D as MaxPool2D
from kanji_np.layers import Normalize as Normalize
from kanji_np.layers import Symbol as Symbol
from kanji_np.layers import register_op as register_op
from kanji_np.layers.declared import *  # noqa: F403 - its stub has them
from kanji_np.losses import cross_entropy as cross_entropy
from kanji_np.losses import mean_squared_error as mean_squared_error
from kanji_np.model import Model as Model
from kanji_np.model import Sequential as Sequential
from kanji_np.model import load as load
from kanji_np.optim import SGD as SGD
from kanji_np.optim import Adam as Adam
from kanji_np.optim import AdamW as AdamW
from kanji_np.optim import Constant as Constant
from kanji_np.optim import Cosine as Cosine
from kanji_np.optim import Exponential as Exponential
from kanji_np.optim import OneCycle as OneCycle
from kanji_np.optim import Optimizer as Optimizer
from kanji_np.optim import Schedule as Schedule
from kanji_np.optim import Step as Step
from kanji_np.plots import plot_explanation as plot_explanation
from kanji_np.plots import plot_history as plot_history
from kanji_np.recipe import Recipe as Recipe
from kanji_np.report import LayerReport as LayerReport
from kanji_np.report import Report as Report
from kanji_np.report import cost_report as cost_report
from kanji_np.targets import target_spec as target_spec
from kanji_np.train import EpochRecord as EpochRecord
from kanji_np.train import History as History
from kanji_np.train import Loss as Loss
from kanji_np.train import fit as fit
from kanji_np.types import Cost as Cost
from kanji_np.types import Numerics as Numerics
from kanji_np.types import QParams as QParams
from kanji_np.types import Shape as Shape
from kanji_np.types import TargetSpec as TargetSpec
from kanji_np.types import TensorSpec as TensorSpec
from kanji_np.zoo import autoencoder as autoencoder
from kanji_np.zoo import ds_cnn as ds_cnn
from kanji_np.zoo import mobilenet_v1_025 as mobilenet_v1_025
from kanji_np.zoo import paper_cnn as paper_cnn
from kanji_np.zoo import paper_vgg as paper_vgg
from kanji_np.zoo import resnet8 as resnet8

__version__: str
