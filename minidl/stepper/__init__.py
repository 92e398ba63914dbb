"""The stepper: one training step, recorded on a tape and walked through in time, forward and back."""
