"""All that hpsearch touches of Keras, TensorFlow and JAX beyond their public interfaces.

Every such touch is a small named function here, with its reason. Nothing outside this package reads or sets a private
attribute of theirs. :mod:`hpsearch.keras_internals.capabilities` finds out which of them the installed Keras grants.

Read in Keras 3.12 to 3.15, TensorFlow 2.20 and 2.21, and JAX 0.10.
"""
