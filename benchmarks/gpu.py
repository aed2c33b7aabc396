"""The worker on a GPU, beside the usual loop of facenet-pytorch on the same GPU.

    python -m benchmarks.gpu                        # on a machine with a GPU
    python -m benchmarks.gpu --device cpu --quick   # only to see that it works

Needs torch, facenet-pytorch, and what `requirements/worker.txt` lists; no AWS and no database.
Prints one table and writes `benchmarks/results/gpu.json`. Without FaceNet's weights it
makes some up: the speed does not depend on their values, which the notes say then.

`--processes` measures the whole way with several worker processes on the same GPU, because
Python runs on one core in each. `--compiled` adds the embedding with kernels that torch
writes itself, which takes some minutes.
"""

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from PIL import Image, ImageOps
from rich.console import Console

from benchmarks.ending import end_in_order
from benchmarks.gpu_effort import QUICK, Effort
from benchmarks.gpu_parts import decoding, detection, embedding, search
from benchmarks.gpu_whole import usual_loop, whole, whole_figures
from benchmarks.result import Machine, Outcome, Report
from faces.contracts.version import CODE_VERSION
from gpu_worker.weights import weights_path

NAME = "gpu"
SIZE = (640, 480)
RESULTS = Path(__file__).resolve().parent / "results" / "gpu.json"


def measure(
    console: Console, device: torch.device, effort: Effort, processes: Sequence[int], compiled: bool
) -> Outcome:
    """Measure everything on one device."""
    with tempfile.TemporaryDirectory(prefix="faces-bench-") as folder:
        weights, made_up = weights_or_made_up(Path(folder))
        photos, what = photos_of_one_face()
        targets = device.type == "cuda" and "H200" in torch.cuda.get_device_name(device)
        console.print("  the usual loop", highlight=False)
        baseline = usual_loop(device, weights, photos, effort)
        figures = []
        for count in processes:
            console.print(f"  JPEG to match, {count} processes", highlight=False)
            rate, stages = whole(device, weights, photos, effort, count)
            figures += whole_figures(rate, baseline, count, targets, effort.gallery)
            figures += stages
        console.print("  parts", highlight=False)
        figures += embedding(device, weights, effort, targets, compiled)
        figures += detection(device, weights, photos, effort)
        figures += decoding(device, photos, effort)
        figures += search(device, effort)
    notes = [
        f"{what}, {SIZE[0]} x {SIZE[1]}, on {_name(device)}",
        "baseline: Pillow and facenet-pytorch on the same device, one photo after the other",
    ]
    if made_up:
        notes.append("FaceNet's weights are missing and were made up; no speed depends on them")
    return Outcome(benchmark=NAME, figures=tuple(figures), notes=tuple(notes))


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


def weights_or_made_up(folder: Path) -> tuple[Path, bool]:
    """Return FaceNet's weights, and whether they are made up."""
    path = weights_path(os.environ)
    if path.is_file():
        return path, False
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(1)
    path = folder / "weights.pt"
    torch.save(InceptionResnetV1().state_dict(), path)
    return path, True


def photos_of_one_face() -> tuple[list[bytes], str]:
    """Return JPEG files that show one face each."""
    from local_stack.demo.photos import astronaut

    whole = Image.open(io.BytesIO(astronaut())).convert("RGB")
    files = []
    # Other crops, so that no two photos are the same.
    for n in range(8):
        cut = whole.crop((10 * n, 4 * n, 10 * n + 430, 4 * n + 330))
        file = io.BytesIO()
        ImageOps.fit(cut, SIZE).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files, "a public photo of one face, cut in eight ways"


def main(arguments: list[str]) -> int:
    """Measure, print and keep; return 0 when every target was met."""
    from benchmarks.__main__ import table

    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda:0", help="torch's name of the device")
    parser.add_argument("--quick", action="store_true", help="next to nothing of everything")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--compiled", action="store_true", help="also with kernels of torch's own")
    parser.add_argument("--to", type=Path, default=RESULTS, help="where the JSON goes")
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here (--device cpu measures without one)")
    console = Console()
    effort = QUICK if chosen.quick else Effort()
    outcome = measure(console, device, effort, chosen.processes, chosen.compiled)
    report = Report(
        code_version=CODE_VERSION,
        measured_at=datetime.now(UTC),
        machine=Machine.this(),
        outcomes=(outcome,),
    )
    chosen.to.parent.mkdir(parents=True, exist_ok=True)
    chosen.to.write_text(report.model_dump_json(indent=2) + "\n")
    console.print(table(report))
    for note in outcome.notes:
        console.print(f"[dim]{note}[/]", highlight=False)
    console.print(f"Kept in {chosen.to}.", highlight=False)
    return 1 if any(figure.met is False for figure in outcome.figures) else 0


if __name__ == "__main__":
    end_in_order()
    sys.exit(main(sys.argv[1:]))
