#!/usr/bin/env bash
# Test an image: run on a machine that was started from it, with `cpu` or `gpu`. EC2 Image
# Builder runs it before it hands an image out.
set -euo pipefail

kind=${1:?usage: test.sh cpu|gpu}
target=/opt/elastic-faces
fail() {
  echo "FAILED: $1" >&2
  exit 1
}

weights=$target/torch_home/checkpoints/20180402-114759-vggface2.pt
echo "$(cat $target/weights.sha256)  $weights" | sha256sum --check --strict --quiet ||
  fail "the weights are not those that were baked in"
for unit in elastic-faces-worker elastic-faces-logs; do
  systemctl is-enabled --quiet $unit.service || fail "$unit does not start at boot"
  systemd-analyze verify /etc/systemd/system/$unit.service || fail "$unit is not valid"
done
for unit in ssh.service ssh.socket; do
  [ "$(systemctl is-enabled $unit 2>/dev/null)" = masked ] || fail "$unit is not masked"
done
[ -z "$(find $target ! -path "$target/kernels*" \( -user faces -o -perm -o+w \) ! -type l)" ] ||
  fail "the worker can change its own code"

# The networks answer, without a conversion and within the user's rights.
expected=cpu
[ "$kind" = gpu ] && expected=cuda
cd $target
before=$(find networks -type f | sort)
setpriv --reuid=faces --regid=faces --clear-groups env \
  TORCH_HOME=$target/torch_home WORKER_CACHE=$target/networks CUDA_CACHE_PATH=$target/kernels \
  .venv/bin/python -m gpu_worker --self-test $expected || fail "the networks do not answer"
[ "$before" = "$(find networks -type f | sort)" ] || fail "the networks were not converted before"

# On EC2: metadata without a session must be refused.
if [ "${METADATA:-}" = check ]; then
  code=$(curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/ || true)
  [ "$code" = 401 ] || fail "instance metadata answer without a session ($code)"
fi
echo "the image is good"
