"""Recorded steps: pages of the stepper on small programs, each made by the script of its name.

    python -m figures.stepper                     all of them
    python -m figures.stepper six_ops mlp_step    these

Each script has `make()`, which records one tape, or two to be laid side by side, and `claim(*tapes)`, which says in
numbers what its page shows. README.md lists them.
"""

# In the order of the README: {script: the question its page answers}.
STEPS: dict[str, str] = {
    "six_ops": "Why is a gradient a sum?",
    "mlp_step": "What happens in one training step?",
    "lenet_step": "Where do the gradients of a convolutional network go?",
    "attention_step": "What may a place look at, and what does it learn from it?",
    "sgd_beside_layer_specific": "Which rate did each layer really have?",
    "forgotten_zero_grad": "Why does my training run away?",
    "forgotten_product_rule": "Where is the mistake in my backward?",
}
