"""The gallery: every figure of md.plot on a small example, each made by the script of its name.

    python -m figures                     all of them
    python -m figures graph curvature     these
    python -m figures --style slides --out slides

Each script has one function, `make(style)`, which trains or measures what it needs and returns the figure. None takes
longer than 30 seconds on two cores. README.md shows them, with the claims of their captions.
"""

# In the order of the README: {figure: the question it answers}.
GALLERY: dict[str, str] = {
    "graph": "How is a loss computed, and what gradient arrives where?",
    "loss_curves": "Does it learn, and does it overfit?",
    "decision_boundary": "What has the network understood?",
    "optimizer_paths": "How do the methods differ?",
    "rate_range": "Which rate should I try?",
    "confusion": "What does it take for what?",
    "filters": "What have the units learned to look for?",
    "feature_maps": "What do they answer to one image?",
    "gradient_flow": "Does every layer get a gradient?",
    "flow_profile": "How fast does the gradient vanish with depth, and what stops it?",
    "distribution_grid": "Which layers are saturated, dead or far too small?",
    "attribution": "Which op made the gradient small?",
    "theory": "Why does it vanish, and how fast must it?",
    "depth_sweep": "From which depth on does it hurt, for which activation and initialiser?",
    "jacobian_spectrum": "Why does the initialiser matter?",
    "through_time": "Does the same happen along time?",
    "update_heatmap": "Where does learning happen, and when?",
    "update_lines": "Are the updates of a healthy size?",
    "effective_rates": "Which rate did each layer really have?",
    "rate_curve": "What does a rule make of a small gradient?",
    "who_learned": "Which layers have moved at all?",
    "race": "Which method wins, fairly?",
    "curvature": "Is a small gradient really low curvature?",
    "landscape_line": "Is there anything in the way between two settings of the weights?",
}
