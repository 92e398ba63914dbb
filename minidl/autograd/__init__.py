"""The engine: operations that remember how values were made, and the walk back that turns this into gradients."""
