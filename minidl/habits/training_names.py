"""Names of PyTorch's layers, optimizers, schedules and data tools that minidl spells otherwise.

name: (what is typed, what to write).
"""

from __future__ import annotations

from minidl.habits.tensor_names import Answers

LAYERS: Answers = {  # typed as nn.NAME
    "functional": ("nn.functional.relu(x)", "import minidl.functional as F"),
    "utils": (
        "nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
        "md.optim.clip_grad_norm_(model.parameters(), 1.0)",
    ),
    "ParameterList": ("nn.ParameterList([])", "nn.ModuleList([nn.Linear(3, 3)])"),
    "Buffer": ("nn.Buffer(t)", 'model.register_buffer("counts", t)'),
    "LazyLinear": ("nn.LazyLinear(4)", "nn.Linear(3, 4)"),
    "LazyConv2d": ("nn.LazyConv2d(4, 3)", "nn.Conv2d(1, 4, 3)"),
    "TransformerEncoder": (
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), num_layers=2)",
        "nn.Sequential(nn.TransformerEncoderLayer(8, 2), nn.TransformerEncoderLayer(8, 2))",
    ),
    "TransformerDecoderLayer": ("nn.TransformerDecoderLayer(8, 2)", "nn.TransformerEncoderLayer(8, 2)"),
    "TransformerDecoder": ("nn.TransformerDecoder(layer, 2)", "nn.TransformerEncoderLayer(8, 2)"),
    "Transformer": ("nn.Transformer(8, 2)", "nn.TransformerEncoderLayer(8, 2)"),
    "ReLU6": ("nn.ReLU6()", "nn.Hardtanh(0, 6)"),
    "CELU": ("nn.CELU()", "nn.ELU()"),
    "Mish": ("nn.Mish()", "nn.SiLU()"),
    "Hardswish": ("nn.Hardswish()", "nn.SiLU()"),
    "Hardsigmoid": ("nn.Hardsigmoid()", "nn.Sigmoid()"),
    "Softmax2d": ("nn.Softmax2d()", "nn.Softmax(dim=1)"),
    "Unflatten": ("nn.Unflatten(1, (1, 3))", "nn.Reshape(1, 3)"),
    "InstanceNorm2d": ("nn.InstanceNorm2d(4)", "nn.GroupNorm(4, 4)"),
    "RMSNorm": ("nn.RMSNorm(3)", "nn.LayerNorm(3)"),
    "BatchNorm3d": ("nn.BatchNorm3d(4)", "nn.BatchNorm2d(4)"),
    "SyncBatchNorm": ("nn.SyncBatchNorm(4)", "nn.BatchNorm2d(4)"),
    "Conv3d": ("nn.Conv3d(1, 4, 3)", "nn.Conv2d(1, 4, 3)"),
    "MaxPool3d": ("nn.MaxPool3d(2)", "nn.MaxPool2d(2)"),
    "AvgPool3d": ("nn.AvgPool3d(2)", "nn.AvgPool2d(2)"),
    "Dropout3d": ("nn.Dropout3d()", "nn.Dropout2d()"),
    "AlphaDropout": ("nn.AlphaDropout()", "nn.Dropout()"),
    "ZeroPad2d": ("nn.ZeroPad2d(1)(images)", "F.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)])"),
    "Upsample": ("nn.Upsample(scale_factor=2)(images)", "images.repeat(2, axis=2).repeat(2, axis=3)"),
    "DataParallel": ("nn.DataParallel(model)", "model"),
    "EmbeddingBag": ("nn.EmbeddingBag(10, 3)(labels)", "nn.Embedding(10, 3)(labels).mean(axis=0)"),
    "CosineSimilarity": (
        "nn.CosineSimilarity()(x, y)",
        "F.sum(x * y, axis=1) / (F.norm(x, axis=1) * F.norm(y, axis=1))",
    ),
    "TripletMarginLoss": (
        "nn.TripletMarginLoss()(x, y, u)",
        "F.mean(F.relu(1 + F.norm(x - y, axis=1) - F.norm(x - u, axis=1)))",
    ),
    "MarginRankingLoss": ("nn.MarginRankingLoss()(x, y, u)", "F.mean(F.relu(-u * (x - y)))"),
    "PixelShuffle": (
        "nn.PixelShuffle(2)(images)",
        "images.reshape(2, 1, 2, 2, 4, 4).transpose(0, 1, 4, 2, 5, 3).reshape(2, 1, 8, 8)",
    ),
    "ReflectionPad2d": ("nn.ReflectionPad2d(1)(images)", "F.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1)])"),
    "PoissonNLLLoss": ("nn.PoissonNLLLoss()(x, y)", "F.mean(F.exp(x) - y * x)"),
}

