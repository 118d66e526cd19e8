"""Showing models, runs and graphs. Training depends on none of this, but methods of Run and GPT call it.

cards      how a notebook shows a Run, a GPT and a Value.
drawing    the scalar graph behind a Value, as a picture by Graphviz.
explore    a trained model as one web page that computes in the browser: HTML, CSS and JavaScript.
history    the losses of a run: smoothed, logged to a file and read back, and summarized in a few sentences.
plot       the loss curves of runs as a picture, by matplotlib.
"""
