"""How often the worker's own pipeline is right, on photos of known people in LFW's form.

`make accuracy DATA=<folder>` measures, `python -m benchmarks.accuracy.calibrate` finds the
thresholds, `python -m benchmarks.accuracy.ablation` what each step brings and costs.
"""
