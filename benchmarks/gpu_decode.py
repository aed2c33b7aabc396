"""JPEG decoders that work on a GPU, where their packages are installed.

The worker does not use them: their pixels differ from Pillow's by a few steps, and so would
the vectors; and they pay only where the CPUs of a machine cannot decode as many photos as
its GPU recognises, which `benchmarks.gpu` shows.
"""

import importlib
from collections.abc import Callable, Sequence
from io import BytesIO

import torch
from PIL import Image

Decode = Callable[[Sequence[bytes]], list[torch.Tensor]]


def decoders(device: torch.device) -> dict[str, Decode]:
    """Return the decoders of this machine by name; each takes files to (h, w, 3) or (3, h, w)."""
    if device.type != "cuda":
        return {}
    found: dict[str, Decode] = {}
    tiny = BytesIO()
    Image.new("RGB", (16, 16)).save(tiny, "JPEG")
    for name, make in (("nvJPEG by torchvision", _torchvision), ("nvImageCodec", _nvimgcodec)):
        try:
            decode = make(device)
            decode([tiny.getvalue()])
        except Exception:  # noqa: BLE001 - missing, or unfit for this torch
            continue
        found[name] = decode
    return found


def _torchvision(device: torch.device) -> Decode:
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(files: Sequence[bytes]) -> list[torch.Tensor]:
        data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
        decoded: list[torch.Tensor] = decode_jpeg(data, mode=ImageReadMode.RGB, device=device)
        return decoded

    return decode


def _nvimgcodec(device: torch.device) -> Decode:
    nvimgcodec = importlib.import_module("nvidia.nvimgcodec")
    decoder = nvimgcodec.Decoder(device_id=device.index or 0)

    def decode(files: Sequence[bytes]) -> list[torch.Tensor]:
        return [torch.as_tensor(image, device=device) for image in decoder.decode(list(files))]

    return decode
