"""Make `import torchvision` work where its compiled operators do not fit torch.

facenet-pytorch needs two functions of torchvision, `ops.boxes.batched_nms` and
`transforms.functional.to_tensor`; only the first calls a compiled operator. On a
machine with a CPU build of torch and a CUDA build of torchvision (what some package
indexes offer) the operators cannot be loaded, and importing torchvision fails with
"operator torchvision::nms does not exist". Then, and only then, this module declares
that operator with an implementation in plain torch.
See docs/decisions/0003-facenet-pytorch-pins.md.
"""

import importlib
import sys

import torch

_LIBRARIES: list[torch.library.Library] = []  # an operator lives as long as its library


def ensure_torchvision() -> bool:
    """Import torchvision, with replaced operators if needed; return whether they were.

    Raises
    ------
    ImportError
        When torchvision is not installed.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return bool(_LIBRARIES)
    _declare_operators()
    # The failed import left some of its modules behind, without the new operators.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    importlib.import_module("torchvision")
    extension = importlib.import_module("torchvision.extension")
    extension._has_ops = lambda: True  # type: ignore[attr-defined]
    return True


def _declare_operators() -> None:
    if _LIBRARIES:
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    library.impl("nms", nms, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    # Declared because importing torchvision registers something for it; never called.
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _LIBRARIES.append(library)


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression.

    Parameters
    ----------
    boxes : (n, 4) float, left, top, right, bottom.
    scores : (n,) float; equal scores keep their order.
    iou_threshold : boxes that overlap a kept one by more than this are dropped.

    Returns
    -------
    int64 indices of the kept boxes, best first, as `torchvision.ops.nms` returns them.
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    left, top, right, bottom = boxes[order].unbind(1)
    areas = (right - left) * (bottom - top)
    kept: list[int] = []
    waiting = torch.arange(len(order), device=boxes.device)
    while len(waiting) > 0:
        best, rest = waiting[0], waiting[1:]
        kept.append(int(best))
        width = torch.minimum(right[best], right[rest]) - torch.maximum(left[best], left[rest])
        height = torch.minimum(bottom[best], bottom[rest]) - torch.maximum(top[best], top[rest])
        overlap = width.clamp(min=0) * height.clamp(min=0)
        waiting = rest[overlap / (areas[best] + areas[rest] - overlap) <= iou_threshold]
    return order[torch.tensor(kept, dtype=torch.int64, device=boxes.device)]
