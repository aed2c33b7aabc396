#!/usr/bin/env bash
# Make a machine (Debian or Ubuntu, Python 3.11 or newer) a worker: run as root from a
# checkout of this repository, with the weights' file as the first argument.
set -euo pipefail

weights=${1:?usage: provision.sh PATH_OF_20180402-114759-vggface2.pt}
source=$(cd "$(dirname "$0")/.." && pwd)
target=/opt/elastic-faces

apt-get update -q
apt-get install -qy --no-install-recommends python3 python3-venv ca-certificates
id faces >/dev/null 2>&1 || useradd --system --home-dir "$target" --shell /usr/sbin/nologin faces

install -d -m 0755 "$target/torch_home/checkpoints" "$target/networks"
cp -r "$source/faces" "$source/gpu_worker" "$source/requirements" "$target/"
install -m 0644 "$weights" "$target/torch_home/checkpoints/20180402-114759-vggface2.pt"

python3 -m venv "$target/.venv"
"$target/.venv/bin/pip" install -q -r "$target/requirements/worker.txt"
"$target/.venv/bin/pip" install -q --no-deps -r "$target/requirements/worker-nodeps.txt"

# What the first start would do, done once for every machine made from the image.
cd "$target"
TORCH_HOME="$target/torch_home" WORKER_CACHE="$target/networks" \
  .venv/bin/python -m gpu_worker --prepare

install -m 0644 "$source/ami/elastic-faces-worker.service" /etc/systemd/system/
systemctl enable elastic-faces-worker.service
