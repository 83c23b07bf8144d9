"""Networks, targets and boards side by side: what each scores, and what it costs.

`rows` makes the comparison, `panels` says what is drawn of it, `tables` and `page` show
it; `kanji_np.plots` draws it with matplotlib.
"""
