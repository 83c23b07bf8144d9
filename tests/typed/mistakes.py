"""Mistakes, one a line, and what the type checker says of each.

A comment has the error's code and a part of its text.
"""

import numpy as np

import kanji_np as kj

train, test = kj.load_dataset("synthetic")
net = kj.Sequential([kj.Normalize(125), kj.Flatten(), kj.Dense(10)], (32, 32, 3))


def number(outputs: kj.Tensor, labels: np.ndarray) -> float:
    return outputs.mean().item()


kj.nonsense()  # attr-defined: Module has no attribute "nonsense"
kj.fit(net, train, epochs="3")  # arg-type: type "str"; expected "int"
kj.fit(net, train.images)  # arg-type: expected "Dataset | tuple[
kj.fit(net, train, optimiser=kj.SGD())  # call-arg: did you mean "optimizer"?
kj.fit(net, train, optimizer="sgd")  # arg-type: expected "Optimizer"
kj.fit(net, train, loss=number)  # arg-type: "loss" to "fit" has incompatible type
kj.SGD(learning_rate=0.1)  # call-arg: "learning_rate" for "SGD"
kj.Conv2D("32", 5)  # arg-type: Argument 1 to "Conv2D" has incompatible type "str"
kj.Conv2D(32, (5, 5, 5))  # arg-type: expected "int | tuple[int, int]"
kj.Dense()  # call-arg: Missing positional argument "units" in call to "Dense"
kj.Sequential(kj.Dense(10), (32, 32, 3))  # arg-type: expected "Sequence[Layer]"
kj.Add()(net)  # arg-type: expected "Symbol | Sequence[Symbol]"
net.accuracy(test)  # attr-defined: "Sequential" has no attribute "accuracy"
text: str = net.evaluate(test)  # assignment: expression has type "float"
print(net.save("model.npz"))  # func-returns-value: does not return a value
kj.export(net, "firmware").arena  # attr-defined: "Firmware" has no attribute "arena"
kj.verify("firmware", test).first.layer  # union-attr: "None" of "Difference | None"
kj.cost_report(net) > 3  # operator: ("int" and "Report")
np.exp(net.logits(train.images))  # call-overload: argument type "Tensor"
