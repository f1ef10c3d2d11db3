"""Study files that the tests change."""

GOOD = """
name = "good"
[data]
source = "sklearn:digits"
[model]
family = "mlp"
layers = 3
[space]
units = { low = 32, high = 512, log = true }
momentum = { low = 0.0, high = 0.9, when = { optimizer = ["sgd"] } }
[objective]
metric = "val_accuracy"
direction = "maximize"
"""

OWN = GOOD.replace('family = "mlp"\nlayers = 3', 'build = "mine:build"')
