"""The services of the worker's image come up at the boot of an Ubuntu machine."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

AMI = Path(__file__).resolve().parents[3] / "ami"
# As Ubuntu's package of cloud-init orders them.
CLOUD_FINAL = """[Unit]
After=network-online.target multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/true
"""
CLOUD_INIT = "[Unit]\nAfter=multi-user.target\n"


def units() -> dict[str, str]:
    """Return the services by name, the CloudWatch agent's with what `agent.sh` adds."""
    found = {path.name: path.read_text() for path in AMI.glob("*.service")}
    (added,) = re.findall(r"<<'END'\n(.*?)END\n", (AMI / "agent.sh").read_text(), re.DOTALL)
    installed = "[Install]\nWantedBy=multi-user.target\n"
    return {**found, "amazon-cloudwatch-agent.service": f"{added}{installed}"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there")
def test_no_service_is_dropped_at_boot_because_of_a_cycle(tmp_path: Path) -> None:
    wanted = {"multi-user.target": ["cloud-init.target"], "cloud-init.target": []}
    (tmp_path / "cloud-final.service").write_text(CLOUD_FINAL)
    (tmp_path / "cloud-init.target").write_text(CLOUD_INIT)
    wanted["cloud-init.target"].append("cloud-final.service")
    for name, text in units().items():
        # Order alone counts here: the programs and the user are not on this machine.
        plain = re.sub(
            r"^(User|EnvironmentFile|ExecStart\w*|ReadWritePaths)=.*\n", "", text, flags=re.M
        )
        (tmp_path / name).write_text(plain.replace("[Service]", "[Service]\nExecStart=/bin/true"))
        (target,) = re.findall(r"^WantedBy=(.+)$", text, re.M)
        wanted[target].append(name)
    for target, names in wanted.items():
        folder = tmp_path / f"{target}.wants"
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(tmp_path / name)
    done = subprocess.run(
        ["systemd-analyze", "verify", "multi-user.target"],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cycle" not in done.stderr, done.stderr


def test_what_needs_the_user_data_waits_for_it_and_stays_away_without_it() -> None:
    needing = {name for name, text in units().items() if "EnvironmentFile=" in text}
    assert needing == {"elastic-faces-worker.service", "amazon-cloudwatch-agent.service"}
    for name in needing:
        text = units()[name]
        assert "cloud-final.service multi-user.target" in text
        (file,) = re.findall(r"^EnvironmentFile=(.+)$", text, re.M)
        assert f"ConditionPathExists={file}" in text
