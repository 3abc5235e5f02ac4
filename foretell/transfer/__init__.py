"""What an encoder is worth, always beside its baselines.

Here lies what every comparison shares: settings (``config``), label fractions, the search of settings (``search``,
``study``) and the engine that runs all arms. ``images`` and ``text`` stand on it side by side, and all of them on
``measures``.
"""
