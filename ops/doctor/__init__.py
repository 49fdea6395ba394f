"""`./bongsu doctor`: checks of everything Bongsu depends on, each with its cause and a fix in one sentence.

What a reading means is decided in `ops.doctor.judgements` (pure); how it is read is in `ops.doctor.checks`.
"""
