"""Which vectors the backends give: all of them the same, so that galleries fit each."""

from faces.contracts.results import ModelInfo
from gpu_worker.crop import CROP_VERSION

MODEL = ModelInfo(name="facenet-vggface2", crop=CROP_VERSION)