INITIALISERS: Answers = {  # typed as nn.init.NAME
    "eye_": ("nn.init.eye_(w)", "nn.init.orthogonal_(w)"),
    "xavier_uniform": ("nn.init.xavier_uniform(w)", "nn.init.xavier_uniform_(w)"),
    "xavier_normal": ("nn.init.xavier_normal(w)", "nn.init.xavier_normal_(w)"),
    "kaiming_uniform": ("nn.init.kaiming_uniform(w)", "nn.init.kaiming_uniform_(w)"),
    "kaiming_normal": ("nn.init.kaiming_normal(w)", "nn.init.kaiming_normal_(w)"),
    "constant": ("nn.init.constant(w, 0.1)", "nn.init.constant_(w, 0.1)"),
    "normal": ("nn.init.normal(w)", "nn.init.normal_(w)"),
    "uniform": ("nn.init.uniform(w)", "nn.init.uniform_(w)"),
}

MODULE: Answers = {  # typed as model.NAME
    "cuda": ("model.cuda()", 'model.to("cupy")'),
    "cpu": ("model.cpu()", 'model.to("numpy")'),
    "buffers": ("model.buffers()", "[buffer for _, buffer in model.named_buffers()]"),
    "add_module": ('model.add_module("fc", nn.Linear(3, 3))', "model.fc = nn.Linear(3, 3)"),
    "register_module": ('model.register_module("fc", nn.Linear(3, 3))', "model.fc = nn.Linear(3, 3)"),
    "register_parameter": ('model.register_parameter("scale", w)', "model.scale = nn.Parameter(w)"),
    "get_parameter": ('model.get_parameter("0.weight")', 'dict(model.named_parameters())["0.weight"]'),
    "get_submodule": ('model.get_submodule("0")', 'dict(model.named_modules())["0"]'),
    "register_backward_hook": (
        "model.register_backward_hook(hook)",
        "model.register_full_backward_hook(hook)",
    ),
    "compile": ("model.compile()", "model"),
    "share_memory": ("model.share_memory()", "model"),
    "bfloat16": ("model.bfloat16()", "model.half()"),
    "type": ('model.type("float64")', 'model.to("float64")'),
    "fit": ("model.fit(x, labels)", "md.fit(model, optimizer, loader, epochs=1)"),
    "predict": ("model.predict(x)", "model(x)"),
    "evaluate": ("model.evaluate(dataset)", "md.evaluate(model, dataset)"),
}

OPTIMIZERS: Answers = {  # typed as optim.NAME
    "lr_scheduler": (
        "optim.lr_scheduler.StepLR(optimizer, step_size=10)",
        "optim.StepLR(optimizer, step_size=10)",
    ),
    "LRScheduler": ("isinstance(schedule, optim.LRScheduler)", "isinstance(schedule, optim.Schedule)"),
    "CosineAnnealingLR": (
        "optim.CosineAnnealingLR(optimizer, T_max=100)",
        "optim.CosineLR(optimizer, total_steps=100)",
    ),
    "CosineAnnealingWarmRestarts": (
        "optim.CosineAnnealingWarmRestarts(optimizer, 100)",
        "optim.CosineLR(optimizer, total_steps=100)",
    ),
    "ConstantLR": ("optim.ConstantLR(optimizer)", "optim.LinearLR(optimizer, total_iters=5)"),
    "MultiplicativeLR": (
        "optim.MultiplicativeLR(optimizer, lambda epoch: 0.95)",
        "optim.ExponentialLR(optimizer, gamma=0.95)",
    ),
    "CyclicLR": ("optim.CyclicLR(optimizer, 0.01, 0.1)", "optim.CosineLR(optimizer, total_steps=100)"),
    "NAdam": ("optim.NAdam(model.parameters())", "optim.Adam(model.parameters())"),
    "RAdam": ("optim.RAdam(model.parameters())", "optim.Adam(model.parameters())"),
    "Adamax": ("optim.Adamax(model.parameters())", "optim.Adam(model.parameters())"),
    "SparseAdam": ("optim.SparseAdam(model.parameters())", "optim.Adam(model.parameters())"),
    "Adafactor": ("optim.Adafactor(model.parameters())", "optim.AdamW(model.parameters())"),
    "Adadelta": ("optim.Adadelta(model.parameters())", "optim.RMSprop(model.parameters())"),
    "Rprop": ("optim.Rprop(model.parameters())", "optim.RMSprop(model.parameters())"),
    "ASGD": ("optim.ASGD(model.parameters())", "optim.SGD(model.parameters(), lr=0.01)"),
    "LBFGS": ("optim.LBFGS(model.parameters())", "optim.SGD(model.parameters(), lr=0.01, momentum=0.9)"),
    "LAMB": ("optim.LAMB(model)", "optim.AdamW(model, layer_rate=optim.TrustRatio())"),
    "clip_grad_norm": (
        "optim.clip_grad_norm(model.parameters(), 1.0)",
        "optim.clip_grad_norm_(model.parameters(), 1.0)",
    ),
}

