#!/usr/bin/env bash
# Install the CloudWatch agent, which takes logs, metrics and traces of a worker to AWS. Run
# as root after provision.sh, with the agent's package (.deb) as the first argument.
set -euo pipefail

package=${1:?usage: agent.sh PATH_OF_amazon-cloudwatch-agent.deb}
home=/opt/aws/amazon-cloudwatch-agent

dpkg --install "$package"
install -m 0644 /opt/elastic-faces/cloudwatch-agent.json "$home/etc/elastic-faces.json"
install -d /etc/systemd/system/amazon-cloudwatch-agent.service.d
cat > /etc/systemd/system/amazon-cloudwatch-agent.service.d/stack.conf <<'END'
# The stack's name is known at the first boot only, and on a worker only.
[Unit]
After=cloud-final.service multi-user.target
ConditionPathExists=/etc/elastic-faces/worker.env
[Service]
EnvironmentFile=/etc/elastic-faces/worker.env
ExecStartPre=/bin/sh -c "sed s/STACK/$FACES_STACK/g /opt/aws/amazon-cloudwatch-agent/etc/elastic-faces.json > /opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.json"
END
systemctl enable amazon-cloudwatch-agent.service
