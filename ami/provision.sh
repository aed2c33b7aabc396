#!/usr/bin/env bash
# Make a machine (Debian 12 or Ubuntu 24.04) a worker. Run as root from a checkout:
#
#     ami/provision.sh WEIGHTS SHA256 [cpu|gpu]
#
# WEIGHTS is 20180402-114759-vggface2.pt and SHA256 its hash. `gpu` expects NVIDIA's driver
# to be there. pip finds its packages as PIP_* variables and pip's own settings say.
set -euo pipefail

usage="usage: provision.sh WEIGHTS SHA256 [cpu|gpu]"
weights=${1:?$usage}
sha256=${2:?$usage}
kind=${3:-cpu}
source=$(cd "$(dirname "$0")/.." && pwd)
target=/opt/elastic-faces

echo "$sha256  $weights" | sha256sum --check --strict --quiet

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -qy --no-install-recommends python3 python3-venv ca-certificates
id faces >/dev/null 2>&1 || useradd --system --home-dir "$target" --shell /usr/sbin/nologin faces

install -d -m 0755 "$target/torch_home/checkpoints" "$target/networks" "$target/kernels"
cp -r "$source/faces" "$source/gpu_worker" "$source/requirements" "$target/"
install -m 0644 "$weights" "$target/torch_home/checkpoints/20180402-114759-vggface2.pt"

python3 -m venv "$target/.venv"
if [ "$kind" = cpu ] && [ -z "${PIP_NO_INDEX:-}" ]; then
  # The ordinary build of torch brings gigabytes of CUDA.
  export PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL:-https://download.pytorch.org/whl/cpu}
fi
"$target/.venv/bin/pip" install -q --no-cache-dir -r "$target/requirements/worker.txt"
"$target/.venv/bin/pip" install -q --no-cache-dir --no-deps \
  -r "$target/requirements/worker-nodeps.txt"

# The database's certificate authorities, where the recipe fetched them.
if [ -f "$source/rds.pem" ]; then
  install -m 0644 "$source/rds.pem" "$target/rds.pem"
fi

# What the first start would do, done once for every machine made from the image: networks
# converted, kernels compiled, modules as bytecode. The self-test is the first use of all.
cd "$target"
chown faces: "$target/kernels"
export TORCH_HOME="$target/torch_home" WORKER_CACHE="$target/networks"
.venv/bin/python -m compileall -q faces gpu_worker
.venv/bin/python -m gpu_worker --prepare
expected=cpu
[ "$kind" = gpu ] && expected=cuda
CUDA_CACHE_PATH="$target/kernels" .venv/bin/python -m gpu_worker --self-test "$expected"
chown -R root: "$target/networks"
chmod -R a+rX "$target"

install -m 0644 "$source/ami/elastic-faces-worker.service" \
  "$source/ami/elastic-faces-logs.service" /etc/systemd/system/
install -D -m 0644 "$source/ami/cloudwatch-agent.json" "$target/cloudwatch-agent.json"
install -D -m 0755 "$source/ami/test.sh" "$target/test.sh"
echo "$sha256" > "$target/weights.sha256"
systemctl enable elastic-faces-worker.service elastic-faces-logs.service
# Operators come in by Session Manager.
systemctl mask ssh.service ssh.socket
