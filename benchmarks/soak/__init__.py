"""A service under ``ot_bridge.install`` for minutes at the highest rate that it holds, while its collector misbehaves.

    make soak
    make soak ARGS="--minutes 30 --protocol grpc"

Three processes: the application (``application.py``), its collector (``receiver.py``), and this one, which tells the
collector how to behave (``phases.py``), samples both, and judges at the end (``verdict.py``).
"""
