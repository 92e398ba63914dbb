"""Derivatives asked for directly: gradients, their checks by finite differences, Jacobians, Hessians, curvature."""
