"""Networks found by search: families of them, ranked without training, then trained."""
