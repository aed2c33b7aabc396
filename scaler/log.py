"""The scaler's log: JSON lines through Powertools."""

import os

from aws_lambda_powertools import Logger

from faces.contracts.settings import StackSettings

_settings = StackSettings.load(os.environ)

stack = _settings.stack
logger = Logger(service="scaler", level=_settings.log_level)