OPTIMIZER: Answers = {  # typed as optimizer.NAME
    "param_groups": ('optimizer.param_groups[0]["lr"] = 0.01', "optimizer.lr = 0.01"),
    "add_param_group": (
        'optimizer.add_param_group({"params": [w], "lr": 0.01})',
        'optimizer.scale("*.weight", lr=0.1)',
    ),
    "defaults": ('optimizer.defaults["lr"]', "optimizer.lr"),
}

SCHEDULE: Answers = {  # typed as schedule.NAME
    "last_epoch": ("schedule.last_epoch", "schedule.step_count"),
    "get_lr": ("schedule.get_lr()", "schedule.get_last_lr()"),
    "base_lrs": ("schedule.base_lrs", "schedule.base_lr"),
}

DATA: Answers = {  # typed as md.data.NAME
    "DataLoader": (
        "md.data.DataLoader(dataset, batch_size=2)",
        "md.data.Loader(dataset, batch_size=2, shuffle=False)",
    ),
    "TensorDataset": ("md.data.TensorDataset(x, labels)", "md.data.Dataset(x.numpy(), labels.numpy())"),
    "random_split": ("md.data.random_split(dataset, [1, 1])", "dataset.split(1, 1)"),
    "Subset": ("md.data.Subset(dataset, [0])", "md.data.Dataset(*dataset.take([0]))"),
    "ConcatDataset": (
        "md.data.ConcatDataset([dataset, dataset])",
        "md.data.Dataset(np.concatenate([dataset.inputs] * 2), np.concatenate([dataset.labels] * 2))",
    ),
    "MNIST": ("md.data.MNIST(root, download=True)", "md.data.mnist"),
    "FashionMNIST": ("md.data.FashionMNIST(root, download=True)", "md.data.fashion_mnist"),
    "CIFAR10": ("md.data.CIFAR10(root, download=True)", "md.data.cifar10"),
    "datasets": ("md.data.datasets.MNIST(root)", "md.data.mnist"),
}

TRANSFORMS: Answers = {  # typed as md.data.transforms.NAME
    "ToTensor": ("md.data.transforms.ToTensor()", "md.data.transforms.ToFloat()"),
    "RandomResizedCrop": ("md.data.transforms.RandomResizedCrop(4)", "md.data.transforms.RandomCrop(4)"),
    "Resize": ("md.data.transforms.Resize(4)", "md.data.transforms.CenterCrop(4)"),
    "RandomRotation": ("md.data.transforms.RandomRotation(10)", "md.data.transforms.RandomHorizontalFlip()"),
}

OWN_OP: Answers = {  # typed in a Function of one's own, or of its class
    "apply": ("Cube.apply(x)", "Cube()(x)"),
    "save_for_backward": ("Cube().save_for_backward(x)", "Cube.saves_inputs = True"),
    "saved_tensors": ("Cube().saved_tensors", "Cube.saves_inputs = True"),
    "needs_input_grad": ("Cube().needs_input_grad[0]", "Cube.needs"),
    "mark_non_differentiable": ("Cube().mark_non_differentiable(x)", "Cube.differentiable = False"),
}

# What minidl has nothing like: the line to write is only what comes nearest.
NEAR = {
    *(
        "Mish",
        "Hardswish",
        "Hardsigmoid",
        "RMSNorm",
        "BatchNorm3d",
        "SyncBatchNorm",
        "Conv3d",
        "MaxPool3d",
        "AvgPool3d",
    ),
    *(
        "Dropout3d",
        "AlphaDropout",
        "dropout3d",
        "alpha_dropout",
        "eye_",
        "bfloat16",
        "fmod",
        "LazyLinear",
        "LazyConv2d",
    ),
    *("Transformer", "TransformerDecoder", "TransformerDecoderLayer", "autocast", "amp", "unfold"),
    "ReflectionPad2d",
    *("atan2", "arctan2", "cumprod"),  # only where x / y, or x, is positive
    *("CosineAnnealingWarmRestarts", "ConstantLR", "CyclicLR", "NAdam", "RAdam", "Adamax", "SparseAdam", "Adafactor"),
    *("Adadelta", "Rprop", "ASGD", "LBFGS", "Resize", "RandomResizedCrop", "RandomRotation", "ParameterList"),
}
